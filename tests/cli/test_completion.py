"""Tab in a shell: the script that typer writes, run by a real bash, and what is offered for arguments."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hannah_hw import catalog
from hannah_hw.cli import completion
from hannah_hw.errors import DataError
from hannah_hw.scoring import load_data

ROOT = Path(__file__).resolve().parents[2]

#: Presses Tab at the end of a line: calls the function that is registered for the command, as readline does.
TAB = """
source script.bash
press() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    $(complete -p hannah-hw | sed 's/.*-F \\([^ ]*\\) .*/\\1/') hannah-hw
    printf '%s|' "${COMPREPLY[@]}"; echo
}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "mine.yaml",
        "model.onnx",
        "my space.py",
        "sub/chip.yaml",
        "runs/first/config.yaml",
        "x.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_shell_completes_verbs_names_and_files(here: Path) -> None:
    command = here / "bin" / "hannah-hw"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hannah_hw "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    script = subprocess.run(
        ["hannah-hw", "--show-completion", "bash"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (here / "script.bash").write_text(script.stdout)
    lines = {
        "hannah-hw est": ["estimate"],
        "hannah-hw estimate mod": ["model.onnx"],
        "hannah-hw estimate model.onnx --target stm32l": ["stm32l4r5zi"],
        "hannah-hw search d": ["digits_quick"],
        "hannah-hw report runs/": ["runs/first"],
        "hannah-hw init unknown": [],
    }
    pressed = "\n".join(f"press {line}" for line in lines)
    done = subprocess.run(
        ["bash", "--norc", "-c", TAB + pressed],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    shown = [[word for word in line.split("|") if word] for line in done.stdout.splitlines()]
    assert dict(zip(lines, shown, strict=True)) == lines


def test_names_of_the_catalogues_come_with_files_of_the_right_kind(here: Path) -> None:
    assert completion.targets("") == [*catalog.names("targets"), "mine.yaml"]
    assert completion.targets("sub/") == ["sub/chip.yaml"]
    assert completion.models("") == ["model.onnx"]
    assert completion.configurations("m") == ["mnist_stm32l4r5zi", "mine.yaml"]
    assert completion.runs("") == ["runs/first"]
    assert completion.either(completion.runs, completion.models)("") == ["runs/first", "model.onnx"]
    # What would need quotes is left to the shell, which knows how to write them.
    assert completion.spaces("my") == []
    for nothing in ("no/such/folder/", "\0", "/etc/shadow/"):
        assert completion.models(nothing) == []


def test_the_data_sets_are_those_that_can_be_loaded() -> None:
    for name in completion.data("d"):
        assert load_data(name).name == name
    with pytest.raises(DataError) as raised:
        load_data("no such data")
    named = [name for name in raised.value.allowed if name.isidentifier()]
    assert named == [name for name in completion.data("") if name.isidentifier()]
