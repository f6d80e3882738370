"""Prices of layers on a target: what adds up, what is refused and why, and where values lie."""

import numpy as np
import pytest
from chip_example import chip, convolutions

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.accelerators.models import MODELS
from hannah_hw.cost.loop_nest.model import cost_layers
from hannah_hw.errors import TargetError


def conv(**columns):
    size = {"in_h": 8, "in_w": 8, "out_h": 8, "out_w": 8, "kernel_h": 3, "kernel_w": 3}
    return Layers.of("conv", **{"in_channels": 8, "out_channels": 16, **size, **columns})


def test_it_is_the_model_of_the_kind():
    assert MODELS["loop_nest"] is cost_layers


@pytest.mark.parametrize("tiles", ["whole", "fractional"])
def test_parts_add_up(tiles):
    layers, target = convolutions(), chip(tiles=tiles)
    costs = cost_layers(layers, target)
    assert sum(costs.cycle_parts.values()).tolist() == costs.cycles.tolist()
    assert sum(costs.energy_parts.values()) == pytest.approx(costs.energy_pj, rel=1e-12)
    macs = layers.loops().prod(axis=1)
    assert (costs.cycles >= macs / 16).all()
    assert costs.utilisation == pytest.approx(macs / (16 * costs.cycles))
    assert costs.energy_parts["mac"].tolist() == (0.5 * macs).tolist()


#: Seven unrollings, of which layers can have one to seven different ones.
SEVEN = [
    {"D1": {"K": 4}, "D2": {"C": 4}},
    {"D1": {"G": 4}, "D2": {"FX": 3}},
    {"D1": {"OX": 4}, "D2": {"OY": 2}},
    {"D1": {"OX": 2}, "D2": {"OY": 2}},
    {"D1": {"K": 2}, "D2": {"OY": 2}},
    {"D1": {"K": 2}, "D2": {"C": 2}},
    {"D1": {"K": 2}},
]


@pytest.mark.parametrize("spatial", [None, "search", SEVEN], ids=["one", "search", "seven"])
def test_a_layer_costs_the_same_in_any_company(spatial):
    layers, target = convolutions(), chip(spatial=spatial)
    together = cost_layers(layers, target)
    for order in ([3, 5, 0, 0, 2], [0], [1], [2], [3], [4], [5]):
        again = cost_layers(layers.at(np.array(order)), target)
        assert again.cycles.tolist() == together.cycles[order].tolist()
        assert again.energy_pj.tolist() == together.energy_pj[order].tolist()
        for place, layer in enumerate(order):
            assert again.detail(place) == together.detail(layer)


def test_kinds():
    layers = Layers.of(["conv", "add", "matmul", "softmax", "linear"], in_channels=8, out_channels=8)
    costs = cost_layers(layers, chip())
    assert [costs.rules[rule] if rule >= 0 else None for rule in costs.failed] == [
        None,
        "add: no loop nest of multiply-accumulates",
        None,
        "softmax: no loop nest of multiply-accumulates",
        None,
    ]
    assert np.isnan(costs.cycles).tolist() == [False, True, False, True, False]
    assert np.isnan(costs.energy_pj[1])
    assert costs.detail(1) == {}


def test_no_layers():
    costs = cost_layers(convolutions().at(np.zeros(0, np.int64)), chip())
    assert len(costs) == 0
    assert costs.rules == ()


def test_a_transposed_convolution_is_its_phases():
    """Stride 2 and a window of 4: four convolutions of 2 x 2 over the input, here as channels of one."""
    transposed = Layers.of(
        "conv_transpose",
        in_channels=6,
        out_channels=5,
        in_h=7,
        in_w=7,
        out_h=14,
        out_w=14,
        kernel_h=4,
        kernel_w=4,
        stride_h=2,
        stride_w=2,
    )
    phases = Layers.of(
        "conv", in_channels=6, out_channels=20, in_h=7, in_w=7, out_h=7, out_w=7, kernel_h=2, kernel_w=2
    )
    one, other = cost_layers(transposed, chip()), cost_layers(phases, chip())
    assert one.cycles.tolist() == other.cycles.tolist()
    assert one.energy_pj.tolist() == other.energy_pj.tolist()
    # All of its own products are computed: 7 x 7 pixels with 4 x 4 windows, 6 x 5 channels.
    assert one.energy_parts["mac"][0] == 0.5 * 49 * 16 * 30
    assert one.utilisation[0] == 49 * 16 * 30 / (16 * one.cycles[0])


