"""Help that can be typed, and messages that say what to type next."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import hannah_hw
from hannah_hw import catalog
from hannah_hw.cli import main
from hannah_hw.cli.app import app
from tests.report.synthetic import write_run

COMMAND: Any = typer.main.get_command(app)


def commands(group: Any, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """(words, command) of every verb, and of the group itself."""
    found = [(words, group)]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*words, name))
    return found


EXAMPLES = [
    pytest.param(example, id=f"{' '.join(words)}: {example}")
    for words, command in commands(COMMAND)
    for example in re.findall(r"\[bold\](hannah-hw [^[]*(?:\\\[[^[]*)*)\[/bold\]", command.help or "")
]


def parsed(example: str) -> tuple[str, dict[str, Any]]:
    """Verb and parameters of a command as it would be run; wrong ones raise."""
    words = shlex.split(example.replace("\\[", "["))[1:]
    words = words[: words.index(">")] if ">" in words else words
    command, verb = COMMAND, []
    while hasattr(command, "commands"):
        verb.append(words.pop(0))
        command = command.commands[verb[-1]]
    return " ".join(verb), command.make_context(" ".join(verb), words).params if words else {}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_parsed_and_names_what_there_is(example: str) -> None:
    verb, params = parsed(example)
    for name, kind in (("target", "targets"), ("like", "targets"), ("space", "search_spaces")):
        given = params.get(name) or ()
        for text in given if isinstance(given, list | tuple) else [given]:
            plain = re.split(r"[:\[]", str(text))[0]
            # Words in capitals stand for what the reader has.
            assert (
                plain.isupper() or plain in catalog.names(kind) or Path(plain).suffix in catalog.KINDS[kind]
            )
    if verb in ("search", "proxies") and params.get("config") is not None:
        named = str(params["config"])
        assert named in catalog.names("examples") or re.fullmatch(r"my\w*\.yaml", named)


def test_every_verb_has_examples() -> None:
    for words, command in commands(COMMAND):
        if not hasattr(command, "commands"):
            assert f"hannah-hw {' '.join(words)}" in (command.help or "").replace("[bold]", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user may have lying about."""
    folder = tmp_path_factory.mktemp("wrong")
    write_run(folder / "run", 30)
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 8, 8), classes=10)
    hannah_hw.to_onnx(space.candidate(space.default()), folder / "model.onnx")
    (folder / "notes.txt").write_text("hello")
    (folder / "b.csv").write_text("a,b\n1,2\n")
    head = "version: 1\ntarget: stm32l4r5zi\nobjectives: {error: min}\n"
    (folder / "series.yaml").write_text(f"{head}space: tc_resnet\ndata: digits\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "next_step"),
    [
        ("search", "`hannah-hw init` writes one"),
        ("search nothing.yaml", "`hannah-hw init DATA --target CHIP` writes a configuration"),
        ("search model.onnx", "is no UTF-8 text; give a YAML file"),
        ("search series.yaml --dry-run", "`hannah-hw init DATA --target CHIP` chooses one that fits"),
        ("search run", "'run' is no example: the name of such a file ends in .yaml"),
        ("report", "for example: hannah-hw report runs/mnist"),
        ("report notes.txt", "give the folder that 'hannah-hw search --out FOLDER' wrote"),
        ("help", "more: hannah-hw --help"),
        ("spaces sample ds_cnn --cont 3", "more: hannah-hw spaces sample --help"),
        ("estimate model.onnx", "for example: hannah-hw estimate model.onnx --target stm32l4r5zi"),
        ("estimate model.onnx -t esp99", "`hannah-hw targets new NAME` begins one of your own"),
        ("estimate run -t stm32l4r5zi", "`hannah-hw export RUN --to onnx` writes them"),
        ("profile run", "is a folder; give an .onnx file"),
        ("targets check notes.txt", "the name of such a file ends in .yaml"),
        ("spaces show nothing", "`hannah-hw spaces list` shows all"),
        ("calibrate b.csv --out x.yaml", "the column 'kernel' is missing"),
        (
            "validate stm32l4r5zi --against no.csv",
            "cannot read the measurements: No such file or directory\n",
        ),
        ("worker nowhere", "write it as tcp://HOST:PORT"),
    ],
)
def test_a_wrong_input_says_what_to_do(
    arguments: str,
    next_step: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(shlex.split(arguments)) == 2
    said = capsys.readouterr().err
    assert next_step in said
    assert said.count("error:") == 1
    assert "run directory runs" not in said
    assert not (folder / "runs").exists()


def test_a_command_that_a_message_names_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["estimate", "model.onnx", "-t", "max78000"]) == 1
    command = re.findall(r"`(hannah-hw [^`]*)` shows by which rule", capsys.readouterr().err)[0]
    assert main(shlex.split(command)[1:]) == 0
    # The three depthwise convolutions, which MAX78000 cannot run.
    assert capsys.readouterr().out.count("groups == 1") == 3


def test_a_condition_that_nothing_satisfies_names_the_range_of_the_front(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(folder / "run"), "--pick", "latency < 1 ns and ram <= 1 GiB"]) == 2
    said = capsys.readouterr().err
    least = float(re.findall(r"Latency is ([\d.]+) ms to [\d.]+ ms there; RAM is", said)[0])
    for bound, code in ((0.99 * least, 2), (1.01 * least, 0)):
        pick = f"latency <= {bound} ms"
        assert main(["export", str(folder / "run"), "--pick", pick, "--out", str(folder / "picked")]) == code
