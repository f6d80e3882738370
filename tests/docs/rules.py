"""What the pages' commands are run with, and which are not run, each with the reason.

A command that no rule names is run as it stands.
"""

from __future__ import annotations

import csv
import re
import shlex
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from hannah_hw.cli.app import app

ROOT = Path(__file__).parents[2]

#: A command -> what is appended, so that it ends within seconds. The first that matches.
BUDGETS: tuple[tuple[str, str], ...] = (
    (r"^hannah-hw search .*(--dry-run|--resume)", ""),
    (  # where each candidate has hardware of its own, loops are ordered for many at once; tests/search/test_cosearch.py
        r"^hannah-hw search (examples/cosearch|cosearch|.*my_npu)",
        (
            "--set search.evaluations=1 --set training.epochs=1 --set training.budget_s=0.2 "
            "--set search.population=4 --set search.algorithm=nsga2 --set search.workers=1"
        ),
    ),
    (
        r"^hannah-hw search ",
        "--set search.evaluations=2 --set search.workers=1 --set training.epochs=1 --set training.budget_s=0.2",
    ),
    (r"^hannah-hw proxies ", "--count 8 --set training.epochs=1 --set training.budget_s=0.2"),
    (r"^hannah-hw doctor", "--quick"),  # tests/onboarding starts and imports everything
    (r"^dask scheduler ", "--host 127.0.0.1 --no-dashboard"),
    (r"^hannah-hw worker ", "--processes 1"),
    (r"^hannah-hw profile ", "--runs 10"),
)


@dataclass(frozen=True)
class NotRun:
    """Commands that are not run but checked.

    Attributes:
        pattern: Which, as a regular expression.
        reason: Why not.
        check: What is checked instead; it raises where that fails.
    """

    pattern: str
    reason: str
    check: Callable[[list[str]], None]


def options_exist(words: list[str]) -> None:
    """Every option of a command of ours is one of its verb."""
    command = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        assert rest, words
        assert rest[0] in command.commands, f"no verb {rest[0]!r}: {words}"
        command = command.commands[rest[0]]
        rest = rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    for word in rest:
        if word.startswith("-") and not re.match(r"-\d", word):
            assert word.split("=")[0] in known | {"--help"}, f"no option {word}: {words}"


def extras_exist(words: list[str]) -> None:
    """Every extra in brackets is one of the project's, and every file that pip is given is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words:
        for extras in re.findall(r"\[([\w,-]+)\]", word):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), words
    if "-c" in words:
        assert (ROOT / words[words.index("-c") + 1]).is_file()


def make_target_exists(words: list[str]) -> None:
    """The Makefile has that target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target = next(word for word in words[1:] if "=" not in word)
    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"no target {target} in the Makefile"


def tests_exist(words: list[str]) -> None:
    """The tests that pytest is given are there."""
    paths = [word for word in words if word.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def measure_cells(folder: Path) -> None:
    """Fill in the latencies that a proposal asks for: a sum over the operations of each cell, in ms."""
    costs = {"nor_conv_1x1": 0.6, "nor_conv_3x3": 1.7, "avg_pool_3x3": 0.2}
    path = folder / "ten.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for cell, given in rows:
            measured = 0.5 + sum(costs[name] for name in re.findall(r"\|(\w+?)~", cell))
            writer.writerow([cell, given or f"{measured:.4f}"])


NOT_RUN: tuple[NotRun, ...] = (
    NotRun(r"^(python -m )?pip install |^uv ", "installs from the network", extras_exist),
    NotRun(
        r"^make (?!-C)",
        "installs an environment first; .ci/run runs check, test and the journeys",
        make_target_exists,
    ),
    NotRun(r"^(\w+=\S+ )?pytest ", "is part of this suite itself", tests_exist),
    NotRun(
        r"^hannah-hw calibrate host|my_host\.yaml",
        "measures this machine for minutes and refuses a busy one; tests/measure/test_host_*.py run its parts",
        options_exist,
    ),
    NotRun(
        r"^hannah-hw .*(--runtime tvm|--lowering tvm)|mlflow",
        "needs an extra that the tests' environment does not install (tvm, mlflow); their own tests run it",
        options_exist,
    ),
    NotRun(
        r"^hannah-hw validate stm32l4r5zi( --out|$)",
        "emulates for a minute or more; tests/measure/test_validation.py runs it",
        options_exist,
    ),
)

#: A command -> what its reader then does by hand.
BY_HAND: tuple[tuple[str, Callable[[Path], None]], ...] = ((r"transfer .*--propose ten\.csv", measure_cells),)

#: Commands that go on until the page has ended: they are started, and stopped at its end.
BACKGROUND: tuple[str, ...] = (r"^dask scheduler ", r"^hannah-hw worker ")


def budget(command: str) -> list[str]:
    """What is appended to a command."""
    return next((shlex.split(extra) for pattern, extra in BUDGETS if re.search(pattern, command)), [])


def not_run(command: str) -> NotRun | None:
    """The rule by which a command is not run; None if it is."""
    return next((rule for rule in NOT_RUN if re.search(rule.pattern, command)), None)


def in_background(command: str) -> bool:
    """Whether a command is started and left running."""
    return any(re.search(pattern, command) for pattern in BACKGROUND)
