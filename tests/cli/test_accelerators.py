"""What the command line shows of accelerators: estimates, kernels with their mappings, where operators run."""

import json

import pytest

from hannah_hw import load_space, to_onnx
from hannah_hw.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """TC-ResNet, as its space declares it."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    space = load_space("tc_resnet")
    to_onnx(space.candidate(space.default()), str(path))
    return path


def shown(capsys, *arguments):
    code = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_an_estimate_shows_units_energy_and_where_values_lie(model, capsys):
    code, text, _ = shown(capsys, "estimate", model, "-t", "eyeriss")
    assert code == 0
    lines = text.splitlines()
    code, whole, _ = shown(capsys, "estimate", model, "-t", "eyeriss", "--json")
    report = json.loads(whole)
    for kernel in report["kernels"]:
        line = next(line for line in lines if line.startswith(f"{kernel['name']} "))
        assert kernel["kernel_class"] in line
        assert f"{kernel['cycles']:,.0f}" in line
    # Energy by memory adds up to that of the kernels.
    parts = [value for kernel in report["kernels"] for value in kernel["energy_parts_j"].values()]
    assert sum(parts) == pytest.approx(report["energy_j"])
    for memory in ("rf_64B_W", "sram_64KB", "sram_1M", "dram", "mac"):
        assert any(line.startswith(f"{memory} ") for line in lines)
    staying = [b["name"] for b in report["memory"]["buffers"] if b["memory"] == "sram_1M"]
    assert any(line.split()[:2] == ["sram_1M", str(len(staying))] for line in lines)
    assert f"in {report['memory']['weights_in']}" in text


def test_a_kernel_shows_its_mapping(model, capsys):
    _, whole, _ = shown(capsys, "estimate", model, "-t", "eyeriss", "--json")
    kernel = next(k for k in json.loads(whole)["kernels"] if k["kernel_class"] == "array")
    code, text, _ = shown(capsys, "estimate", model, "-t", "eyeriss", "--kernel", kernel["name"])
    assert code == 0
    assert kernel["detail"]["loops"] in text
    code, _, message = shown(capsys, "estimate", model, "-t", "eyeriss", "--kernel", kernel["name"] + "x")
    assert code == 2
    assert kernel["name"] in message


def test_operators_of_a_model_and_where_they_run(model, capsys):
    code, text, _ = shown(capsys, "targets", "ops", "eyeriss", model, "--json")
    found = json.loads(text)
    assert code == 0
    units = {entry["kind"]: entry["runs_on"] for entry in found["kernels"]}
    assert units == {"conv": "array", "linear": "array", "add": "vector unit", "avg_pool": "vector unit"}
    assert sum(found["counts"].values()) == len(found["kernels"])


def test_what_a_target_refuses_is_named_with_its_rule(model, tmp_path, capsys):
    target = tmp_path / "chip.yaml"
    text = """\
format: hannah-target/2
name: chip
title: a chip
document: none
clock_hz: 1 MHz
model: {kind: closed_form, layers: [{match: [conv, linear], cycles: macs}]}
ops:
  - {match: conv, when: [kernel_w < 9]}
  - {match: linear}
