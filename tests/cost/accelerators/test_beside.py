"""The vector unit and the processor beside the array, against figures computed by hand."""

import numpy as np
import pytest

from hannah_hw.cost import price
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.accelerators.moved import OPERATIONS, Moved, operations
from hannah_hw.workload import KERNEL_KINDS
from tests.cost.accelerators.chips import CPU, DRAM, MACS, OTHERS, chip, figure, lone

#: 4 x 4 x 6 in and out.
IMAGE = {"in_channels": [6], "out_channels": [6], "in_h": [4], "in_w": [4], "out_h": [4], "out_w": [4]}
#: What a layer of that shape between two values of the outermost memory moves there: 96 bytes each way.
BITS = 96 * 8


def row(kind, target, **columns):
    report = price(lone(kind, **{**IMAGE, **columns}), target).report(0)
    assert report.supported, report.unsupported
    return report.kernels[0]


@pytest.mark.parametrize(
    ("kind", "columns", "operations_"),
    [
        ("add", {"operands": [2]}, 96),
        ("add", {"operands": [3]}, 2 * 96),
        ("mul", {"operands": [2]}, 96),
        ("scale", {}, 96),
        ("activation", {}, 96),
        ("sigmoid", {}, 3 * 96),
        ("hard_sigmoid", {}, 3 * 96),
        ("hard_swish", {}, 4 * 96),
        ("batch_norm", {"weights": [6], "bias": [6]}, 2 * 96),
        ("softmax", {}, 5 * 96),
        ("layer_norm", {"weights": [6], "bias": [6]}, 7 * 96),
        ("quantize", {}, 2 * 96),
        ("max_pool", {"kernel_h": [2], "kernel_w": [3]}, 5 * 96),
        ("max_pool", {}, 96),
        ("avg_pool", {"kernel_h": [2], "kernel_w": [3]}, 6 * 96),
        ("upsample", {"kernel_h": [2], "kernel_w": [2]}, 7 * 96),
        ("upsample", {}, 0),
        ("concat", {"operands": [2], "in_channels": [2]}, 0),
        ("slice", {"in_channels": [9]}, 0),
        ("permute", {}, 0),
        ("pad", {}, 0),
        ("linear", {"macs": [77]}, 2 * 77),
    ],
)
def test_operations_of_a_layer(kind, columns, operations_):
    layers = Layers.of(kind, **{**IMAGE, **columns})
    assert operations(layers).tolist() == [operations_]


def test_every_kind_has_a_count():
    assert set(OPERATIONS) == set(KERNEL_KINDS)


@pytest.mark.parametrize(
    ("kind", "columns", "inputs"),
    [
        ("add", {"operands": [3]}, 3 * 96),
        ("mul", {"operands": [2]}, 2 * 96),
        ("mul", {"operands": [2], "groups": [6]}, 96 + 6),
        ("concat", {"operands": [2], "in_channels": [2]}, 96),
        ("slice", {"in_channels": [9]}, 96),
        ("sigmoid", {}, 96),
    ],
)
def test_values_that_a_layer_reads(kind, columns, inputs):
    moved = Moved.of(Layers.of(kind, **{**IMAGE, **columns}))
    assert (moved.inputs.tolist(), moved.outputs.tolist()) == ([inputs], [96])


def test_a_product_of_activations_reads_its_second_operand():
    # Two matrices of (5, 3) times (3, 4).
    layers = Layers.of("matmul", groups=2, in_channels=6, out_channels=8, in_w=5, out_w=5, operands=2)
    moved = Moved.of(layers)
    assert (moved.inputs[0], moved.weight_bits[0], moved.outputs[0]) == (2 * 5 * 3, 2 * 3 * 4 * 8, 2 * 5 * 4)


def test_an_addition_is_bound_by_the_port_of_the_outermost_memory():
    found = row("add", chip(), operands=[2])
    # 96 additions in 8 lanes take 12 cycles; two operands and a result through one port of 64 bits.
    assert found.cycle_parts == {"compute": 12, "stall": 3 * BITS / 64 - 12}
    assert found.cycles == 3 * BITS / 64
    assert found.kernel_class == "vector unit"
    pico = {"vector": 96 * 0.5, "dram I": 2 * BITS * 8, "dram O": BITS * 16}
    assert found.energy_parts_j == pytest.approx({name: value * 1e-12 for name, value in pico.items()})
    assert found.energy_j == pytest.approx(sum(pico.values()) * 1e-12)


def test_a_softmax_is_bound_by_the_lanes():
    found = row("softmax", chip(memories=DRAM.replace("max_bits: 64", "max_bits: 512"), on_chip=""))
    assert found.cycles == 5 * 96 / 8
    assert "stall" not in found.cycle_parts


