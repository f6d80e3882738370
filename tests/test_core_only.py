"""An installation without any extra: what works, and that what does not says which extra brings it.

A child process, which finds the core dependencies only, uses every public name and every verb.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from packaging.requirements import Requirement

from hannah_hw.cli.app import app

ROOT = Path(__file__).resolve().parent.parent

CHILD = r"""
import contextlib, io, json, sys

import hannah_hw
from hannah_hw.cli import main
from hannah_hw.errors import MissingExtraError

def outcome(do):
    try:
        do()
    except MissingExtraError as error:
        return error.extra
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "works"

def run(arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = main(arguments)
    return [code, said.getvalue()]

names = {name: outcome(lambda: getattr(hannah_hw, name)) for name in hannah_hw.__all__}
space = hannah_hw.load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
candidate = space.candidate(space.sample(seed=0))
hannah_hw.to_onnx(candidate, "model.onnx")
calls = {
    "estimate": outcome(lambda: hannah_hw.estimate(candidate, "stm32l4r5zi")),
    "population": outcome(lambda: hannah_hw.estimate_population(space, space.sample_population(4), "eyeriss")),
    "to_torch": outcome(lambda: hannah_hw.to_torch(candidate)),
    "search": outcome(lambda: hannah_hw.Search(space, "eyeriss", ["latency"]).fit(4)),
}
verbs = [[verb, *run(verb)] for verb in json.loads(sys.argv[1])]
print(json.dumps({"names": names, "calls": calls, "verbs": verbs}))
"""

SEARCH = """
version: 1
space: tc_resnet
target: ultratrail
data: digits
objectives: {latency: min, energy: min}
search: {evaluations: 4, seed: 0}
"""

#: Needs a table of many devices; ``tests/transfer`` has one.
LEFT_OUT = {"transfer"}

#: Does without the extra what it can, and says what was left out.
PARTLY = {"validate stm32l4r5zi"}

#: A command line -> the extra that it needs, or None. In this order; later ones use files of earlier ones.
COMMANDS: dict[str, str | None] = {
    "doctor --quick": None,
    "targets list": None,
    "targets show stm32l4r5zi": None,
    "targets new my_npu": None,
    "targets check my_npu.yaml": None,
    "targets ops my_npu.yaml model.onnx": None,
    "spaces list": None,
    "spaces show ds_cnn": None,
    "spaces sample ds_cnn": None,
    "spaces legalize tc_resnet --target ultratrail": None,
    "spaces schema": None,
    "estimate model.onnx --target stm32l4r5zi": None,
    "estimate model.onnx --target stm32l4r5zi --lowering tvm": "tvm",
    "profile model.onnx --runs 3": None,
    "measure model.onnx --target stm32l4r5zi --calibration random": "emulate",
    "measure model.onnx --runtime tvm": "tvm",
    "measure model.onnx --target ethos_u55_128": "vela",
    "validate stm32l4r5zi": "emulate",
    "calibrate m4": "emulate",
    "search search.yaml --dry-run": None,
    "search search.yaml --out runs/priced": None,
    "search digits_quick --out runs/trained": "data,train",
    "worker tcp://127.0.0.1:1": "distributed",
    "proxies digits_quick --count 8 --out runs/proxies": "data,train",
    "report runs/priced": None,
    "export runs/priced --to csv --out chosen": None,
    "export runs/priced --to optuna --out chosen": None,
    "export runs/priced --to mlflow": "mlflow",
    "data digits": "data",
    "data series.npz": None,
    "init series.npz --target stm32l4r5zi --out mine.yaml": None,
    "spaces upgrade vega.yaml": None,
}


def core_packages(folder: Path) -> None:
    """Link what the core dependencies of the package install, and nothing else, into a folder."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting, done = [Requirement(line) for line in project["dependencies"]], set()
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower()
        if name in done or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        done.add(name)
        distribution = importlib.metadata.distribution(name)
        waiting += [Requirement(line) for line in distribution.requires or []]
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the child found."""
    packages, folder = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("core")
    core_packages(packages)
    (folder / "search.yaml").write_text(SEARCH, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "fixtures" / "vega" / "fine_resnet50.yaml", folder / "vega.yaml")
    random = np.random.default_rng(0)
    parts = {f"x_{part}": random.normal(size=(40, 2, 32)).astype(np.float32) for part in ("train", "test")}
    labels = {f"y_{part}": np.arange(40) % 4 for part in ("train", "test")}
    np.savez(folder / "series.npz", **parts, **labels)
    commands = json.dumps([command.split() for command in COMMANDS])
    done = subprocess.run(
        [sys.executable, "-S", "-c", CHILD, commands],  # without site-packages
        cwd=folder,
        env={"PYTHONPATH": f"{packages}:{ROOT}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def verbs() -> set[str]:
    """Every verb of the command line, those of groups with their group."""

    def names(of: typer.Typer) -> list[str]:
        return [verb.name or verb.callback.__name__ for verb in of.registered_commands if verb.callback]

    groups = [(group.name, group.typer_instance) for group in app.registered_groups]
    return {*names(app), *(f"{name} {verb}" for name, group in groups if group for verb in names(group))}


def test_every_verb_is_used() -> None:
    used = {verb for verb in verbs() if any(f"{command} ".startswith(f"{verb} ") for command in COMMANDS)}
    assert verbs() - used == LEFT_OUT


@pytest.mark.parametrize("command", COMMANDS)
def test_a_verb_works_or_names_its_extra(seen: dict[str, Any], command: str) -> None:
    ((code, said),) = [(code, said) for words, code, said in seen["verbs"] if words == command.split()]
    extra = COMMANDS[command]
    named = re.findall(r"pip install 'hannah-hw\[([\w,]+)\]'", said)
    assert named == ([] if extra is None else [extra]), said
    assert code == int(extra is not None and command not in PARTLY)


def test_public_names_work_or_name_their_extra(seen: dict[str, Any]) -> None:
    needing = {name: outcome for name, outcome in seen["names"].items() if outcome != "works"}
    assert needing == dict.fromkeys(
        ["DifferentiableExecutor", "ExpectedCost", "WeightSharingExecutor", "to_torch"], "train"
    )


def test_pricing_and_searching_need_no_extra(seen: dict[str, Any]) -> None:
    assert seen["calls"] == {
        "estimate": "works",
        "population": "works",
        "to_torch": "train",
        "search": "works",
    }
