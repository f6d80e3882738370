"""Unrolling: hand-computed extents, what is refused, and that whole tiles cover the loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.cost.loop_nest.hierarchy import Array
from hannah_hw.cost.loop_nest.nests import LOOP
from hannah_hw.cost.loop_nest.spatial import unroll, wanted
from hannah_hw.errors import TargetError

ARRAY = Array({"D1": 4, "D2": 8}, 1.0)


def sizes(**loops):
    table = np.ones((1, 8), np.int64)
    for name, size in loops.items():
        table[0, LOOP[name]] = size
    return table


def test_25_columns_over_4_units():
    asked = wanted(ARRAY, {"D1": {"OX": 4}})
    zigzag = unroll(asked, sizes(OX=25), "zigzag")
    whole = unroll(asked, sizes(OX=25), "whole")
    assert zigzag.temporal[0, LOOP["OX"]] == whole.temporal[0, LOOP["OX"]] == 7
    assert zigzag.stored[0, 0, LOOP["OX"]] == pytest.approx(25 / 7)
    assert zigzag.moved[0, 0, LOOP["OX"]] == 3
    assert whole.stored[0, 0, LOOP["OX"]] == whole.moved[0, 0, LOOP["OX"]] == 4


def test_a_loop_smaller_than_its_units():
    spread = unroll(wanted(ARRAY, {"D2": {"K": 8}}), sizes(K=3), "whole")
    assert spread.units[0, 1, LOOP["K"]] == 3
    assert spread.temporal[0, LOOP["K"]] == 1


def test_two_dimensions_share_a_loop():
    # 10 over 4 and 8: D1 takes 4, which leaves 3 for D2, and all run at once; D1, the larger share, is uneven.
    spread = unroll(wanted(ARRAY, {"D1": {"K": 4}, "D2": {"K": 8}}), sizes(K=10), "zigzag")
    assert spread.units[0, :, LOOP["K"]].tolist() == [4, 3]
    assert spread.temporal[0, LOOP["K"]] == 1
    assert spread.stored[0, :, LOOP["K"]].tolist() == pytest.approx([10 / 3, 3])


@pytest.mark.parametrize(
    ("unrolling", "message"),
    [
        ({"D3": {"K": 2}}, "'D3' is no dimension of the array; allowed: D1, D2"),
        ({"D1": {"X": 2}}, "'X' is no loop; allowed: B, K, G, OX"),
        ({"D1": {"K": 0}}, "K takes 0 units; give 1 or more"),
        (
            {"D2": {"K": 4, "C": 4}},
            "contradictory unrolling: K 4 x C 4 takes 16 units, D2 has 8; lower one of them",
        ),
    ],
)
def test_what_is_refused(unrolling, message):
    with pytest.raises(TargetError) as caught:
        wanted(ARRAY, unrolling)
    assert message in str(caught.value)
    assert "dataflow.spatial" in str(caught.value)


@given(st.integers(1, 200), st.integers(1, 4), st.integers(1, 8))
def test_whole_tiles_cover_the_loop(size, first, second):
    asked = wanted(ARRAY, {"D1": {"K": first}, "D2": {"K": second}})
    whole = unroll(asked, sizes(K=size), "whole")
    zigzag = unroll(asked, sizes(K=size), "zigzag")
    covered = whole.temporal[0, LOOP["K"]] * whole.stored[0, :, LOOP["K"]].prod()
    assert covered >= size
    assert (whole.stored <= whole.units).all()
    assert (whole.units <= asked).all()
    assert (zigzag.moved <= zigzag.stored + 1e-9).all()
    assert (zigzag.stored <= whole.stored + 1e-9).all()
    # Both loop equally often: the mode changes tiles, not time.
    assert (whole.temporal == zigzag.temporal).all()
