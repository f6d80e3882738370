"""``hannah-hw export --to tflite``: .tflite files of a run's models, and of any int8 model."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("tflite")

from hannah_hw.cli import main
from hannah_hw.firmware.network import read_network
from hannah_hw.firmware.tflite import outline, to_tflite
from hannah_hw.lowering import to_onnx
from hannah_hw.spaces import load_space
from tests.firmware.models import plain, residual
from tests.report.synthetic import write_run


def export(*arguments):
    return main(["export", *map(str, arguments)])


def test_a_model_becomes_a_file(tmp_path, capsys):
    model = residual(tmp_path / "my-net.onnx")
    assert export(model, "--to", "tflite", "--out", tmp_path / "out", "--json") == 0
    written = tmp_path / "out" / "my-net.tflite"
    assert json.loads(capsys.readouterr().out) == {"picked": ["my-net"], "files": [str(written)]}
    assert written.read_bytes() == to_tflite(read_network(model))


def test_a_model_becomes_c_and_a_file(tmp_path, capsys):
    model = plain(tmp_path / "net.onnx")
    assert export(model, "--to", "c,tflite", "--core", "host", "--out", tmp_path / "out", "--json") == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert str(tmp_path / "out/net.tflite") in files
    assert str(tmp_path / "out/net/README.md") in files


def test_models_of_a_run_become_files(tmp_path, capsys):
    folder = tmp_path / "run"
    write_run(folder, 30)
    for path in (folder / "artifacts").glob("*.onnx"):
        plain(path)
    assert export(folder, "--pick", "front", "--to", "tflite,csv", "--out", tmp_path / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    names = {f"{name}.tflite" for name in document["picked"]} | {"candidates.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert len(document["picked"]) > 1


def test_a_float_model_is_quantised_with_samples(tmp_path, capsys):
    space = load_space("mlperf_tiny:fc_autoencoder")
    to_onnx(space.candidate(space.default()), tmp_path / "ad.onnx")
    assert export(tmp_path / "ad.onnx", "--to", "tflite", "--out", tmp_path) == 2
    assert "--calibration" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(4, 640)).astype(np.float32))
    arguments = ["--to", "tflite", "--calibration", tmp_path / "x.npy", "--out", tmp_path]
    assert export(tmp_path / "ad.onnx", *arguments) == 0
    calls = outline((tmp_path / "ad.tflite").read_bytes(), "ad.tflite").calls
    assert [call.code for call in calls] == ["FULLY_CONNECTED"] * 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "onnx"], "a model is written as C or TFLite"),
        (["--to", "tflite", "--core", "m4"], "--core: it is for C; add --to c"),
        (["--to", "tflite", "--build"], "--build: it is for C"),
        (["--to", "tfl"], "did you mean 'tflite'?"),
    ],
)
def test_bad_options_are_named(tmp_path, capsys, arguments, words):
    model = plain(tmp_path / "net.onnx")
    assert export(model, *arguments, "--out", tmp_path / "out") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_calibration_of_a_run_is_refused(tmp_path, capsys):
    write_run(tmp_path / "run", 30)
    assert export(tmp_path / "run", "--to", "tflite", "--calibration", "x.npy") == 2
    assert "models of a run are int8" in capsys.readouterr().err
