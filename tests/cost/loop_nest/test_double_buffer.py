"""Levels that are loaded ahead: always, never, or where there is room."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nest_examples import HIERARCHIES, example

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.loop_nest.evaluate import evaluate
from hannah_hw.cost.loop_nest.hierarchy import Array, Hierarchy, Memory, Port
from hannah_hw.cost.loop_nest.nests import LOOP, LoopNests
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables

#: Columns of 2 outputs, in tiles of 2 input channels, of which there are 4.
COLUMNS_INSIDE = (("K", 2), ("OX", 4), ("C", 2), ("C", 4))
CHANNELS_INSIDE = (("K", 2), ("C", 2), ("OX", 4), ("C", 4))


def weights_kept(size_bits, double_buffer, order=COLUMNS_INSIDE):
    """Loops whose weights of 8 bits a buffer keeps that is filled by 4 bits a cycle, and the evaluation.

    Whatever moves otherwise has its own port, wide enough for every cycle.
    """
    buffer = Memory(
        "buffer",
        size_bits,
        ("W",),
        (),
        (Port("r", "read", 8, 8, {"W": ("read",)}), Port("w", "write", 4, 4, {"W": ("fill",)})),
        1.0,
        1.0,
        double_buffer,
    )
    dram_ports = (
        Port("i", "read", 64, 8, {"I": ("read",)}),
        Port("w", "read", 64, 8, {"W": ("read",)}),
        Port("o", "read", 64, 8, {"O": ("read",)}),
        Port("u", "write", 64, 8, {"O": ("update",)}),
    )
    dram = Memory("dram", None, ("I", "W", "O"), ("D1",), dram_ports, 1.0, 1.0)
    hierarchy = Hierarchy(Array({"D1": 1}, 0.5), (buffer, dram), 16)
    nests = LoopNests.of(Layers.of("conv", in_channels=8, out_channels=2, in_w=4, out_w=4), 16)
    factors = tuple((LOOP[loop], size) for loop, size in order)
    tables = Tables(hierarchy, nests, wanted(hierarchy.array, {}), [factors])
    kinds = np.array([[tables.kinds[0].index(factor)] for factor in factors], np.uint8)
    result = evaluate(tables, np.zeros(1, np.int64), kinds, detail=True)
    level = next(n for n, own in enumerate(tables.levels) if own.operand == 1)
    return int(result.positions[level, 0]), result


@pytest.mark.parametrize(
    ("size_bits", "double_buffer", "kept"),
    [
        # Tiles of 8, 16 (K), 16 (OX), 32 (C) and 128 bits (C), the whole tensor.
        (32, None, 3),
        (32, True, 2),
        (63, True, 2),
        (64, True, 3),
        # All weights need no second place: there is no next tile.
        (128, True, 4),
        (127, True, 3),
        (15, True, None),
        (15, None, 0),
    ],
)
def test_a_second_tile_needs_its_place(size_bits, double_buffer, kept):
    position, result = weights_kept(size_bits, double_buffer)
    assert result.fits[0] == (kept is not None)
    if kept is not None:
        assert position == kept


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(HIERARCHIES), st.integers(0, 2**32 - 1))
def test_never_loading_ahead_stalls_no_less(make, seed):
    tables, cases, orders = example(make, seed)
    hierarchy = tables.hierarchy
    result = evaluate(tables, cases, orders)
    never = replace(
        hierarchy,
        memories=tuple(replace(memory, double_buffer=False) for memory in hierarchy.memories),
    )
    slower = evaluate(example(make, seed, hierarchy=never)[0], cases, orders, result.positions)
    assert (slower.stall >= result.stall)[result.fits].all()
    assert slower.energy_pj[result.fits] == pytest.approx(result.energy_pj[result.fits])


def test_weights_that_come_while_the_last_ones_are_used():
    """Four weights serve 16 of 64 cycles and take 8 to be filled: with a second place that costs nothing.

    Without it they may come only in the last of the 4 columns, in 4 of 16 cycles: 8 - 4 too few, 3 times after the
    first.
    """
    kept, ahead = weights_kept(64, None, CHANNELS_INSIDE)
    _, never = weights_kept(64, False, CHANNELS_INSIDE)
    assert kept == 3
    assert ahead.stall[0] == 0
    assert never.stall[0] == (8 - 4) * 3