unsupported: UNSUPPORTED
MORE
"""
    target.write_text(text.replace("UNSUPPORTED", "error").replace("MORE", ""))
    code, text_, _ = shown(capsys, "targets", "ops", target, model, "--json")
    assert code == 0
    rules = {entry["rule"] for entry in json.loads(text_)["kernels"] if entry["runs_on"] is None}
    assert rules == {
        "conv: kernel_w < 9",
        "add: the target has no rule for this operator",
        "avg_pool: the target has no rule for this operator",
    }
    figure = "{value: 2, source: assumed, reference: a test}"
    cpu = f"cpu_fallback: {{cycles_per_mac: {figure}, cycles_per_value: {figure}}}"
    target.write_text(text.replace("UNSUPPORTED", "cpu_fallback").replace("MORE", cpu))
    code, text_, _ = shown(capsys, "targets", "ops", target, model)
    assert code == 0
    assert "conv: kernel_w < 9" in text_
    assert "cpu" in text_
    assert "nothing" not in text_
    # Without a model the conditions are listed, and a shape has no model to belong to.
    code, text_, _ = shown(capsys, "targets", "ops", target)
    assert code == 0
    assert "kernel_w < 9" in text_
    assert shown(capsys, "targets", "ops", target, "--shape", "1,3,8,8")[0] == 2


@pytest.mark.parametrize(
    ("cycles", "message"),
    [
        ("macs // 64", None),  # 8 x 8 multipliers, all at work
        # 16 to 32 channels, 3 x 3, 16 x 16 outputs: 1,179,648 multiply-accumulates; the depthwise layer 73,728.
        ("macs // 128", "16 x 16: 9216 cycles are fewer than the 18432 that 64 multipliers need"),
        (
            "where(groups > 1, macs // 64 - 100, macs // 64)",
            "32 channels, 16 x 16: 1052 cycles are fewer than the 1152 that",
        ),
        ("0 * macs", "0 cycles are fewer than the"),
    ],
)
def test_formulas_with_fewer_cycles_than_the_array_needs_are_warned_of(tmp_path, capsys, cycles, message):
    target = tmp_path / "chip.yaml"
    target.write_text(f"""\
format: hannah-target/2
name: chip
title: a chip
document: none
clock_hz: 1 MHz
array: {{dims: {{inputs: 8, outputs: 8}}, partial_sum_bits: 24}}
memories:
  - name: all
    holds: [I, W, O]
    served: [inputs, outputs]
    ports: [{{name: port, kind: read_write, max_bits: 64}}]
model: {{kind: closed_form, layers: [{{match: [conv, linear], cycles: '{cycles}'}}]}}
ops: [{{match: [conv, linear]}}]
unsupported: error
""")
    code, text, _ = shown(capsys, "targets", "check", target, "--json")
    assert code == 0
    found = [warning for warning in json.loads(text)["warnings"] if "cycles are fewer" in warning]
    assert len(found) == (message is not None)
    assert message is None or message in found[0]
    _, shown_, _ = shown(capsys, "targets", "check", target)
    assert ("more than 100 % in use" in shown_) == (message is not None)


def test_a_microcontroller_runs_operators_with_kernels_of_its_library(model, capsys):
    _, text, _ = shown(capsys, "targets", "ops", "stm32l4r5zi", model, "--json")
    assert {entry["runs_on"] for entry in json.loads(text)["kernels"]} >= {"conv_1xn", "fc", "add"}


def test_a_small_chip_has_an_area(model, capsys):
    _, whole, _ = shown(capsys, "estimate", model, "-t", "ultratrail", "--json")
    area = json.loads(whole)["figures"]["area_mm2"]["value"]
    assert 0 < area < 0.1
    _, text, _ = shown(capsys, "estimate", model, "-t", "ultratrail")
    line = next(line for line in text.splitlines() if line.startswith("area_mm2"))
    assert f"{area:.3g} mm²" in line


def test_a_model_that_the_memories_do_not_hold_is_warned_of(model, tmp_path, capsys):
    """Also where the file states no limits: weights of 34 KB do not fit into a memory of 16 KiB."""
    target = tmp_path / "chip.yaml"
    assert shown(capsys, "targets", "new", "chip", "--kind", "closed_form", "--out", target)[0] == 0
    head, _, tail = target.read_text().partition("limits:\n")
    target.write_text(head.replace("size: 64 KiB", "size: 16 KiB") + tail.split("\n", 2)[2])
    _, whole, warned = shown(capsys, "estimate", model, "-t", target, "--json")
    assert json.loads(whole)["flash_bytes"] > 16 * 1024
    assert "of flash, and chip has 16.0 KiB" in warned
