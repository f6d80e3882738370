"""Float32 models with TVM's kernels, as the command line measures and exports them."""

import json
from pathlib import Path

import onnx

from hannah_hw.cli import main
from tests.measure.float_models import CHIP, MACS, conv_and_relu, needs_tvm


@needs_tvm
def test_the_command_line_measures_float_models(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = ["measure", str(tmp_path / "float.onnx"), "--runtime", "tvm", "-t", CHIP]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["macs"], document["reference"]) == (MACS, "ONNX Runtime")
    assert document["figures"]["latency_s"]["value"] > 0
    assert main(command) == 0
    assert "outputs differ from those of ONNX Runtime by at most" in capsys.readouterr().out


def test_options_of_int8_firmware_are_refused(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = ["measure", str(tmp_path / "float.onnx"), "--runtime", "tvm", "-t", CHIP]
    assert main([*command, "--calibration", "random"]) == 2
    assert "TVM's kernels are float32" in capsys.readouterr().err


@needs_tvm
def test_a_float_model_is_exported_as_a_project(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = [
        "export",
        str(tmp_path / "float.onnx"),
        "--runtime",
        "tvm",
        "-t",
        CHIP,
        "-o",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--build", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    folder = tmp_path / "out" / "float"
    page = (folder / "README.md").read_text()
    assert "| RAM: arena | 1,904 |" in page
    assert f"{MACS:,} multiply-accumulates" in page
    assert (folder / "kernels" / "hn_float.c").is_file()
    (project,) = document["projects"]
    assert project["ram_bytes"] >= 1904
    assert Path(project["elf"]).is_file()


def test_only_float_models_are_exported_with_tvm(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = ["export", str(tmp_path / "float.onnx"), "-t", CHIP, "-o", str(tmp_path / "out"), "--runtime"]
    assert main([*command, "tvm", "--calibration", "random"]) == 2
    assert "without --calibration" in capsys.readouterr().err
    assert main([*command, "glow"]) == 2
    assert "there is no runtime 'glow'" in capsys.readouterr().err
