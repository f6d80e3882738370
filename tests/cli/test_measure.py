"""``hannah-hw measure`` and ``validate`` on the command line: what is printed, and the exit codes."""

import csv
import io
import json

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")
pytest.importorskip("elftools")
pytest.importorskip("ziglang")

from hannah_hw.cli import main
from hannah_hw.lowering import to_onnx
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.spaces import load_space


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``ad_float.onnx`` and ``ad.onnx``, the fully connected autoencoder of MLPerf Tiny."""
    path = tmp_path_factory.mktemp("models")
    space = load_space("mlperf_tiny:fc_autoencoder")
    to_onnx(space.candidate(space.default()), path / "ad_float.onnx")
    samples = np.random.default_rng(0).normal(size=(4, 640)).astype(np.float32)
    quantise_int8(path / "ad_float.onnx", path / "ad.onnx", samples)
    return path


def test_measure_prints_figures_kernels_and_what_was_checked(folder, capsys):
    assert main(["measure", str(folder / "ad.onnx"), "--target", "stm32l4r5zi"]) == 0
    shown = capsys.readouterr().out
    for word in ("Cortex-M4", "emulated", "latency_s", "cycles/MAC", "flash reads", "hn_", "RAM: arena"):
        assert word in shown
    assert "2 random inputs: every output is that of the integer reference" in shown


def test_measure_as_json(folder, capsys):
    assert main(["measure", str(folder / "ad.onnx"), "-t", "stm32l4r5zi", "--core", "m33", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["core"] == "Cortex-M33"
    assert document["macs"] == sum(row["macs"] for row in document["kernels"]) == 264_192
    for key, unit in (
        ("latency_s", "s"),
        ("ram_bytes", "bytes"),
        ("flash_bytes", "bytes"),
        ("cycles", "cycles"),
    ):
        assert document["figures"][key]["unit"] == unit
        assert document["figures"][key]["source"] == "emulated"
    for row in document["kernels"]:
        assert row["cycles_per_mac"] == pytest.approx(row["core_cycles"] / row["macs"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ad_float.onnx", "-t", "stm32l4r5zi"], 2, "--calibration"),
        (["nothing.onnx", "-t", "stm32l4r5zi"], 2, "nothing.onnx"),
        (["ad.onnx", "-t", "stm32l4r5z"], 2, "did you mean 'stm32l4r5zi'"),
        (["ad.onnx", "-t", "stm32l4r5zi", "--core", "m55x"], 2, "allowed: m0p"),
        (["ad.onnx", "-t", "stm32l4r5zi", "--compiler", "clang"], 2, "allowed: zig, gcc"),
        (["ad.onnx", "-t", "SMALL"], 1, "bytes of flash, and there are"),
    ],
)
def test_wrong_input_exits_with_2_and_a_failed_measurement_with_1(folder, capsys, arguments, code, words):
    from hannah_hw.measure.boards import write_target
    from hannah_hw.targets import load_target

    small = load_target("stm32l4r5zi").model_copy(update={"flash_bytes": 65536})
    write_target(small, folder / "small.yaml")
    given = [str(folder / "small.yaml") if word == "SMALL" else word for word in arguments]
    given[0] = str(folder / given[0])
    assert main(["measure", *given]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert words in captured.err


def test_calibrate_against_a_board_writes_a_target(folder, capsys):
    from hannah_hw.targets import load_target

    to_onnx_again = load_space("mlperf_tiny:ds_cnn_kws")
    to_onnx(to_onnx_again.candidate(to_onnx_again.default()), folder / "kws.onnx")
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerows(
        [["model", "latency_s", "energy_j"], ["ad.onnx", 0.0085, 0.00044], ["kws.onnx", 0.1, 0.0052]]
    )
    (folder / "board.csv").write_text(text.getvalue())
    out = folder / "mine.yaml"
    arguments = ["calibrate", "stm32l4r5zi:cmsis_nn", "--against", str(folder / "board.csv")]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["network"] for row in document["networks"]} == {"ad.onnx", "kws.onnx"}
    assert main([*arguments, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "wait cycles" in shown.out
    assert load_target(out).model.flash_wait_cycles.value == pytest.approx(
        document["flash_wait_cycles"], rel=1e-3
    )
    assert main(["validate", str(out), "--against", str(folder / "board.csv"), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    held_in = {row["network"]: row["latency_error"] for row in document["networks"]}
    for row in checked["rows"]:
        assert row["latency_error"] == pytest.approx(held_in[row["network"]], abs=1e-3)


def test_measuring_with_another_runtime_says_whose_kernels_run(folder, capsys):
    assert main(["measure", str(folder / "ad.onnx"), "-t", "stm32l4r5zi"]) == 0
    ours = capsys.readouterr()
    assert ours.err == ""
    assert main(["measure", str(folder / "ad.onnx"), "-t", "stm32l4r5zi:cmsis_nn"]) == 0
    other = capsys.readouterr()
    assert other.out == ours.out
    assert "this measures stm32l4r5zi:hannah" in other.err


@pytest.mark.parametrize(
    "verb",
    [["measure", "--target", "stm32l4r5zi"], ["validate", "stm32l4r5zi", "--model"]],
    ids=lambda verb: verb[0],
)
def test_a_calibration_of_an_int8_model_is_said_to_be_unused(folder, capsys, verb):
    assert main([*verb, str(folder / "ad.onnx"), "--calibration", "random", "--json"]) == 0
    assert "ad.onnx is int8 already, so --calibration is not used" in capsys.readouterr().err


def test_estimate_warns_of_a_model_that_does_not_fit_as_measure_refuses_it(folder, capsys):
    from hannah_hw.measure.boards import write_target
    from hannah_hw.targets import load_target

    small = load_target("stm32l4r5zi").model_copy(update={"flash_bytes": 65536})
    write_target(small, folder / "small.yaml")
    arguments = [str(folder / "ad.onnx"), "-t", str(folder / "small.yaml")]
    assert main(["estimate", *arguments]) == 0
    assert "KiB of flash, and " in capsys.readouterr().err
    assert main(["measure", *arguments]) == 1
    assert main(["estimate", str(folder / "ad.onnx"), "-t", "stm32l4r5zi"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_without_a_compiler_validate_says_so_where_nothing_is_published(monkeypatch, tmp_path, capsys):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ziglang" else find(name, *rest)
    )
    assert main(["validate", "rp2040"]) == 1
    said = capsys.readouterr().err
    assert "there is no C compiler for Cortex-M0+; install" in said
    assert "--against FILE.csv" in said
    assert main(["validate", "stm32l4r5zi"]) == 0
    assert "MLPerf Tiny" in capsys.readouterr().out
