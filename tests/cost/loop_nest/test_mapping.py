"""Mappings as data: what is reported can be read back and priced again, to the same figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from chip_example import chip, convolutions

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.loop_nest.mapping import Mapping, TemporalLoop
from hannah_hw.cost.loop_nest.model import cost_layers
from hannah_hw.cost.loop_nest.replay import replay
from hannah_hw.errors import InputError, TargetError


def assert_same(one, at, other):
    assert one.cycles[at] == other.cycles[0]
    assert one.energy_pj[at] == other.energy_pj[0]
    assert one.utilisation[at] == other.utilisation[0]
    for parts in ("cycle_parts", "energy_parts"):
        assert {name: column[at] for name, column in getattr(one, parts).items() if column[at]} == {
            name: column[0] for name, column in getattr(other, parts).items() if column[0]
        }


@pytest.mark.parametrize(
    "target",
    [
        chip(),
        chip(objective="energy"),
        chip(spatial="search", objective="edp"),
        chip(tiles="fractional"),
        chip(factors=8),
        chip(temporal=["FX", "FY", "C", "OX", "OY", "K"]),
    ],
    ids=["cycles", "energy", "spatial search", "fractional", "8 factors", "given order"],
)
def test_a_replayed_mapping_costs_exactly_what_the_report_says(target):
    layers = convolutions()
    costs = cost_layers(layers, target)
    assert (costs.failed < 0).all()
    for layer in range(len(layers)):
        said = json.loads(json.dumps(costs.detail(layer)))
        assert_same(
            costs, layer, replay(layers.at(np.array([layer])), target, Mapping.from_dict(said["mapping"]))
        )


def test_replay_with_values_that_stay_on_chip():
    layers = Layers.of(
        "conv",
        in_channels=[8, 8],
        out_channels=16,
        in_h=6,
        in_w=6,
        out_h=6,
        out_w=6,
        input_on_chip=[1, 0],
        output_on_chip=1,
        weights_on_chip=[0, 1],
        reserved_bytes=[1024, 0],
    )
    target = chip()
    costs = cost_layers(layers, target)
    for layer in range(2):
        mapping = Mapping.from_dict(costs.detail(layer)["mapping"])
        assert_same(costs, layer, replay(layers.at(np.array([layer])), target, mapping))
    # An input that stays in the buffer waits nowhere else.
    assert {row["I"] for row in costs.detail(0)["mapping"]["temporal"]} <= {"buffer"}


LINEAR = Layers.of("linear", in_channels=[8], out_channels=8)
BY_HAND = Mapping(
    (("D1", (("K", 4),)), ("D2", (("C", 4),))),
    (TemporalLoop("C", 2, ("buffer", "buffer", "sum_reg")), TemporalLoop("K", 2, ("buffer", "dram", "dram"))),
)


def test_a_mapping_by_hand():
    costs = replay(LINEAR, chip(), BY_HAND)
    # 64 products in 4 steps of 16. Each of 64 weights goes through the buffer to its register once, and is read there
    # once; the two sums of a multiplier column are finished in their register before the next begins.
    assert costs.cycle_parts["compute"][0] == 4
    assert costs.energy_parts["mac"][0] == 64 * 0.5
    # The eight inputs of 8 bits: in two words of 32 bits from outside.
    assert costs.energy_parts["dram I"][0] == 2 * 100.0
    # 64 weights of 8 bits in words of 32 bits.
    assert costs.energy_parts["dram W"][0] == 16 * 100.0
    # Eight results of 8 bits, in parts of words of 32 bits.
    assert costs.energy_parts["dram O"][0] == 2 * 150.0


def test_as_text():
    assert BY_HAND.text() == (
        "for K in 0..2    | I: buffer  W: dram  O: dram\n"
        "  for C in 0..2  | I: buffer  W: buffer  O: sum_reg\n"
        "    side by side along D1: K 4\n"
        "    side by side along D2: C 4"
    )
    assert Mapping((("D1", ()),), ()).text() == "side by side along D1: one unit"


def test_there_and_back():
    assert Mapping.from_dict(json.loads(json.dumps(BY_HAND.to_dict()))) == BY_HAND


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "no mapping (KeyError: 'spatial'); give spatial"),
        ({"spatial": {}, "temporal": [{"loop": "K"}]}, "temporal: a list of {loop, iterations, I, W, O}"),
        (
            {"spatial": {}, "temporal": [{"loop": "N", "iterations": 2, "I": "a", "W": "a", "O": "a"}]},
            "'N' is no loop; allowed: B, K, G",
        ),
    ],
)
def test_what_is_no_mapping(data, message):
    with pytest.raises(InputError) as caught:
        Mapping.from_dict(data)
    assert message in str(caught.value)


def loops(*rows):
    return replace(BY_HAND, temporal=tuple(TemporalLoop(*row) for row in rows))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            loops(("C", 2, ("weight_reg", "buffer", "sum_reg")), ("K", 2, ("dram",) * 3)),
            "I of loop C 2 waits in 'weight_reg', which does not hold it; allowed: buffer, dram",
        ),
        (
            loops(("C", 2, ("dram", "buffer", "sum_reg")), ("K", 2, ("buffer", "dram", "dram"))),
            "the memories of I go back inwards",
        ),
        (
            loops(("C", 2, ("buffer",) * 3), ("K", 4, ("dram",) * 3)),
            "the factors of K multiply to 4, its temporal loop has 2 iterations",
        ),
        (
            loops(("K", 2, ("buffer", "buffer", "sum_reg")), ("C", 2, ("dram",) * 3)),
            "sum_reg has 3 B free and would hold 6 B of O",
        ),
        (replace(BY_HAND, spatial=(("D1", (("K", 8),)),)), "K 8 takes 8 units, D1 has 4"),
    ],
)
def test_mappings_that_cannot_be(mapping, message):
    with pytest.raises((InputError, TargetError)) as caught:
        replay(LINEAR, chip(), mapping)
    assert message in str(caught.value)


def test_one_layer_at_a_time():
    with pytest.raises(InputError, match="a mapping of one layer for 6 layers"):
        replay(convolutions(), chip(), BY_HAND)
