"""Memory planning against a scalar planner written from the definition, and against what any plan must keep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import InputError
from hannah_hw.workload import Buffers
from hannah_hw.workload.arena import PLANNERS, liveness_bound, plan_memory


def make(sizes, first, last):
    sizes, first, last = (np.atleast_2d(np.asarray(x, np.int64)) for x in (sizes, first, last))
    names = tuple(f"b{i}" for i in range(sizes.shape[1]))
    return Buffers(names, ("activation",) * len(names), sizes, first, last, np.zeros(sizes.shape, bool))


def reference(sizes, first, last, alignment, best):
    """One candidate by the book: every byte of the arena is looked at on its own."""
    offsets = [0] * len(sizes)
    placed = []
    for i in sorted(range(len(sizes)), key=lambda i: (-math.ceil(sizes[i] / alignment), i)):
        need = -(-sizes[i] // alignment)
        if need == 0:
            continue
        taken = set()
        for j in placed:
            if not (last[j] < first[i] or last[i] < first[j]):
                taken |= set(
                    range(offsets[j] // alignment, offsets[j] // alignment + -(-sizes[j] // alignment))
                )
        top = max(taken, default=-1) + 1
        gaps, start = [], None
        for unit in range(top + 1):
            if unit not in taken and start is None:
                start = unit
            if unit in taken and start is not None:
                gaps.append((unit - start, start))
                start = None
        fitting = [gap for gap in gaps if gap[0] >= need]
        if fitting:
            offsets[i] = (min(fitting) if best else min(fitting, key=lambda g: g[1]))[1] * alignment
        else:
            offsets[i] = top * alignment
        placed.append(i)
    return offsets


@st.composite
def populations(draw):
    buffers = draw(st.integers(1, 12))
    kernels = draw(st.integers(1, 14))
    rows = draw(st.integers(1, 4))
    cell = st.tuples(
        st.sampled_from([0, 0, 1, 15, 16, 17, 32, 48, 64, 100, 160]),
        st.integers(0, kernels - 1),
        st.integers(0, kernels - 1),
    )
    table = draw(st.lists(st.lists(cell, min_size=buffers, max_size=buffers), min_size=rows, max_size=rows))
    array = np.array(table, np.int64).reshape(rows, buffers, 3)
    return make(array[..., 0], np.minimum(array[..., 1], array[..., 2]), array[..., 1:].max(axis=-1))


@given(populations(), st.sampled_from([1, 4, 16, 64]), st.sampled_from(sorted(PLANNERS)))
@settings(max_examples=150, deadline=None)
def test_plans_equal_the_definition_and_never_overlap(buffers, alignment, planner):
    plan = plan_memory(buffers, planner, alignment=alignment)
    for row in range(len(plan.arena_bytes)):
        sizes, first, last = (x[row].tolist() for x in (buffers.bytes, buffers.first, buffers.last))
        offsets = plan.offsets[row].tolist()
        assert offsets == reference(sizes, first, last, alignment, planner == "greedy_best_fit")
        ends = [o + -(-s // alignment) * alignment for o, s in zip(offsets, sizes, strict=True)]
        assert plan.arena_bytes[row] == max(e for e, s in zip(ends, [*sizes], strict=True)) or not any(sizes)
        for i in range(len(sizes)):
            for j in range(i):
                meet = not (last[i] < first[j] or last[j] < first[i])
                if meet and sizes[i] and sizes[j]:
                    assert ends[i] <= offsets[j] or ends[j] <= offsets[i]
    assert (plan.arena_bytes >= liveness_bound(buffers)).all()
    fast = plan_memory(buffers, planner, alignment=alignment, offsets=False)
    np.testing.assert_array_equal(fast.arena_bytes, plan.arena_bytes)


@given(populations())
@settings(max_examples=60, deadline=None)
def test_liveness_bound_is_the_largest_sum_over_kernels(buffers):
    expected = [
        max(
            int(buffers.bytes[row][(buffers.first[row] <= k) & (k <= buffers.last[row])].sum())
            for k in range(int(buffers.last.max()) + 1)
        )
        for row in range(len(buffers.bytes))
    ]
    assert liveness_bound(buffers).tolist() == expected


def test_best_fit_takes_the_smaller_gap_and_first_fit_the_lower():
    # Five buffers stack up at kernel 0; at kernel 1 those of 48 and 16 bytes are gone, which leaves a gap of 48
    # bytes at 64 and one of 16 bytes at 144 for the last buffer.
    sizes = [64, 48, 32, 16, 8, 4]
    first, last = [0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 1, 1]
    best = plan_memory(make(sizes, first, last), "greedy_best_fit", alignment=4).offsets[0]
    lowest = plan_memory(make(sizes, first, last), "greedy_first_fit", alignment=4).offsets[0]
    assert best.tolist() == [0, 64, 112, 144, 160, 144]
    assert lowest.tolist() == [0, 64, 112, 144, 160, 64]


def test_large_sizes_and_long_networks_leave_the_packed_word_and_agree_with_it():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 9, (5, 8)) * 16
    first = rng.integers(0, 9, (5, 8))
    last = first + rng.integers(0, 4, (5, 8))
    small = plan_memory(make(sizes, first, last))
    big = plan_memory(make(sizes << 24, first, last))
    np.testing.assert_array_equal(big.offsets, small.offsets << 24)
    late = plan_memory(make(sizes, first + 1000, last + 1000))
    np.testing.assert_array_equal(late.offsets, small.offsets)


def test_a_population_larger_than_a_chunk_is_planned_row_by_row():
    rng = np.random.default_rng(1)
    sizes, first = rng.integers(0, 30, (3500, 9)) * 16, rng.integers(0, 12, (3500, 9))
    last = np.minimum(first + rng.integers(0, 5, (3500, 9)), 12)
    whole = plan_memory(make(sizes, first, last))
    for row in (0, 3071, 3072, 3499):
        alone = plan_memory(make(sizes[row], first[row], last[row]))
        np.testing.assert_array_equal(alone.offsets[0], whole.offsets[row])


def test_bad_requests_are_refused():
    buffers = make([1], [0], [0])
    with pytest.raises(InputError, match="greedy_best_fit"):
        plan_memory(buffers, "greedy_best_fitt")
    with pytest.raises(InputError, match="power of two"):
        plan_memory(buffers, alignment=12)
