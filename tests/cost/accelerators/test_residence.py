"""What stays on chip: by hand on a small network, and invariants on random ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.cost import price
from hannah_hw.cost.accelerators.intervals import raised, resident
from hannah_hw.cost.accelerators.residence import GRANULES, place, residence
from hannah_hw.spaces import as_space
from hannah_hw.targets.figures import figures
from tests.cost.accelerators.chips import CPU, DRAM, MACS, OTHERS, SRAM, chip, residual

BUFFERS = ("input", "first", "second", "sum", "mean", "classes", "result")


@pytest.fixture(scope="module")
def workload():
    """Buffers of 192, 512, 512, 512, 8, 10 and 10 bytes; see `residual`."""
    space = as_space(residual())
    return space.candidate(space.default()).workload()


def placed(workload, target):
    """Buffer -> memory, kernel -> (input, output, weights on chip, reserved granules)."""
    costs = price(workload, target)
    memories = [b.memory for b in costs.report(0).memory.buffers]
    codes = costs.placements[0]
    flags = [(int(c) & 1, int(c) >> 1 & 1, int(c) >> 2 & 1, int(c) >> 3) for c in codes]
    return dict(zip(BUFFERS, memories, strict=True)), flags


def test_everything_between_input_and_output_stays_if_it_fits(workload):
    buffers, flags = placed(workload, chip())
    assert buffers == {**dict.fromkeys(BUFFERS, "sram"), "input": "dram", "result": "dram"}
    # 64 KiB in 32 granules: every buffer takes one. The residual value is there while the second convolution runs;
    # weights of 216 + 576 + 80 + 40 bytes take another one beside those of each layer itself.
    assert flags == [
        (0, 1, 1, 1),
        (1, 1, 1, 1),
        (1, 1, 0, 0),
        (1, 1, 0, 0),
        (1, 1, 1, 1),
        (1, 0, 0, 0),
    ]


def test_weights_have_a_memory_of_their_own(workload):
    own = SRAM.replace("[I, W, O]", "[I, O]")
    weights = SRAM.replace("name: sram", "name: wmem").replace("[I, W, O]", "[W]").replace("SIZE", "1 KiB")
    target = chip(memories=weights + own + DRAM)
    found = residence(target)
    assert (found.activations, found.weights, found.shared) == ("sram", "wmem", False)
    assert [f[2:] for f in placed(workload, target)[1]] == [(1, 0), (1, 0), (0, 0), (0, 0), (1, 0), (0, 0)]
    assert price(workload, target).report(0).memory.weights_in == "wmem"
    # 912 bytes of weights and biases.
    small = chip(memories=weights.replace("1 KiB", "911 B") + own + DRAM)
    assert [f[2] for f in placed(workload, small)[1]] == [0] * 6
    assert price(workload, small).report(0).memory.weights_in == "dram"


def test_of_what_does_not_fit_together_the_most_useful_stays(workload):
    # 1,280 bytes, 1,120 of them for activations, in granules of 40 bytes: two buffers of 512 fit at a time, three do
    # not. First and second are live with each other, second with the sum, and the first (read twice) with both.
    buffers, flags = placed(workload, chip(size="1280 B"))
    assert buffers["first"] == buffers["second"] == "sram"
    assert buffers["sum"] == "dram"
    assert buffers["mean"] == buffers["classes"] == "sram"
    assert flags[2][:2] == (1, 0)
    assert flags[3][:2] == (0, 1)


def test_the_order_of_what_is_saved_counts(workload):
    # 520 bytes for one of the large buffers: the first one saves three times its bytes, the others twice.
    buffers, flags = placed(workload, chip(size="640 B"))
    assert [name for name in BUFFERS if buffers[name] == "sram"] == ["first", "mean", "classes"]
    # What others hold of the memory while a kernel runs that does not use it: 26 granules of 20 bytes.
    assert flags[1] == (1, 0, 0, 0)
    # The addition reads one value that stays and one that does not: then both count as off chip.
    assert flags[2] == (0, 0, 0, 0)


def test_what_the_processor_touches_lies_outside(workload):
    rules = (f"{{match: {MACS}}}", "{match: add, unit: cpu}", f"{{match: {OTHERS}}}")
    buffers, _ = placed(workload, chip(ops=rules, more=CPU))
    assert [name for name in BUFFERS if buffers[name] == "sram"] == ["mean", "classes"]


def test_without_an_on_chip_memory_nothing_stays(workload):
    target = chip(on_chip="")
    buffers, flags = placed(workload, target)
    assert set(buffers.values()) == {"dram"}
    assert not residence(target).any
    assert set(flags) == {(0, 0, 0, 0)}


def test_the_outermost_memory_is_no_place_to_stay(workload):
    target = chip(memories=SRAM, more="", limits="{ram_bytes: 64 KiB}")
    assert not residence(target).any
    assert set(placed(workload, target)[0].values()) == {"sram"}


def test_staying_on_chip_saves_traffic(workload):
    near, far = price(workload, chip()).report(0), price(workload, chip(on_chip="")).report(0)
    assert near.energy_j < far.energy_j
    assert near.cycles <= far.cycles
    # By hand: the addition reads 1,024 and writes 512 bytes in the SRAM instead of the DRAM.
    rows = [r.kernels[2] for r in (near, far)]
    saved = 8192 * (8 - 1 / 8) + 4096 * (16 - 1 / 4)
    assert rows[1].energy_j - rows[0].energy_j == pytest.approx(saved * 1e-12)


def lives(count):
    """Begin, end, size, what is saved, and whether it may stay, of some buffers."""
    times = st.integers(0, 7)
    buffer = st.tuples(times, times, st.integers(0, 20), st.integers(0, 60), st.booleans())
    return st.lists(buffer, min_size=count, max_size=count)


def tables(rows):
    begin, end, sizes, saved, allowed = (
        np.array(column).reshape(-1, 1) for column in zip(*rows, strict=True)
    )
    return sizes, np.minimum(begin, end), np.maximum(begin, end), allowed.astype(bool) & (sizes > 0), saved


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6).flatmap(lives), st.integers(0, 40))
def test_no_kernel_ever_has_more_than_the_memory(rows, capacity):
    sizes, first, last, allowed, saved = tables(rows)
    kept = resident(sizes, first, last, allowed, saved, np.array([capacity]))
    taken = raised(np.where(kept, sizes, 0), first, last, 8)
    for moment in range(8):
        live = kept & (first <= moment) & (moment <= last)
        assert taken[moment, 0] == sizes[live].sum() <= capacity
    assert not (kept & ~allowed).any()
    # Nothing is left out that would still fit.
    for index in np.flatnonzero(allowed & ~kept):
        during = slice(first[index, 0], last[index, 0] + 1)
        assert taken[during, 0].max() + sizes[index, 0] > capacity


@settings(max_examples=50, deadline=None)
@given(st.lists(lives(4), min_size=2, max_size=5), st.integers(0, 40))
def test_candidates_do_not_change_each_other(candidates, capacity):
    columns = [np.concatenate(parts, axis=1) for parts in zip(*map(tables, candidates), strict=True)]
    together = resident(*columns, np.full(len(candidates), capacity))
    for index, rows in enumerate(candidates):
        alone = resident(*tables(rows), np.array([capacity]))
        assert together[:, [index]].tolist() == alone.tolist()


@pytest.mark.parametrize("name", ["resnet", "mcunet"])
@pytest.mark.parametrize("size", [4096, 65536, 1 << 20])
def test_reserved_bytes_are_those_of_the_other_resident_buffers(name, size):
    from hannah_hw import load_space

    space = load_space(name)
    workload = space.workload(space.sample_population(5, seed=2))
    target = chip(size=f"{size} B")
    shape = workload.kernels.active.shape[::-1]
    placement = place(workload, target, np.zeros(shape, np.int64), np.zeros(shape, bool))
    granule, buffers = size // GRANULES, workload.buffers
    for p in range(5):
        for k in np.flatnonzero(workload.kernels.active[p]):
            live = (buffers.first[p] <= k) & (k <= buffers.last[p]) & (buffers.bytes[p] > 0)
            mine = live & workload.reads[k]
            own = np.array([n == workload.kernels.names[k] for n in buffers.names])
            code = int(placement.codes[k, p])
            stays = placement.buffers[p]
            assert code & 1 == int(stays[mine & ~own].all() and (mine & ~own).any())
            assert code >> 1 & 1 == int(stays[own].any())
            used = (mine & bool(code & 1)) | own
            others = live & stays & ~used
            assert code >> 3 == sum(-(-int(b) // granule) for b in buffers.bytes[p][others])
            assert sum(-(-int(b) // granule) for b in buffers.bytes[p][live & stays]) <= GRANULES * 7 // 8


def test_what_shares_a_memory_shares_those_further_out():
    """Rows share registers and columns the memories of weights beyond, so that there is one of these."""
    port = "ports: [{name: p, kind: read_write, max_bits: 64}]"
    registers = f"- {{name: regs, size: 64 B, holds: [I, W, O], served: [D1], {port}}}\n"
    weights = f"- {{name: wmem, size: 64 KiB, holds: [W], served: [D2], {port}}}\n"
    target = chip(memories=registers + weights + SRAM.replace("[I, W, O]", "[I, O]") + DRAM)
    assert figures(target)["wmem_bytes"] == 64 * 1024
    assert residence(target).weights == "wmem"
    # Of the registers there is one a column.
    assert figures(target)["regs_bytes"] == 8 * 64
