"""What ``doctor`` says of packages and programs, by really importing and starting them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path

import pytest

from hannah_hw.cli import main
from hannah_hw.onboarding import health, packages, programs
from hannah_hw.onboarding.packages import CORE, OPTIONAL, Package, broken
from hannah_hw.onboarding.programs import PROGRAMS, Program, look_for


def script(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_package_that_is_there_and_cannot_be_imported_is_found() -> None:
    found = broken(
        [
            Package("numpy", "import numpy", "", "first"),
            Package("onnx", "raise ImportError('libprotobuf.so.32: cannot open')", "", "first"),
            Package("pyyaml", "import yaml", "", "first"),
            Package("pydantic", "import os; os.abort()", "", "second"),
            Package("typer", "import typer; print('noise')", "", "third"),
            Package("no-such-package-at-all", "raise ImportError", "", "fourth"),
        ]
    )
    assert list(found) == ["onnx", "pydantic"]
    assert found["onnx"] == "ImportError: libprotobuf.so.32: cannot open"
    assert re.search(r"code -?\d+", found["pydantic"])


def test_a_package_that_never_finishes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "TIMEOUT_S", 2.0)
    endless = Package("onnx", "import time; time.sleep(600)", "", "x")
    assert broken([endless, Package("rich", "import rich", "", "x")]) == {
        "onnx": "it was not imported within 2 s"
    }


def test_every_trial_imports_something_of_its_package() -> None:
    for package in (*CORE, *OPTIONAL):
        module = re.findall(r"^import (\w+)", package.trial)[0]
        if package.version is None:
            assert importlib.util.find_spec(module) is None
        else:
            files = importlib.metadata.files(package.name) or []
            assert {f"{module}/__init__.py", f"{module}.py", f"{module}/vela/__init__.py"} & set(
                map(str, files)
            )


def test_programs_are_asked_for_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "works", "echo 'works 1.2'; echo more")
    script(tmp_path, "fails", "exit 7")
    script(tmp_path, "hangs", "exec sleep 600")
    (tmp_path / "no_program").write_bytes(b"\x7fELF nothing")
    (tmp_path / "no_program").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert look_for(Program(("absent", "works"), "", "")).version == "works 1.2"
    assert look_for(Program(("absent",), "", "")).path is None
    assert "code 7" in look_for(Program(("fails",), "", "")).problem
    assert "does not start" in look_for(Program(("no_program",), "", "")).problem
    monkeypatch.setattr(programs, "TIMEOUT_S", 0.5)
    assert "within 0.5 s" in look_for(Program(("hangs",), "", "")).problem


def test_doctor_says_what_is_broken_and_what_would_repair_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = [package for package in OPTIONAL if package.extra == "emulate"]
    absent = Package("no-such-package-at-all", "import nothing", "nothing", "train")
    torn = Package("pytest", "raise ImportError('torn')", "exports", "mlflow")
    monkeypatch.setattr(health, "OPTIONAL", (*here, absent, torn))
    script(tmp_path, "cmake", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["doctor", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    packaged = found["optional_packages"]
    assert all(packaged[package.name]["works"] is True for package in here if package.version is not None)
    assert packaged["no-such-package-at-all"]["works"] is None
    assert packaged["pytest"]["works"] is False
    assert f"pip install --force-reinstall pytest=={pytest.__version__}" in captured.err
    assert found["programs"]["cmake"]["works"] is False
    assert found["programs"]["make"] == {
        "path": None,
        "version": None,
        "works": None,
        "problem": None,
        "enables": PROGRAMS[1].enables,
        "install": "apt install make",
    }


def test_doctor_shows_what_is_missing_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = Package("no-such-package-at-all", "import nothing", "nothing", "train")
    monkeypatch.setattr(health, "CORE", CORE[:1])
    monkeypatch.setattr(health, "OPTIONAL", (absent, Package("pytest", "1 / 0", "exports", "mlflow")))
    monkeypatch.setenv("PATH", "")
    assert main(["doctor"]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["no-such-package-at-all", "pip install 'hannah-hw[train]'", "nothing"] in cells
    assert ["make", "apt install make", PROGRAMS[1].enables] in cells
    assert ["pytest", f"{pytest.__version__} broken", "exports"] in cells


def test_a_needed_package_that_is_broken_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = Package("numpy", "raise ImportError('torn')", "the engine")
    monkeypatch.setattr(health, "CORE", (torn,))
    monkeypatch.setattr(health, "OPTIONAL", ())
    assert main(["doctor", "--json"]) == 1
    assert "problem: numpy is installed, but ImportError: torn" in capsys.readouterr().err
