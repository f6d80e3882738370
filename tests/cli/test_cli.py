"""The command line as a user meets it: a process, its exit code, stdout and stderr."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import hannah_hw
from hannah_hw.cli import main
from hannah_hw.report import read_run
from tests.report.synthetic import write_run

ROOT = Path(__file__).resolve().parents[2]
VERBS = [
    ["init"],
    ["search"],
    ["proxies"],
    ["report"],
    ["export"],
    ["estimate"],
    ["profile"],
    ["measure"],
    ["validate"],
    ["calibrate"],
    ["transfer"],
    ["targets", "list"],
    ["targets", "show"],
    ["targets", "check"],
    ["targets", "ops"],
    ["targets", "new"],
    ["spaces", "list"],
    ["spaces", "show"],
    ["spaces", "sample"],
    ["spaces", "schema"],
    ["spaces", "upgrade"],
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
    assert "error" not in captured.err


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
    assert main(["doctor", "--quick", "--json"]) == 0
    found = document(capsys)
    assert found["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert found["cores"] >= 1
    assert found["catalogues"]["targets"] >= 1
    assert found["optional_packages"]["torch"]["extra"] == "train"
    assert found["optional_packages"]["torch"]["works"] is None


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    empty = tmp_path / "hannah_hw"
    empty.mkdir()
    for source in (ROOT / "hannah_hw").rglob("*.py"):
        copy = empty / source.relative_to(ROOT / "hannah_hw")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    done = run("doctor", "--quick", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path))
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
    assert f"mine.yaml:{line}:1 clok_hz" in message or "'clock_hz' is missing" in message


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


def test_spaces_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "show", "tc_resnet", "--samples", "50", "--set", "max_blocks=2", "--json"]) == 0
    shown = document(capsys)
    assert shown["options"] == {"max_blocks": 2}
    assert (shown["assignments"], shown["sampled"], shown["exhaustive"]) == (8 * 48**2 * 2, 50, False)
    # Stem: 4 widths, 2 kernels; a block: 6 widths, 4 kernels, 2 strides.
    assert shown["candidates"] == {"value": 8 * (48 + 48**2), "error": 0}
    assert shown["macs"]["least"] <= shown["macs"]["median"] <= shown["macs"]["most"]
    assert shown["graph"]["id"] == "tc_resnet_0"
    picture = tmp_path / "picture.svg"
    assert main(["spaces", "show", "tc_resnet", "--samples", "50", "--svg", str(picture)]) == 0
    captured = capsys.readouterr()
    for expected in ("43,370,880", "Of 50 random candidates", "residual_block_0 ... 3"):
        assert expected in captured.out
    assert str(picture) in captured.err
    assert picture.read_text().startswith("<svg ")
    nowhere = tmp_path / "no" / "picture.svg"
    assert main(["spaces", "show", "tc_resnet", "--samples", "50", "--svg", str(nowhere)]) == 2
    assert f"--svg: cannot write {nowhere}" in capsys.readouterr().err


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
    assert main(["export", str(folder), "--to", "", "--out", str(tmp_path / "x")]) == 2
    assert "allowed: onnx, csv" in capsys.readouterr().err
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


def test_export_of_models_that_were_never_trained_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run, out = tmp_path / "free.yaml", str(tmp_path / "run"), str(tmp_path / "x")
    config.write_text(
        "{version: 1, space: ds_cnn, target: stm32l4r5zi, objectives: {latency: min}, search: {evaluations: 2}}",
        encoding="utf-8",
    )
    assert main(["search", str(config), "--out", run]) == 0
    assert main(["export", run, "--to", "onnx,csv", "--out", out]) == 1
    assert "nothing was trained in it; take --to csv" in capsys.readouterr().err
    assert main(["export", run, "--to", "csv", "--out", out]) == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small float32 model of the catalogue's space."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 8, 8), classes=10)
    hannah_hw.to_onnx(space.candidate(space.default()), path)
    return path


def test_estimate_agrees_with_the_library(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(model), "--target", "stm32l4r5zi", "--json"]) == 0
    found = document(capsys)
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 8, 8), classes=10)
    expected = hannah_hw.estimate_population(space, space.encoding.encode([space.default()]), "stm32l4r5zi")
    assert found["latency_s"] == pytest.approx(float(expected.latency_s[0]), rel=1e-9)
    assert found["ram_bytes"] == int(expected.ram_bytes[0])
    assert found["macs"] == space.candidate(space.default()).macs
    assert main(["estimate", str(model), "--target", "stm32l4r5zi"]) == 0
    assert "estimated" in capsys.readouterr().out


def test_estimate_names_what_the_target_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from onnx import TensorProto, helper, save

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"], name="erf")], "g", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "erf.onnx")
    assert main(["estimate", str(tmp_path / "erf.onnx"), "-t", "stm32l4r5zi:cmsis_nn", "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["latency_s"] is None
    assert len(found["unsupported"]) == 1
    assert found["partial"] == {}
    assert "error: stm32l4r5zi:cmsis_nn cannot run 1 of the kernels: 1 Erf" in captured.err


def test_models_that_are_none(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "torn.onnx").write_bytes(model.read_bytes()[:200])
    for verb in (["estimate", "-t", "stm32l4r5zi"], ["profile"]):
        for name in ("torn.onnx", "missing.onnx"):
            assert main([verb[0], str(tmp_path / name), *verb[1:]]) == 2
            assert name in capsys.readouterr().err


def test_profile(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(model), "--runs", "5", "--json"]) == 0
    found = document(capsys)
    assert 0 < found["latency_min_s"] <= found["latency_s"] <= found["latency_p90_s"]
    assert sum(row["share"] for row in found["operators"]) == pytest.approx(1.0)
    assert main(["profile", str(model), "--shape", "1,x"]) == 2


def test_profile_states_its_settings_and_compares(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(model), "--runs", "5", "--optimisation", "basic", "--threads", "2"]) == 0
    text = capsys.readouterr().out
    assert "CPUExecutionProvider, 2 thread(s), optimisation basic\n" in text
    assert "\nmemory arena: " in text
    assert main(["profile", str(model), "--compare", str(model), "--runs", "10"]) == 0
    assert "(95% interval " in capsys.readouterr().out
    assert main(["profile", str(model), "--compare", str(model), "--runs", "10", "--json"]) == 0
    found = document(capsys)
    assert found["ratio_low"] <= found["ratio"] <= found["ratio_high"]
    assert main(["profile", str(model), "--compare", str(model), "--runs", "9"]) == 2
    assert "take at least 10" in capsys.readouterr().err
    assert main(["profile", str(model), "--provider", "CUDAExecutionProvder"]) == 2
    assert "allowed: " in capsys.readouterr().err


def test_validate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "stm32l4r5zi", "--json"]) == 0
    found = document(capsys)
    assert [row["network"] for row in found["rows"]] == ["ic", "kws", "vww", "ad"]
    for row in found["rows"]:
        error = row["predicted_latency_s"] / row["reference_latency_s"] - 1
        assert row["latency_error"] == pytest.approx(error)
        assert abs(error) < 0.10


def test_validate_against_own_measurements(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "board.csv").write_text(f"model,latency_ms\n{model.name},2.0\n")
    assert main(["validate", "nrf5340", "--against", str(model.parent / "board.csv"), "--json"]) == 0
    (row,) = document(capsys)["rows"]
    assert row["reference_latency_s"] == pytest.approx(0.002)
    assert row["energy_error"] is None
    assert main(["validate", "nrf5340", "--against", str(model)]) == 2


def test_calibrate_from_the_shipped_sweep_gives_the_shipped_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ROOT / "cost_models" / "m4" / "cmsis_nn.sweep.csv"
    out = tmp_path / "new" / "mine.yaml"
    assert main(["calibrate", str(sweep), "--out", str(out), "--json"]) == 0
    found = document(capsys)
    shipped = yaml.safe_load((ROOT / "cost_models" / "m4" / "cmsis_nn.yaml").read_text())
    written = yaml.safe_load(out.read_text())
    assert written["name"] == "mine"
    assert (out.parent / written["sweep"]).read_text() == sweep.read_text()
    for name, fitted in written["classes"].items():
        assert fitted["cycles"] == pytest.approx(shipped["classes"][name]["cycles"], rel=1e-5)
    assert found["rows"] == len(sweep.read_text().splitlines()) - 1
    assert main(["calibrate", str(sweep), "--out", str(tmp_path / "x.json")]) == 2


def test_calibrate_leaves_nothing_when_the_cost_model_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ROOT / "cost_models" / "m4" / "cmsis_nn.sweep.csv"
    (tmp_path / "mine.yaml").mkdir()
    assert main(["calibrate", str(sweep), "--out", str(tmp_path / "mine.yaml")]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_search_from_start_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    settings = ["search.evaluations=2", "search.population=4", "training.epochs=1", "search.workers=1"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    done = run("search", "digits_quick", "--out", folder, *overrides, "--json", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["trained"] == 2
    assert (tmp_path / "run" / "report.html").is_file()
    assert all((tmp_path / "run" / entry["artifact"]).is_file() for entry in found["front"])
    assert main(["search", "digits_quick", "--out", folder, *overrides]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main(["search", "--resume", "--out", folder, "--json"]) == 0
    assert document(capsys)["front"] == found["front"]
    assert main(["export", folder, "--pick", "best", "--out", str(tmp_path / "models"), "--json"]) == 0
    (model,) = document(capsys)["files"]
    assert main(["estimate", model, "--target", "stm32l4r5zi", "--json"]) == 0
    assert document(capsys)["latency_s"] == pytest.approx(found["front"][0]["metrics"]["latency_s"])


def test_an_interrupt_exits_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["search", "digits_quick", "--set", "training.epochs=1", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "hannah_hw", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "run" / "candidates.jsonl"
    for _ in range(600):
        if log.is_file() and log.stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"go on: hannah-hw search --resume --out {tmp_path / 'run'}\n" in messages
    assert "Traceback" not in messages
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments", [["targets", "list", "--json"], ["--help"], ["targets", "nope", "--json"]]
)
def test_a_full_disk_behind_stdout_is_one_message(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hannah_hw", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_stdout_is_one_message() -> None:
    code = f"{sys.executable} -m hannah_hw targets list --json >&-"
    done = subprocess.run(
        ["bash", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to standard output: it is closed\n"


def test_a_working_folder_that_is_gone_is_one_message(tmp_path: Path) -> None:
    code = f"mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m hannah_hw doctor --quick --json"
    done = subprocess.run(
        ["bash", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "working folder no longer exists" in json.loads(done.stdout)["error"]["message"]
    assert "Traceback" not in done.stderr


def test_more_memory_than_there_is_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from onnx import TensorProto, helper, save

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "n", "m"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(made, tmp_path / "open.onnx")
    assert main(["profile", str(tmp_path / "open.onnx"), "--shape", "1,99999999,99999999"]) == 2
    said = capsys.readouterr().err
    assert "inputs of the shapes (1, 99999999, 99999999) take 74505804.5 GiB" in said
    assert said.rstrip().endswith("give a smaller --shape")


@pytest.mark.parametrize("shape", ["1,0,8,8", "1,-1", "", "=1,2", "x=", "1,x", "9" * 5000])
def test_shapes_that_are_none(shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "model.onnx", "--shape", shape]) == 2
    assert "every size at least 1" in capsys.readouterr().err
