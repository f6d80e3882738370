"""One arena with results over operands and scratch memory, against one candidate at a time by the book."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hannah_hw as hw
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.workload import KERNEL_COLUMNS, Buffers, Kernels, Workload
from hannah_hw.workload.arena import PLANNERS, plan_arena, plan_memory


def network(edges, sizes, allowed, scratch, outputs=(), active=None):
    """One candidate: kernel k reads the buffers `edges[k]`; buffer 0 is the input, buffer k + 1 that of kernel k."""
    count = len(edges)
    active = [True] * count if active is None else active
    reads = np.zeros((count, count + 1), bool)
    first, last = [0, *range(count)], [0, *range(count)]
    for k, operands in enumerate(edges):
        reads[k, operands] = True
        for b in operands:
            if active[k]:
                last[b] = max(last[b], k)
    has = [True, *active]
    is_output = [b in outputs or b == count for b in range(count + 1)]
    last = [count - 1 if out else n for n, out in zip(last, is_output, strict=True)]
    bytes_ = [size if there else 0 for size, there in zip(sizes, has, strict=True)]
    return {
        "active": active,
        "reads": reads,
        "bytes": bytes_,
        "first": first,
        "last": last,
        "output": [o and h for o, h in zip(is_output, has, strict=True)],
        "allowed": allowed,
        "scratch": scratch,
    }


def population(rows):
    """The Workload of several such candidates, what their kernels allow, and their scratch."""
    count = len(rows[0]["active"])
    stack = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    table = {n: np.full((len(rows), count), default, np.int64) for n, default in KERNEL_COLUMNS.items()}
    names = tuple(f"k{k}" for k in range(count))
    kernels = Kernels(names, ("any",) * count, stack["active"], table)
    buffers = Buffers(
        ("x", *names),
        ("input", *["activation"] * count),
        *(stack[key].astype(np.int64) for key in ("bytes", "first", "last")),
        stack["output"],
    )
    workload = Workload(kernels, buffers, stack["reads"].any(axis=0))
    return workload, stack["allowed"].astype(bool), stack["scratch"].astype(np.int64)


@st.composite
def candidates(draw, count, edges):
    cell = {"min_size": count, "max_size": count}
    sizes = [draw(st.sampled_from([16, 24, 48, 48, 48, 160])) for _ in range(count + 1)]
    active = [True, *draw(st.lists(st.booleans(), min_size=count - 1, max_size=count - 1))]
    # An inactive kernel passes its first operand on, as a choice between a block and nothing does.
    where, real = [0], []
    for k, operands in enumerate(edges):
        real.append([where[b] for b in operands])
        where.append(k + 1 if active[k] else where[operands[0]])
    return network(
        real,
        sizes,
        draw(st.lists(st.booleans(), **cell)),
        draw(st.lists(st.sampled_from([0, 0, 4, 20, 100]), **cell)),
        outputs={where[draw(st.integers(0, count))], where[count]},
        active=active,
    )


@st.composite
def populations(draw):
    count = draw(st.integers(1, 8))
    edges = [draw(st.lists(st.integers(0, k), min_size=1, max_size=2, unique=True)) for k in range(count)]
    return draw(st.lists(candidates(count, edges), min_size=1, max_size=4))


def test_sizes_alone_are_those_of_the_plan_in_any_order_of_buffers():
    # Two inputs, the second one listed behind a kernel: the tables by time do not have the usual order.
    rows = [network([[0], [1], [2]], [48] * 4, [True] * 3, [4, 8, 0])]
    workload, allowed, scratch = population(rows)
    order, buffers = [1, 0, 2, 3], workload.buffers
    moved = Buffers(
        *(tuple(names[b] for b in order) for names in (buffers.names, buffers.kinds)),
        *(x[:, order] for x in (buffers.bytes, buffers.first, buffers.last, buffers.output)),
    )
    unusual = Workload(workload.kernels, moved, workload.reads[:, order])
    whole, sizes = (plan_arena(unusual, allowed, scratch, offsets=o) for o in (True, False))
    assert whole.arena_bytes.tolist() == sizes.arena_bytes.tolist() == [48 + 8]
    big = Buffers(
        buffers.names,
        buffers.kinds,
        buffers.bytes << 40,
        *(getattr(buffers, n) for n in ("first", "last", "output")),
    )
    huge = plan_arena(Workload(workload.kernels, big, workload.reads), allowed, scratch, offsets=False)
    assert huge.arena_bytes.tolist() == [(48 << 40) + 8]


def by_the_book(row, planner, alignment, share):
    """Offsets, scratch offsets and size of one candidate, kernel by kernel and buffer by buffer."""
    count = len(row["active"])
    chain = {b: b for b in range(count + 1)}
    last = list(row["last"])
    for k in range(count):
        if not (share and row["active"][k] and row["allowed"][k]):
            continue
        # The first one that is no part of a chain, else the last one.
        order = sorted(range(count + 1), key=lambda b: (chain[b] != b, b if chain[b] == b else -b))
        for b in order:
            dies = b != k + 1 and row["reads"][k, b] and row["last"][b] == k and not row["output"][b]
            if dies and 0 < row["bytes"][b] == row["bytes"][k + 1]:
                chain[k + 1] = chain[b]
                last[chain[b]] = max(last[chain[b]], row["last"][k + 1])
                break
    sizes = [size if chain[b] == b else 0 for b, size in enumerate(row["bytes"])]
    one = [np.array([values]) for values in (sizes, row["first"], last)]
    plan = PLANNERS[planner](*one, alignment)
    offsets = [int(plan.offsets[0, chain[b]]) for b in range(count + 1)]
    total, scratch = int(plan.arena_bytes[0]), []
    for k in range(count):
        live = [
            offsets[b] + -(-row["bytes"][b] // alignment) * alignment
            for b in range(count + 1)
            if row["bytes"][b] and row["first"][b] <= k <= row["last"][b]
        ]
        wanted = row["scratch"][k] if row["active"][k] else 0
        scratch.append(max(live, default=0) if wanted else 0)
        total = max(total, scratch[-1] + wanted)
    return offsets, scratch, total


@given(populations(), st.sampled_from([1, 16]), st.sampled_from(sorted(PLANNERS)))
@settings(max_examples=150, deadline=None)
def test_plans_equal_the_definition(rows, alignment, planner):
    workload, allowed, scratch = population(rows)
    for row in rows:
        row["reads"] = workload.reads  # what a kernel may read in any candidate; lifetimes tell what it does
    plan = plan_arena(workload, allowed, scratch, planner, alignment)
    for index, row in enumerate(rows):
        shared, apart = (by_the_book(row, planner, alignment, share) for share in (True, False))
        expected = shared if shared[2] <= apart[2] else apart
        assert plan.offsets[index].tolist() == expected[0]
        assert plan.scratch_offsets[index].tolist() == expected[1]
        assert plan.arena_bytes[index] == expected[2]
    fast = plan_arena(workload, allowed, scratch, planner, alignment, offsets=False)
    np.testing.assert_array_equal(fast.arena_bytes, plan.arena_bytes)
    np.testing.assert_array_equal(fast.buffer_bytes, plan.buffer_bytes)


@given(populations())
@settings(max_examples=150, deadline=None)
def test_no_live_bytes_are_written_but_by_the_kernel_that_reads_them_last(rows):
    workload, allowed, scratch = population(rows)
    plan = plan_arena(workload, allowed, scratch)
    buffers = workload.buffers
    for index, row in enumerate(rows):
        spans = [
            (int(plan.offsets[index, b]), int(plan.offsets[index, b] + buffers.bytes[index, b]))
            for b in range(len(buffers))
        ]
        for k in range(len(row["active"])):
            if not row["active"][k]:
                continue
            live = [
                b for b in range(len(buffers)) if row["bytes"][b] and row["first"][b] <= k <= row["last"][b]
            ]
            for i in live:
                assert spans[i][1] <= plan.arena_bytes[index]
                if row["scratch"][k]:
                    assert spans[i][1] <= plan.scratch_offsets[index, k]
                for j in live:
                    if i < j and spans[i][0] < spans[j][1] and spans[j][0] < spans[i][1]:
                        assert j == k + 1, "only what the kernel writes may lie on something that lives"
                        assert spans[i] == spans[j]
                        assert plan.in_place[index, k]
                        assert allowed[index, k]
                        assert workload.reads[k, i]
                        assert row["last"][i] == k
                        assert not row["output"][i]
            assert plan.scratch_offsets[index, k] + row["scratch"][k] <= plan.arena_bytes[index]
    none = plan_arena(workload, np.zeros_like(allowed), scratch)
    assert not none.in_place.any()
    assert (plan.arena_bytes <= none.arena_bytes).all()
    np.testing.assert_array_equal(none.offsets, plan_memory(buffers).offsets)


def test_a_chain_of_results_is_one_buffer():
    # x -> depthwise -> depthwise -> add(shortcut x): x lives on, so the first one may not take it, but the second
    # one and the addition may: two buffers of 64 bytes instead of three.
    row = network([[0], [1], [0, 2]], [64] * 4, [True] * 3, [0] * 3)
    workload, allowed, scratch = population([row])
    plan = plan_arena(workload, allowed, scratch)
    assert plan.in_place.tolist() == [[False, True, True]]
    assert plan.offsets[0, 1] == plan.offsets[0, 2]
    # Both operands of the addition die in it; the one that is not part of a chain is taken.
    assert plan.offsets[0, 3] == plan.offsets[0, 0]
    assert plan.arena_bytes.tolist() == plan.buffer_bytes.tolist() == [128]


def test_the_networks_input_may_be_overwritten_and_an_output_not():
    chain = network([[0], [1]], [32] * 3, [True] * 2, [8, 0])
    kept = network([[0], [1]], [32] * 3, [True] * 2, [8, 0], outputs={1})
    workload, allowed, scratch = population([chain, kept])
    plan = plan_arena(workload, allowed, scratch)
    assert plan.in_place.tolist() == [[True, True], [True, False]]
    assert plan.arena_bytes.tolist() == [32 + 8, 64]
    assert plan.buffer_bytes.tolist() == [32, 64]


@pytest.mark.parametrize("name", ["ds_cnn", "mcunet"])
def test_a_candidate_alone_is_planned_as_in_its_population(name):
    space = hw.load_space(name)
    library = LIBRARIES["hannah_dsp"]
    workload = space.workload(space.sample_population(60, seed=4))
    in_place, scratch = library.memory(workload.kernels)
    plan = plan_arena(workload, in_place, scratch)
    assert plan.in_place.any()
    sizes = plan_arena(workload, in_place, scratch, offsets=False)
    np.testing.assert_array_equal(sizes.arena_bytes, plan.arena_bytes)
    np.testing.assert_array_equal(sizes.buffer_bytes, plan.buffer_bytes)
    for index in range(workload.size):
        alone = workload.candidate(index)
        kept = np.flatnonzero(workload.kernels.active[index])
        live = np.flatnonzero(workload.buffers.bytes[index])
        single = plan_arena(alone, *library.memory(alone.kernels))
        assert single.arena_bytes[0] == plan.arena_bytes[index]
        np.testing.assert_array_equal(single.offsets[0], plan.offsets[index, live])
        np.testing.assert_array_equal(single.scratch_offsets[0], plan.scratch_offsets[index, kept])
        np.testing.assert_array_equal(single.in_place[0], plan.in_place[index, kept])
