"""``hannah-hw measure`` on an Ethos-U: what is printed, and the exit codes."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("ethosu.vela")
pytest.importorskip("tflite")

from hannah_hw import catalog
from hannah_hw.cli import main
from hannah_hw.firmware.network import read_network
from hannah_hw.firmware.tflite import to_tflite
from tests.firmware.models import residual


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``model.onnx``, the same as ``model.tflite``, and targets."""
    path = tmp_path_factory.mktemp("vela")
    residual(path / "model.onnx")
    (path / "model.tflite").write_bytes(to_tflite(read_network(path / "model.onnx")))
    target = catalog.find("targets", "ethos_u55_128").read_text()
    (path / "npu.yaml").write_text(target)
    (path / "fast.yaml").write_text(target.replace("500 MHz", "600 MHz"))
    (path / "none.yaml").write_text(re.sub(r"  vela: .*\n", "", target))
    (path / "moon.yaml").write_text(
        target.replace("accelerator: ethos-u55-128", "accelerator: ethos-u55-127")
    )
    return path


def measured(folder, model, capsys):
    assert main(["measure", str(folder / model), "-t", "ethos_u55_128", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_model_is_measured_layer_by_layer(folder, capsys):
    document = measured(folder, "model.onnx", capsys)
    network = read_network(folder / "model.onnx")
    assert [row["name"] for row in document["kernels"]] == [layer.name for layer in network.layers]
    assert sum(row["cycles"] or 0 for row in document["kernels"]) == document["figures"]["cycles"]["value"]
    assert document["figures"]["latency_s"]["value"] == pytest.approx(
        document["figures"]["cycles"]["value"] / 500e6
    )
    for figure in document["figures"].values():
        assert figure["source"] == "measured"
        assert "ethos-u-vela" in figure["note"]
    assert "not silicon" in document["figures"]["cycles"]["note"]
    assert document["on_cpu"] == []
    assert document["figures"]["ram_bytes"]["value"] == document["memory"]["sram"]


def test_the_same_as_tflite_has_the_same_figures(folder, capsys):
    ours, given = (measured(folder, name, capsys) for name in ("model.onnx", "model.tflite"))
    assert ours["figures"] == given["figures"]


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_a_calibration_of_an_int8_model_is_said_to_be_unused(folder, capsys, name):
    given = ["measure", str(folder / name), "-t", "ethos_u55_128", "--calibration", "random"]
    assert main(given) == 0
    assert f"{name} is int8 already, so --calibration is not used" in capsys.readouterr().err


def test_it_is_printed_for_people(folder, capsys):
    assert main(["measure", str(folder / "model.onnx"), "-t", "ethos_u55_128"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "ethos-u55-128",
        "its own cycle estimate, not silicon",
        "off-chip flash",
        "MACs used",
        "add_5",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.onnx", "-t", "npu.yaml", "--core", "m4"], "--core: it is for firmware on an emulated core"),
        (["model.onnx", "-t", "npu.yaml", "--inputs", "2"], "--inputs: it is for firmware"),
        (["model.onnx", "-t", "fast.yaml"], "its clock is 600 MHz, and that of Ethos_U55_High_End_Embedded"),
        (["model.onnx", "-t", "none.yaml"], "does not say which of the compiler's systems it is"),
        (["model.onnx", "-t", "moon.yaml"], "did you mean 'ethos-u55-128'?"),
        (["missing.onnx", "-t", "npu.yaml"], "missing.onnx"),
        (["missing.tflite", "-t", "npu.yaml"], "missing.tflite: cannot read the model"),
        (["npu.tflite", "-t", "npu.yaml"], "npu.tflite: no TFLite file"),
        (["huge.tflite", "-t", "npu.yaml"], "huge.tflite: the file has 1073741825 bytes; at most 1073741824"),
    ],
)
def test_bad_input_is_named(folder, capsys, arguments, words):
    (folder / "npu.tflite").write_text("no network")
    with (folder / "huge.tflite").open("wb") as huge:
        huge.truncate((1 << 30) + 1)
    given = [str(folder / word) if "." in word else word for word in arguments]
    assert main(["measure", *given]) == 2
    assert words in capsys.readouterr().err
