"""The command line as a user meets it: a process, its exit code, stdout and stderr."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hannah_hw.cli import main
from hannah_hw.report import read_run
from tests.report.synthetic import write_run

ROOT = Path(__file__).resolve().parents[2]
VERBS = [
    ["search"],
    ["report"],
    ["export"],
    ["estimate"],
    ["profile"],
    ["validate"],
    ["calibrate"],
    ["targets", "list"],
    ["targets", "show"],
    ["targets", "check"],
    ["targets", "ops"],
    ["spaces", "list"],
    ["spaces", "show"],
    ["spaces", "sample"],
    ["doctor"],
]


def run(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hannah_hw", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run"
    write_run(path, 60)
    return path


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_help_with_an_example_and_json(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"hannah-hw {' '.join(verb)}" in shown
    assert "--json" in shown


@pytest.mark.parametrize("group", [["targets"], ["spaces"]])
def test_a_group_without_a_verb_shows_its_verbs(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(group)
    captured = capsys.readouterr()
    assert "list" in captured.out + captured.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serch"], "search"),
        (["report"], "RUN"),
        (["report", "no/such/run"], "not a run directory"),
        (["search", "no_such_example"], "mnist_stm32l4r5zi"),
        (["search", "missing.yaml"], "missing.yaml"),
        (["search", "--resume"], "--out"),
        (["targets", "show", "stm32l4r5z"], "stm32l4r5zi"),
        (["spaces", "show", "ds_cn"], "ds_cnn"),
        (["spaces", "show", "ds_cnn", "--set", "classes"], "KEY=VALUE"),
    ],
)
def test_bad_input_exits_with_2_and_one_message(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert captured.err.count("error:") == 1


def test_json_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "no/such/run", "--json"]) == 2
    assert document(capsys)["error"]["exit_code"] == 2
    assert main(["doctor", "--json", "--nonsense"]) == 2
    assert document(capsys)["error"]["kind"] == "UsageError"


def test_debug_shows_the_traceback() -> None:
    done = run("report", "no/such/run", HANNAH_HW_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_crash() -> None:
    code = f"{sys.executable} -m hannah_hw targets list --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = document(capsys)
    assert found["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert found["cores"] >= 1
    assert found["catalogues"]["targets"] >= 1
    assert found["optional_packages"]["torch"]["extra"] == "train"


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    empty = tmp_path / "hannah_hw"
    empty.mkdir()
    for source in (ROOT / "hannah_hw").rglob("*.py"):
        copy = empty / source.relative_to(ROOT / "hannah_hw")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    done = run("doctor", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "'targets' is empty" in json.loads(done.stdout)["problems"][0]
    assert "problem:" in done.stderr


def test_targets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in document(capsys)}
    assert listed["stm32l4r5zi"]["clock_hz"] == 120e6
    assert listed["nrf5340"]["clock_hz"] == 128e6
    for name in listed:
        assert main(["targets", "check", name, "--json"]) == 0
        assert document(capsys)["valid"] is True
    assert main(["targets", "show", "stm32l4r5zi"]) == 0
    assert "clock_hz" in capsys.readouterr().out


def test_a_wrong_target_file_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "targets" / "stm32l4r5zi.yaml").read_text().replace("clock_hz:", "clok_hz:")
    line = next(number for number, row in enumerate(text.splitlines(), 1) if row.startswith("clok_hz:"))
    (tmp_path / "mine.yaml").write_text(text)
    assert main(["targets", "check", str(tmp_path / "mine.yaml")]) == 2
    message = capsys.readouterr().err
    assert f"mine.yaml:{line} clok_hz" in message or "'clock_hz' is missing" in message


def test_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "list", "--json"]) == 0
    assert {"ds_cnn", "tc_resnet"} <= {entry["name"] for entry in document(capsys)}
    assert main(["spaces", "show", "ds_cnn", "--json"]) == 0
    shown = document(capsys)
    assert shown["parameters"]
    assert main(["spaces", "sample", "ds_cnn", "-n", "3", "--seed", "5", "--json"]) == 0
    first = document(capsys)
    assert main(["spaces", "sample", "ds_cnn", "-n", "3", "--seed", "5", "--json"]) == 0
    assert document(capsys) == first
    assert len({entry["id"] for entry in first}) == 3
    assert all(entry["macs"] > 0 for entry in first)
    ids = {row["id"] for row in shown["parameters"]}
    assert all(set(entry["assignment"]) <= ids for entry in first)


def test_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--json"]) == 0
    found = document(capsys)
    data = read_run(folder)
    assert Path(found["report"]).is_file()
    assert [entry["id"] for entry in found["front"]] == [data.candidates[i].id for i in data.front]
    assert found["knee"] in {entry["id"] for entry in found["front"]}


def test_export_writes_models_and_a_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    arguments = ["export", folder, "--pick", "front", "--to", "onnx,csv", "--out", out, "--json"]
    assert main([str(argument) for argument in arguments]) == 0
    data = read_run(folder)
    front = [data.candidates[i] for i in data.front]
    assert document(capsys)["picked"] == [candidate.id for candidate in front]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["candidates.csv", *(f"{candidate.id}.onnx" for candidate in front)]
    )
    with (out / "candidates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["latency_s"]) for row in rows] == [candidate.values["latency_s"] for candidate in front]
    assert json.loads(rows[0]["assignment"]) == front[0].assignment


def test_export_refuses_an_unknown_format(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(folder), "--to", "onx", "--out", str(tmp_path / "x")]) == 2
    assert "did you mean 'onnx'?" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_export_of_a_lost_model_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run", 30)
    for model in (tmp_path / "run" / "artifacts").iterdir():
        model.unlink()
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "x")]) == 1
    assert "is not in" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
