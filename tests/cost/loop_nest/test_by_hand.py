"""Cycles and energy of cases small enough to count on paper."""

import numpy as np
import pytest
from nest_examples import memory

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.hierarchy import Array, Hierarchy
from hannah_hw.cost.loop_nest.levels import Levels
from hannah_hw.cost.loop_nest.nests import LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables
from hannah_hw.errors import InputError


def two_multipliers(width=16):
    """Two multipliers along K; each has a register for a weight and one for a sum; a memory outside."""
    return Hierarchy(
        Array({"D1": 2}, 0.5),
        (
            memory("w", 8, "W", width=8, pj=(1.0, 2.0)),
            memory("o", 16, "O", width=16, pj=(3.0, 4.0)),
            memory("dram", None, "IWO", ["D1"], width=width, pj=(100.0, 200.0)),
        ),
    )


def only_ordering(hierarchy, layer, factors, **more):
    """Evaluate the one ordering that factors are written in."""
    nests = LoopNests.of(layer, hierarchy.partial_bits)
    factors = tuple((LOOP[loop], size) for loop, size in factors)
    tables = Tables(hierarchy, nests, wanted(hierarchy.array, {"D1": {"K": 2}}), [factors])
    order = np.array([[tables.kinds[0].index(factor)] for factor in factors or tables.kinds[0]], np.uint8)
    return evaluate(tables, np.zeros(1, np.int64), order, detail=True, **more), tables


def words(result):
    """Operand, memory and move -> words."""
    names = ("I", "W", "O")
    memories = ("w", "o", "dram")
    return {
        (names[link.operand], memories[link.memory], link.move): float(count[0])
        for link, count in zip(result.links, result.words, strict=True)
    }


def test_a_linear_layer():
    """K 4 over 2 multipliers, C 3: for each pair of outputs, three inputs and their weights.

    Loops inside out: C 3, K 2. The sum register keeps the C loop: 3 accumulations, then 2 finished outputs leave. The
    weight register keeps nothing: a new weight a cycle for each multiplier, 2 x 8 bits, the memory's full 16.
    """
    layer = Layers.of("linear", in_channels=3, out_channels=4)
    result, tables = only_ordering(two_multipliers(), layer, [("C", 3), ("K", 2)])
    assert tables.temporal.tolist() == [6.0]
    passed = words(result)
    # One input of 8 bits a cycle, for both multipliers, from words of 16 bits that are not split.
    assert passed["I", "dram", "read"] == 6
    assert passed["W", "dram", "read"] == 6
    assert passed["W", "w", "fill"] == 2 * 6
    assert passed["W", "w", "read"] == 2 * 6
    # A register is written every cycle and read back as long as the sum is not complete.
    assert passed["O", "o", "update"] == 2 * 6
    assert passed["O", "o", "read"] == 2 * 6
    # Two finished outputs of 8 bits, twice, fill a word of the memory; no partial sum goes there.
    assert passed["O", "o", "drain"] == 2 * 2
    assert passed["O", "dram", "update"] == 2
    assert passed["O", "o", "fill"] == 0
    assert passed["O", "dram", "read"] == 0
    macs = 12 * 0.5
    reads = 12 * 100 + 12 * 1 + 12 * 3 + 4 * 3
    writes = 12 * 2 + 12 * 4 + 2 * 200
    assert result.energy_pj[0] == pytest.approx(macs + reads + writes)
    # After the first, 5 inputs and 5 pairs of weights take the read port one cycle each: 10 in the 6 cycles there are.
    assert result.temporal[0] == 6
    assert result.stall[0] == 4
    assert result.onload[0] == 1
    assert result.offload[0] == 1
    assert result.cycles[0] == 6 + 4 + 1 + 1


def test_a_port_twice_as_wide_moves_both_at_once_only_one_by_one():
    """Ports pass one operand a cycle, however wide they are."""
    layer = Layers.of("linear", in_channels=3, out_channels=4)
    narrow, _ = only_ordering(two_multipliers(16), layer, [("C", 3), ("K", 2)])
    wide, _ = only_ordering(two_multipliers(32), layer, [("C", 3), ("K", 2)])
    assert wide.stall[0] == narrow.stall[0] == 4


def test_stationary_weights():
    """Loops inside out: OX 3, K 2. A weight stays for 3 columns; outputs leave finished, every cycle."""
    layer = Layers.of("conv", in_channels=1, out_channels=4, in_w=3, out_w=3)
    result, _ = only_ordering(two_multipliers(), layer, [("OX", 3), ("K", 2)])
    passed = words(result)
    assert passed["W", "w", "fill"] == 2 * 2
    assert passed["W", "w", "read"] == 2 * 2
    assert passed["W", "dram", "read"] == 2
    assert passed["I", "dram", "read"] == 6
    assert passed["O", "o", "read"] == 0
    assert passed["O", "dram", "update"] == 6
    # After the first, 5 inputs and 1 pair of weights take the 6 cycles that there are.
    assert result.stall[0] == 0
    assert result.cycles[0] == 6 + 0 + 1 + 1