def test_a_window_that_the_stride_does_not_divide_multiplies_zeros():
    layer = {"in_channels": 4, "out_channels": 4, "in_h": 4, "in_w": 4, "kernel_h": 3, "kernel_w": 3}
    costs = cost_layers(Layers.of("conv_transpose", **layer, stride_h=2, stride_w=2), chip())
    # Windows of 3 in phases of 2: four phases of 2 x 2 products each, of which 9 of 16 are real.
    assert costs.energy_parts["mac"][0] == 0.5 * 16 * 16 * 16
    assert costs.utilisation[0] == 16 * 16 * 9 / (16 * costs.cycles[0])


def test_dilated_transposed_convolutions_are_refused_by_name():
    layers = Layers.of("conv_transpose", dilation_h=[1, 2], in_channels=4, out_channels=4)
    costs = cost_layers(layers, chip())
    assert costs.failed.tolist() == [-1, 0]
    assert costs.rules == ("conv_transpose: a dilated window has no loop nest; dilation must be 1",)


def test_a_memory_that_is_too_small_is_named():
    layer = conv(in_channels=256, out_channels=256)
    layer = Layers(layer.kinds, {**layer.columns, "weights_on_chip": np.ones(1, np.int64)})
    costs = cost_layers(layer, chip())
    (rule,) = costs.rules
    assert costs.failed.tolist() == [0]
    # 256 x 256 x 9 weights of a byte cannot stay in 16 KiB.
    assert rule.startswith("no mapping: buffer has 16384 B free")
    assert "589824 B of W" in rule
    tight = cost_layers(conv(), chip(buffer="4 B"))
    assert tight.rules[0].startswith("no mapping: buffer has 4 B free")


def test_values_that_stay_on_chip_do_not_move_outside():
    outside = ("input_on_chip", "output_on_chip", "weights_on_chip")
    base = cost_layers(conv(), chip())
    for name, operand in zip(outside, "IOW", strict=True):
        costs = cost_layers(conv(**{name: 1}), chip())
        assert base.energy_parts[f"dram {operand}"][0] > 0
        assert costs.energy_parts.get(f"dram {operand}", np.zeros(1))[0] == 0
        assert costs.energy_pj[0] < base.energy_pj[0]
        assert costs.cycles[0] <= base.cycles[0]


def test_bytes_that_others_take_are_not_used():
    free = cost_layers(conv(in_channels=64, out_channels=64), chip(objective="energy"))
    taken = cost_layers(conv(in_channels=64, out_channels=64, reserved_bytes=16000), chip(objective="energy"))
    assert taken.energy_pj[0] > free.energy_pj[0]
    full = cost_layers(conv(reserved_bytes=16384), chip())
    assert full.rules[0].startswith("no mapping: buffer has 0 B free")


def test_a_given_order_is_kept():
    order = ["FX", "FY", "C", "OX", "OY", "K"]
    costs = cost_layers(convolutions(), chip(temporal=order))
    searched = cost_layers(convolutions(), chip())
    assert (costs.cycles >= searched.cycles).all()
    for layer in range(5):
        loops = [row["loop"] for row in costs.detail(layer)["mapping"]["temporal"]]
        assert [loop for loop in loops if loop != "G"] == sorted(
            (loop for loop in loops if loop != "G"), key=order.index
        )
        assert loops == sorted(loops, key=lambda loop: loop == "G")


def test_objectives():
    by = {name: cost_layers(convolutions(), chip(objective=name)) for name in ("cycles", "energy", "edp")}
    edp = by["edp"].cycles * by["edp"].energy_pj
    for other in by.values():
        assert (by["cycles"].cycles <= other.cycles).all()
        assert (by["energy"].energy_pj <= other.energy_pj * (1 + 1e-12)).all()
        assert (edp <= other.cycles * other.energy_pj * (1 + 1e-12)).all()


def test_more_factors_and_half_full_memories_are_never_worse():
    base = cost_layers(convolutions(), chip(half_full=False))
    assert (cost_layers(convolutions(), chip()).cycles <= base.cycles).all()
    assert (cost_layers(convolutions(), chip(half_full=False, factors=8)).cycles <= base.cycles).all()


def test_energy_that_is_not_known():
    costs = cost_layers(convolutions(), chip(known=False))
    assert np.isfinite(costs.cycles).all()
    assert np.isnan(costs.energy_pj).all()
    with pytest.raises(TargetError, match="need the energy of every memory"):
        cost_layers(convolutions(), chip(known=False, objective="energy"))


def test_many_layers_go_through_in_blocks(monkeypatch):
    from hannah_hw.cost.loop_nest import mapper

    layers = convolutions()
    whole = cost_layers(layers, chip(spatial="search"))
    monkeypatch.setattr(mapper, "_CASES", 3)
    blocks = cost_layers(layers, chip(spatial="search"))
    assert blocks.cycles.tolist() == whole.cycles.tolist()
    assert blocks.energy_pj.tolist() == whole.energy_pj.tolist()
