"""Systolic arrays against a simulation register by register, against SCALE-Sim, and by their invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import load_target
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form
from hannah_hw.cost.closed_form.gemm import Products
from hannah_hw.cost.closed_form.systolic import folds

STATIONARY = ("weights", "outputs", "inputs")


def stays(kept, streamed):
    """One fold in which `kept` (rows, columns) lies in the array and `streamed` (n, rows) passes.

    Every multiplier hands its input on to the right and its sum on to the bottom, one step a cycle.

    Returns:
        The product (n, columns), and the cycle in which its last value leaves, rows cycles of loading included.
    """
    rows, columns = kept.shape
    inputs, sums = np.zeros((2, rows, columns), np.int64)
    tags = np.full((rows, columns), -1)
    product = np.zeros((len(streamed), columns), np.int64)
    left = len(streamed) * columns
    cycle = rows
    while left:
        above = np.vstack([np.zeros((1, columns), np.int64), sums[:-1]])
        entering = np.zeros(rows, np.int64)
        marks = np.full(rows, -1)
        for row in range(rows):
            index = cycle - rows - row
            if 0 <= index < len(streamed):
                entering[row], marks[row] = streamed[index, row], index
        inputs = np.hstack([entering[:, None], inputs[:, :-1]])
        tags = np.hstack([marks[:, None], tags[:, :-1]])
        sums = above + inputs * kept
        for column in np.flatnonzero(tags[-1] >= 0):
            product[tags[-1, column], column] = sums[-1, column]
            left -= 1
        cycle += 1
    return product, cycle


def accumulates(left, right):
    """One fold in which sums stay: (rows, inner) enters from the left and (inner, columns) from the top.

    Returns:
        The product, and the cycle in which it is complete.
    """
    (rows, inner), columns = left.shape, right.shape[1]
    across, down, sums, arrived, taken = np.zeros((5, rows, columns), np.int64)
    cycle = 0
    while (taken < inner).any():
        inside = [0 <= cycle - row < inner for row in range(rows)]
        enter = [left[r, cycle - r] if inside[r] else 0 for r in range(rows)]
        fall = [right[cycle - c, c] if 0 <= cycle - c < inner else 0 for c in range(columns)]
        across = np.hstack([np.array(enter)[:, None], across[:, :-1]])
        arrived = np.hstack([np.array(inside, np.int64)[:, None], arrived[:, :-1]])
        down = np.vstack([np.array(fall)[None, :], down[:-1]])
        sums, taken = sums + across * down, taken + arrived
        cycle += 1
    return sums, cycle


def simulated(left, right, rows, columns, stationary):
    """Multiply (pixels, inner) by (inner, filters) in folds; the product and the cycles of all folds."""
    pixels = len(left)
    filters = right.shape[1]
    pad = lambda matrix, h, w: np.pad(matrix, ((0, -len(matrix) % h), (0, -matrix.shape[1] % w)))  # noqa: E731
    product, cycles = np.zeros((pixels + rows + columns, filters + rows + columns), np.int64), 0
    if stationary == "outputs":
        a, b = pad(left, rows, 1), pad(right, 1, columns)
        for p in range(0, len(a), rows):
            for f in range(0, b.shape[1], columns):
                part, took = accumulates(a[p : p + rows], b[:, f : f + columns])
                product[p : p + rows, f : f + columns] = part
                cycles += took
    else:
        # Inputs stay: the transposed product, in which they take the place of weights.
        swap = stationary == "inputs"
        streamed, kept = (right.T, left.T) if swap else (left, right)
        kept, streamed = pad(kept, rows, columns), pad(streamed, 1, rows)
        for i in range(0, len(kept), rows):
            for f in range(0, kept.shape[1], columns):
                part, took = stays(kept[i : i + rows, f : f + columns], streamed[:, i : i + rows])
                view = product.T if swap else product
                view[: len(part), f : f + columns] += part
                cycles += took
    return product[:pixels, :filters], cycles


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 7)] * 3),
    st.tuples(*[st.integers(1, 4)] * 2),
    st.sampled_from(STATIONARY),
    st.randoms(use_true_random=False),
)
def test_cycles_are_those_of_an_array_simulated_register_by_register(shape, array, stationary, random):
    pixels, inner, filters = shape
    left = np.array([[random.randint(-9, 9) for _ in range(inner)] for _ in range(pixels)])
    right = np.array([[random.randint(-9, 9) for _ in range(filters)] for _ in range(inner)])
    product, cycles = simulated(left, right, *array, stationary)
    assert (product == left @ right).all()
    layer = Layers.of("conv", in_channels=inner, out_channels=filters, out_w=pixels)
    assert folds(Products.of(layer), *array, stationary).cycles[0] == cycles - 1


#: Own runs of scalesim 3.0.0: dataflow, rows, columns, output pixels, values of a window, filters, and its total cycles
#: without stalls, reads of inputs and of filters, and writes of outputs (None: counted with idle columns).
SCALESIM = [
    ("weights", 4, 8, 56, 45, 20, 2519, 7560, 900, 13440),
    ("weights", 16, 8, 1, 75, 50, 1364, 525, 3750, 250),
    ("weights", 16, 16, 125, 40, 64, 2051, 20000, 2560, 24000),
    ("outputs", 4, 4, 49, 33, 17, 2534, 8085, 7293, None),
    ("outputs", 16, 8, 22, 72, 16, 375, 3168, 2304, None),
    ("outputs", 8, 8, 80, 30, 40, 2199, 12000, 12000, None),
    ("inputs", 4, 4, 56, 45, 20, 5039, 2520, 12600, 13440),
    ("inputs", 16, 8, 49, 9, 1, 272, 441, 63, 49),
    ("inputs", 4, 8, 1, 75, 50, 1215, 75, 3750, 950),
]


@pytest.mark.parametrize("row", SCALESIM)
def test_cycles_and_accesses_are_those_of_scalesim(row):
    stationary, rows, columns, pixels, inner, filters, cycles, inputs, weights, outputs = row
    layer = Layers.of("conv", in_channels=inner, out_channels=filters, out_w=pixels)
    found = folds(Products.of(layer), rows, columns, stationary)
    assert found.cycles[0] == cycles
    assert found.values["I", "read"][0] == inputs
    assert found.values["W", "read"][0] == weights
    assert outputs is None or found.values["O", "write"][0] == outputs


sizes = st.integers(1, 300)


@given(st.tuples(sizes, sizes, sizes), st.tuples(*[st.integers(1, 64)] * 2), st.sampled_from(STATIONARY))
def test_no_array_does_more_than_one_product_a_multiplier_and_cycle(shape, array, stationary):
    pixels, inner, filters = shape
    layer = Layers.of("conv", in_channels=inner, out_channels=filters, out_w=pixels)
    found = folds(Products.of(layer), *array, stationary)
    assert (found.cycles[0] + 1) * array[0] * array[1] >= pixels * inner * filters
    # Each value passes at least once.
    assert found.values["I", "read"][0] >= pixels * inner
    assert found.values["W", "read"][0] >= inner * filters
    assert found.values["O", "write"][0] >= pixels * filters


def test_groups_run_one_after_the_other():
    one = Layers.of("conv", in_channels=4, out_channels=6, out_h=5, out_w=5, kernel_h=3, kernel_w=3)
    eight = Layers.of(
        "conv", groups=8, in_channels=32, out_channels=48, out_h=5, out_w=5, kernel_h=3, kernel_w=3
    )
    for stationary in STATIONARY:
        single, all_groups = (folds(Products.of(x), 4, 4, stationary) for x in (one, eight))
        assert all_groups.cycles[0] == 8 * single.cycles[0]


def test_transposed_convolutions_and_matrix_products_do_all_their_multiplications():
    transposed = Layers.of(
        "conv_transpose",
        in_channels=6,
        out_channels=10,
        in_h=4,
        in_w=5,
        out_h=8,
        out_w=10,
        kernel_h=3,
        kernel_w=3,
    )
    assert Products.of(transposed).macs[0] == 6 * 10 * 9 * 20
    product = Layers.of("matmul", groups=4, in_channels=32, out_channels=20, in_w=7, out_w=7)
    assert Products.of(product).macs[0] == 4 * 7 * 8 * 5


def test_stalls_are_what_the_outermost_memory_needs_beyond_the_computation():
    """A fully connected layer of 512 x 512 takes each weight once: 2 Mbit over a bus of 128 bits are 16,384 cycles.

    With 512 inputs and 512 outputs of 8 bits, 64 more; 32 x 32 folds of 2 x 16 + 16 + 1 - 2 cycles compute.
    """
    target = load_target("gemmini_ws16")
    layer = Layers.of("linear", in_channels=512, out_channels=512, weights=512 * 512, macs=512 * 512)
    costs = price_closed_form(layer, target)
    compute = 32 * 32 * 47 - 1
    assert costs.cycle_parts["compute"][0] == compute
    assert costs.cycle_parts["stall"][0] == 0
    narrow = target.model_copy(
        update={
            "memories": tuple(
                memory
                if memory.name != "dram"
                else memory.model_copy(
                    update={"ports": (memory.ports[0].model_copy(update={"max_bits": 8}),)}
                )
                for memory in target.memories
            )
        }
    )
    costs = price_closed_form(layer, narrow)
    assert costs.cycles[0] == 512 * 512 + 1024
    assert costs.cycle_parts["stall"][0] == 512 * 512 + 1024 - compute
    placed = {name: np.ones(1, np.int64) for name in ("input_on_chip", "output_on_chip", "weights_on_chip")}
    assert price_closed_form(Layers(layer.kinds, {**layer.columns, **placed}), narrow).cycles[0] == compute


def test_energy_is_accesses_times_their_figures():
    """A convolution of one pixel, 16 inputs and 16 outputs on 16 x 16: one fold, each value moves once."""
    target = load_target("gemmini_ws16")
    layer = Layers.of("linear", in_channels=16, out_channels=16, weights=256, macs=256)
    parts = price_closed_form(layer, target).energy_parts
    accumulator, scratchpad, dram = target.memories
    assert parts["mac"][0] == pytest.approx(256 * target.array.mac_pj.value)
    # Words of 16 values; the array reads them, and what comes from outside is written first.
    assert parts["scratchpad I"][0] == pytest.approx(scratchpad.read_pj.value + scratchpad.write_pj.value)
    assert parts["scratchpad W"][0] == pytest.approx(
        16 * (scratchpad.read_pj.value + scratchpad.write_pj.value)
    )
    # One fold: no sum comes back. The accumulators' words are as wide as 16 sums of 32 bits.
    assert parts["accumulator O"][0] == pytest.approx(
        (accumulator.read_pj.value + accumulator.write_pj.value) / 4
    )
    assert parts["dram W"][0] == pytest.approx(16 * dram.read_pj.value)
    assert parts["dram O"][0] == pytest.approx(dram.write_pj.value)


def changed(target, name, **update):
    memories = tuple(m.model_copy(update=update) if m.name == name else m for m in target.memories)
    return target.model_copy(update={"memories": memories})


def test_an_access_costs_what_a_word_of_its_port_costs_however_many_ports_there_are():
    target = load_target("gemmini_ws16")
    read, write = target.memories[1].ports
    twice = changed(target, "scratchpad", ports=(read, read.model_copy(update={"name": "read2"}), write))
    layer = Layers.of("linear", in_channels=512, out_channels=512, weights=512 * 512, macs=512 * 512)
    one, two = (price_closed_form(layer, t).energy_parts for t in (target, twice))
    assert one["scratchpad W"][0] == two["scratchpad W"][0] > 0


def test_inputs_that_do_not_fit_beside_other_buffers_are_fetched_again():
    """64 pixels of 64 channels are 4 KiB; 32 output channels on 16 columns pass them twice."""
    target = load_target("gemmini_ws16")
    scratchpad = target.memories[1].model_copy(update={"holds": ("I", "W", "O"), "size": 8192})
    target = target.model_copy(
        update={"memories": (target.memories[0], scratchpad, target.memories[2]), "on_chip": "scratchpad"}
    )
    sizes = {"in_channels": 64, "out_channels": 32, "in_w": 64, "out_w": 64, "weights": 2048, "macs": 131072}
    layers = Layers.of("conv", **sizes, reserved_bytes=[0, 4096, 4352])
    once, still, again = price_closed_form(layers, target).energy_parts["dram I"]
    assert once == still == pytest.approx(4096 / 16 * target.memories[2].read_pj.value)
    assert again == pytest.approx(2 * once)