def test_moving_values_takes_a_lane_for_each():
    found = row("permute", chip(memories=DRAM.replace("max_bits: 64", "max_bits: 4096"), on_chip=""))
    assert found.cycles == 96 / 8
    assert "vector" not in found.energy_parts_j


def test_narrow_values_move_fewer_bits():
    eight, four = (row("permute", chip(), activation_bits=[b], output_bits=[b]) for b in (8, 4))
    assert eight.cycles == 2 * four.cycles
    assert eight.energy_j == pytest.approx(2 * four.energy_j)


def test_ports_of_their_own_work_at_once():
    apart = DRAM.replace(
        "{name: p, kind: read_write, max_bits: 64}",
        "{name: r, kind: read, max_bits: 64}, {name: w, kind: write, max_bits: 64}",
    )
    assert row("permute", chip(memories=apart, on_chip="")).cycles == BITS / 64


def test_an_access_moves_no_less_than_the_port_can():
    least = DRAM.replace("max_bits: 64", "max_bits: 64, min_bits: 32")
    odd = {name: [1] for name in IMAGE}
    found = row("permute", chip(memories=least, on_chip=""), **odd)
    # One byte is an access of 32 of 64 bits.
    assert found.energy_parts_j == pytest.approx({"dram I": 256e-12, "dram O": 512e-12})


def test_an_unknown_energy_is_none_and_has_a_reason():
    report = price(
        lone("add", **IMAGE, operands=[2]), chip(vector=f"vector: {{lanes: {figure(8)}}}\n")
    ).report(0)
    assert report.energy_j is None
    assert report.kernels[0].energy_j is None
    assert any("vector.op_pj" in note for note in report.notes)
    # What needs no operation needs no figure of one.
    assert row("permute", chip(vector=f"vector: {{lanes: {figure(8)}}}\n")).energy_j > 0


def test_without_a_vector_unit_there_is_a_rule():
    report = price(lone("add", **IMAGE), chip(vector="")).report(0)
    assert report.latency_s is None
    assert report.unsupported[0].rule == "add: the target has no vector unit to run this operator"


def test_the_processor_takes_what_no_rule_allows():
    only_macs = (f"{{match: {MACS}, when: [kernel_h == 1]}}",)
    target = chip(ops=only_macs, unsupported="cpu_fallback", more=CPU, vector="")
    found = row("add", target, operands=[2])
    # 288 values at 2 cycles each at 50 MHz are twice as many cycles of 100 MHz.
    assert found.cycles == 2 * 2 * 288
    assert found.latency_s == pytest.approx(576 / 50e6)
    assert found.kernel_class == "cpu"
    assert found.detail["not on the accelerator"] == "add: the target has no rule for this operator"
    memory = 2 * BITS * 8e-12 + BITS * 16e-12
    assert found.energy_j == pytest.approx(576 / 50e6 * 0.01 + memory)
    refused = row("conv", target, kernel_h=[3], kernel_w=[3], macs=[1000], weights=[30])
    assert refused.cycles == 2 * (3 * 1000 + 2 * 192)
    assert refused.detail["not on the accelerator"] == "conv: kernel_h == 1"


def test_a_rule_sends_layers_to_a_unit():
    rules = (
        "{match: linear, unit: vector}",
        "{match: conv, when: [groups > 1], unit: cpu}",
        f"{{match: {MACS}}}",
    )
    target = chip(ops=rules, more=CPU)
    assert row("linear", target, macs=[10], weights=[10]).kernel_class == "vector unit"
    assert row("conv", target, groups=[6], macs=[10]).kernel_class == "cpu"
    assert row("conv", target, macs=[96 * 6], weights=[36]).kernel_class == "array"


def test_the_first_rule_that_holds_counts():
    rules = ("{match: add, when: [out_w >= 4], unit: cpu}", f"{{match: {OTHERS}}}")
    target = chip(ops=rules, more=CPU)
    wide, narrow = row("add", target, operands=[2]), row("add", target, operands=[2], out_w=[3], in_w=[3])
    assert (wide.kernel_class, narrow.kernel_class) == ("cpu", "vector unit")


def test_an_operator_that_nobody_knows_is_refused_by_name_everywhere():
    target = chip(unsupported="cpu_fallback", more=CPU)
    costs = price(lone("attention"), target)
    assert not costs.supported[0]
    assert costs.report(0).unsupported[0].rule == "attention: no cost model knows this operator"
    assert np.isnan(costs.latency_s[0])
