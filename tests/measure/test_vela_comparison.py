"""Estimates for an Ethos-U beside its vendor's compiler, run on the same networks."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("ethosu.vela")
pytest.importorskip("tflite")

from hannah_hw import blocks, estimate, operators
from hannah_hw.cli import main
from hannah_hw.errors import InputError
from hannah_hw.measure.vela import compile_with_vela
from hannah_hw.measure.vela_comparison import compare_with_compiler
from hannah_hw.spaces import SearchSpace
from hannah_hw.targets import load_target
from tests.blocks import data
from tests.firmware.models import residual

TARGET = "ethos_u55_128"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return residual(tmp_path_factory.mktemp("models") / "net.onnx")


def test_figures_are_those_of_the_estimate_and_of_the_compiler(model):
    target = load_target(TARGET)
    found = compare_with_compiler("net", model, target)
    estimated, measured = estimate(model, target), compile_with_vela(model, target)
    assert found.reason is None
    latency = found.figures["latency_s"]
    assert latency.estimated == pytest.approx(estimated.latency_s)
    assert latency.measured == measured.value("latency_s")
    assert latency.error == pytest.approx(estimated.latency_s / measured.value("latency_s") - 1)
    assert found.figures["ram_bytes"].measured == measured.memory["sram"]
    rows = {row.name: row for row in measured.kernels}
    for kernel in found.kernels:
        assert kernel.measured_cycles == rows[kernel.name].cycles
        assert kernel.error == pytest.approx(kernel.estimated_cycles / kernel.measured_cycles - 1)
    assert {kernel.kernel_class for kernel in found.kernels} == {
        "conv",
        "pointwise",
        "add",
        "avg_pool",
        "linear",
    }
    assert found.macs == sum(row.macs for row in estimated.kernels)


def test_what_cannot_be_compiled_for_the_npu_has_a_reason():
    target = load_target(TARGET)
    x = blocks.conv2d(data(3, 6, 6), 8, 3, bias=True)
    up = SearchSpace(operators.Upsample((3, 3))(x)).candidate({})
    found = compare_with_compiler("up", up, target)
    assert found.figures == {}
    assert "Upsample_0" in found.reason
    grouped = SearchSpace(blocks.conv_transpose2d(x, 8, 3, groups=2, bias=True)).candidate({})
    assert "ConvTranspose2d_0" in compare_with_compiler("grouped", grouped, target).reason


def test_other_targets_are_refused(model):
    with pytest.raises(InputError, match="compiles for Ethos-U, and stm32l4r5zi is none"):
        compare_with_compiler("net", model, load_target("stm32l4r5zi"))


def test_validate_on_the_command_line(model, tmp_path, capsys):
    arguments = ["validate", TARGET, "--model", str(model), "--out", str(tmp_path / "x.svg")]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["compiler"].startswith("ethos-u-vela ")
    (network,) = document["compiled"]["networks"]
    assert network["network"] == "net"
    assert document["compiled"]["largest_errors"]["latency_s"] == abs(
        network["figures"]["latency_s"]["error"]
    )
    assert "ethos-u-vela" in (tmp_path / "x.svg").read_text()
    assert main([*arguments, "--kernels"]) == 0
    shown = capsys.readouterr().out
    for words in ("its own cycle estimate, not silicon", "SRAM", "DepthwiseConv2D Mul", "gemm_13"):
        assert words in shown


def test_a_compiler_of_firmware_is_refused(capsys):
    assert main(["validate", TARGET, "--compiler", "zig"]) == 2
    assert "--compiler: firmware is built with it" in capsys.readouterr().err