def test_partial_sums_travel_when_the_reduction_is_outside():
    """Loops inside out: K 2, C 3. The register holds one sum of two, so every sum goes out and comes back."""
    layer = Layers.of("linear", in_channels=3, out_channels=4)
    result, tables = only_ordering(two_multipliers(), layer, [("K", 2), ("C", 3)])
    passed = words(result)
    # Two multipliers' sums of 16 bits take two words of 16 bits.
    assert passed["O", "o", "drain"] == 2 * 6
    assert passed["O", "dram", "update"] == 2 * 6
    assert passed["O", "dram", "read"] == 2 * 6
    assert passed["O", "o", "fill"] == 2 * 6
    level = next(n for n, level in enumerate(tables.levels) if level.operand == 2)
    assert result.positions[level, 0] == 0


def test_a_layer_that_fits_into_the_array():
    layer = Layers.of("linear", in_channels=1, out_channels=2)
    result, tables = only_ordering(two_multipliers(), layer, [])
    assert tables.temporal.tolist() == [1.0]
    assert result.temporal[0] == 1
    assert result.cycles[0] == 1 + result.onload[0] + result.offload[0]
    assert words(result)["W", "dram", "read"] == 1


def test_a_tile_that_no_memory_holds():
    small = Hierarchy(
        Array({"D1": 2}, 0.5), (memory("l1", 30, "WO", ["D1"]), memory("dram", None, "IWO", ["D1"])), 16
    )
    layer = Layers.of("linear", in_channels=3, out_channels=4)
    result, tables = only_ordering(small, layer, [("C", 3), ("K", 2)])
    assert not result.fits[0]
    assert result.cycles[0] == np.inf
    assert tables.cannot_hold(0) == ("l1 has 3.75 B free, the smallest tile takes 2 B of W + 4 B of O")


def test_reserved_bits_are_not_there():
    hierarchy = Hierarchy(
        Array({"D1": 2}, 0.5), (memory("l1", 64, "W", ["D1"]), memory("dram", None, "IWO", ["D1"])), 16
    )
    nests = LoopNests.of(Layers.of("linear", in_channels=4, out_channels=2).at(np.zeros(2, np.int64)))
    asked = wanted(hierarchy.array, {"D1": {"K": 2}})
    tables = Tables(hierarchy, nests, asked, 6, reserved={"l1": np.array([0, 50])})
    result = evaluate(tables, np.arange(2), np.zeros((2, 2), np.uint8))
    level = next(n for n, own in enumerate(tables.levels) if own.operand == 1)
    # Four weights of two channels take 64 bits; in the 14 that are left not even the two of one cycle fit.
    assert result.fits.tolist() == [True, False]
    assert result.positions[level, 0] == 2
    assert tables.cannot_hold(0) is None
    assert tables.cannot_hold(1) == "l1 has 1.75 B free, the smallest tile takes 2 B of W"


def test_factors_that_are_not_those_of_the_loops():
    with pytest.raises(InputError, match=r"factors of K multiply to 3, its temporal loop has 2 iterations"):
        only_ordering(
            two_multipliers(), Layers.of("linear", in_channels=3, out_channels=4), [("C", 3), ("K", 3)]
        )


def test_copies_of_overlapping_columns():
    """Three units of a column each share a memory; along the other side two positions of the window are unrolled.

    Inside that memory's reach lie 3 columns, on the whole array 3 + 2 - 1 = 4: two copies are needed to bring 4
    columns in tiles of 3, of which ZigZag, rounding 4 / 3, counts one.
    """
    hierarchy = Hierarchy(
        Array({"D1": 3, "D2": 2}, 0.5),
        (memory("i", 64, "I", ["D1"]), memory("dram", None, "IWO", ["D1", "D2"])),
    )
    nests = LoopNests.of(Layers.of("conv", in_w=4, out_w=3, kernel_w=2))
    asked = wanted(hierarchy.array, {"D1": {"OX": 3}, "D2": {"FX": 2}})
    for mode, between, to_the_array in (("whole", 2, 3), ("zigzag", 1, 3)):
        tables = Tables(hierarchy, nests, asked, mode=mode)
        assert tables.copies(0, False).tolist() == [to_the_array]
        assert tables.copies(1, False).tolist() == [between]
        assert tables.instances(0).tolist() == [2]
        assert tables.instances(1).tolist() == [1]


def test_links_of_the_example():
    shape = Levels(two_multipliers())
    shown = [(link.operand, link.memory, link.move) for link in shape.links]
    assert shown == [
        (0, 2, "read"),
        (1, 0, "fill"),
        (1, 0, "read"),
        (1, 2, "read"),
        (2, 1, "fill"),
        (2, 1, "read"),
        (2, 1, "update"),
        (2, 1, "drain"),
        (2, 2, "read"),
        (2, 2, "update"),
    ]
