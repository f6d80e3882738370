"""Layers on an Ethos-U: cycles worked out by hand, invariants, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.block.blocks import find_blocks
from hannah_hw.cost.block.cycles import Scheduling, unit_cycles
from hannah_hw.cost.block.encoding import Encoding, encoded_bytes
from hannah_hw.cost.block.lowering import LOWERED, lower
from hannah_hw.cost.block.model import price_block, priced_kinds, processor
from hannah_hw.cost.block.npu import Memory, ethos_u
from hannah_hw.cost.block.operations import Operations
from hannah_hw.cost.block.traffic import feature_map_traffic
from hannah_hw.errors import TargetError
from hannah_hw.targets import load_target
from hannah_hw.workload.table import KERNEL_KINDS

SRAM = Memory("sram", 8.0, 32, 32, 32)
TARGETS = ("ethos_u55_32", "ethos_u55_64", "ethos_u55_128", "ethos_u55_256", "ethos_u65_256", "ethos_u65_512")


def npu(macs, cores=1):
    return ethos_u(macs, cores, SRAM, SRAM, SRAM)


def cycles_of(operations, macs, cores=1):
    made = npu(macs, cores)
    return unit_cycles(operations, find_blocks(operations, made), made)


def conv(size, in_channels, out_channels, kernel, stride=1, **columns):
    out = -(-size // stride)
    macs = out * out * out_channels * in_channels * kernel * kernel
    return Layers.of(
        "conv",
        in_h=size,
        in_w=size,
        out_h=out,
        out_w=out,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_h=kernel,
        kernel_w=kernel,
        stride_h=stride,
        stride_w=stride,
        macs=macs,
        weights=in_channels * out_channels * kernel * kernel,
        **{"input_on_chip": 1, "output_on_chip": 1, **columns},
    )


# Arm's table for an addition: 6, 3, 1.5 and 0.75 cycles an element; two cores share the elements.
@pytest.mark.parametrize(
    ("macs", "cores", "rate"), [(32, 1, 6), (64, 1, 3), (128, 1, 1.5), (256, 1, 0.75), (256, 2, 0.375)]
)
def test_addition_takes_the_cycles_of_its_elements(macs, cores, rate):
    size = {
        f"{tensor}_{axis}": n
        for tensor in ("ifm", "ifm2", "ofm")
        for axis, n in zip("hwc", (32, 32, 16), strict=True)
    }
    total = cycles_of(Operations.of("elementwise", **size, output=5), macs, cores).total
    assert total.tolist() == [32 * 32 * 16 * rate]


def test_channels_of_bricks_count_in_an_addition_and_those_of_rows_do_not():
    size = {
        f"{tensor}_{axis}": n
        for tensor in ("ifm", "ifm2", "ofm")
        for axis, n in zip("hwc", (32, 32, 10), strict=True)
    }
    bricks = Operations.of("elementwise", **size, output=5)
    rows = Operations.of("elementwise", **size, output=5, ifm_linear=1, ofm_linear=1)
    assert cycles_of(bricks, 128).total.tolist() == [32 * 32 * 16 * 1.5]
    assert cycles_of(rows, 128).total.tolist() == [32 * 32 * 10 * 1.5]


def test_fully_connected_layer_by_hand():
    # 1,024 inputs are 32 slices of 32, each 4 microblocks of 4 outputs x 16 cycles: 2,048 of the array. The output
    # stage takes 2 an element, 32, but commands are issued at a quarter of array and output: (2,048 + 32) / 4 = 520.
    # Reading 32 inputs takes 32 + 32 / 8 = 36, writing 16 outputs in bursts of 16 of 32: 32 + 32 / 8 = 36.
    layer = Operations.of("fc", ifm_c=1024, ofm_c=16, scales=1, ifm_linear=1, ofm_linear=1)
    counted = cycles_of(layer, 32)
    assert counted.array.tolist() == [2048]
    assert counted.total.tolist() == [2048 + 520 + 36 + 36]


def test_slice_in_the_middle_neither_reads_first_nor_writes_last():
    layer = Operations.of("fc", ifm_c=1024, ofm_c=16, scales=1, ifm_linear=1, ofm_linear=1)
    made = npu(32)
    blocks = find_blocks(layer, made)
    middle = unit_cycles(layer, blocks, made, Scheduling.of(1, first=False, last=False))
    assert middle.total.tolist() == [2048]


def test_a_window_of_nine_takes_three_steps_of_four_in_depthwise_convolution():
    # 16 x 16 pixels are 64 microblocks of 2 x 2, of 4 cycles each, in 3 steps, for 2 microblocks of 8 channels.
    layer = Operations.of(
        "depthwise", ifm_h=16, ifm_w=16, ifm_c=16, ofm_h=16, ofm_w=16, ofm_c=16, kernel_h=3, kernel_w=3
    )
    assert cycles_of(layer, 256).array.tolist() == [64 * 4 * 3 * 2]


def test_two_cores_halve_the_array():
    layer = Operations.of(
        "conv", ifm_h=16, ifm_w=16, ifm_c=64, ofm_h=16, ofm_w=16, ofm_c=64, kernel_h=3, kernel_w=3
    )
    assert 2 * cycles_of(layer, 256, 2).array == cycles_of(layer, 256).array


def test_input_is_read_again_for_every_block_of_channels():
    # Bricks: bursts are whole, so bytes are those of the blocks times how often they are read.
    layer = Operations.of("conv", ifm_h=8, ifm_w=8, ifm_c=64, ofm_h=8, ofm_w=8, ofm_c=256)
    made = npu(128)
    blocks = find_blocks(layer, made)
    pieces = -(-256 // blocks.ofm[0, 2]) * -(-8 // blocks.ofm[0, 0]) * -(-8 // blocks.ofm[0, 1])
    read = pieces * min(blocks.ifm[0, 0], 8) * min(blocks.ifm[0, 1], 8) * 64
    moved = feature_map_traffic(layer, blocks, made)
    assert moved.maps["sram"].tolist() == [read + 8 * 8 * 256]


@st.composite
def convolutions(draw):
    size = draw(st.integers(1, 64))
    kernel = draw(st.integers(1, min(9, size)))
    return {
        "ifm_h": size,
        "ifm_w": size,
        "ifm_c": draw(st.integers(1, 300)),
        "ofm_h": size,
        "ofm_w": size,
        "ofm_c": draw(st.integers(1, 300)),
        "kernel_h": kernel,
        "kernel_w": kernel,
        "ifm_bits": draw(st.sampled_from([8, 16])),
        "table": draw(st.integers(0, 1)),
    }


@settings(max_examples=150, deadline=None)
@given(convolutions(), st.sampled_from((32, 64, 128, 256)))
def test_blocks_fit_the_shared_memory_and_no_multiplier_does_two_things_at_once(columns, macs):
    layer = Operations.of("conv", **columns)
    made = npu(macs)
    blocks = find_blocks(layer, made)
    assert blocks.found.all()
    (height, width, depth), (rows, columns_, channels) = blocks.ofm[0], blocks.ifm[0]
    assert [height % made.ofm_ublock[0], width % made.ofm_ublock[1], depth % made.ofm_ublock[2]] == [0, 0, 0]
    element = 5 if columns["ifm_bits"] == 16 else 4
    # A block of a single row takes one row of accumulators.
    held = (
        (1 if columns["ofm_h"] == columns["kernel_h"] == 1 else height) * width * -(-depth // 8) * 8 * element
    )
    needed = 2 * rows * columns_ * channels * columns["ifm_bits"] // 8 + 2 * held + 2 * 1024
    assert needed <= made.banks * 1024
    macs_needed = np.prod([columns[n] for n in ("ofm_h", "ofm_w", "ofm_c", "ifm_c", "kernel_h", "kernel_w")])
    assert (
        unit_cycles(layer, blocks, made).total[0] * macs * (2 if columns["ifm_bits"] == 8 else 1)
        >= macs_needed
    )


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.floats(2, 8), st.floats(0, 2))
def test_weights_that_compress_less_take_more_whole_pieces_of_16_bytes(columns, bits, more):
    layer = Operations.of("conv", **columns)
    made = npu(128)
    part = find_blocks(layer, made).part_kernel
    few, many = (
        encoded_bytes(layer, part, made, Encoding(b, b), layer["ofm_c"])[0][0] for b in (bits, bits + more)
    )
    useful = columns["ofm_c"] * columns["ifm_c"] * columns["kernel_h"] * columns["kernel_w"]
    assert few % 16 == 0
    assert useful * bits / 8 <= few <= many


@pytest.mark.parametrize("name", TARGETS)
def test_parts_add_up_and_every_kind_has_a_price_or_a_reason(name):
    target = load_target(name)
    kinds = list(KERNEL_KINDS)
    layers = Layers.of(
        kinds,
        in_h=16,
        in_w=16,
        out_h=16,
        out_w=16,
        in_channels=32,
        out_channels=32,
        operands=2,
        macs=100,
        input_on_chip=1,
        output_on_chip=1,
    )
    costs = price_block(layers, target)
    for position, kind in enumerate(kinds):
        if kind in priced_kinds(target):
            assert costs.failed[position] == -1
            assert costs.cycles[position] == pytest.approx(
                sum(p[position] for p in costs.cycle_parts.values())
            )
        else:
            assert kind in costs.rules[costs.failed[position]]
            assert np.isnan(costs.cycles[position])
    assert np.isnan(costs.energy_pj).all()
    assert set(LOWERED) == set(priced_kinds(target))


def test_utilisation_is_multiply_accumulates_by_cycles_and_multipliers():
    layer = conv(32, 16, 16, 3)
    costs = price_block(layer, load_target("ethos_u55_128"))
    assert costs.utilisation[0] == layer["macs"][0] / (costs.cycles[0] * 128)
    told = costs.detail(0)["operations"]
    assert [operation["unit"] for operation in told] == ["conv"]
    assert told[0]["processor_cycles"] <= costs.cycles[0]


def test_a_layer_costs_the_same_alone_and_among_others():
    together = [conv(16, c, k, 3) for c, k in ((3, 8), (16, 32), (64, 24))]
    kinds = [layer.kind(0) for layer in together]
    columns = {name: np.concatenate([layer[name] for layer in together]) for name in together[0].columns}
    target = load_target("ethos_u65_256")
    assert price_block(Layers.of(kinds, **columns), target).cycles.tolist() == [
        price_block(layer, target).cycles[0] for layer in together
    ]


def test_a_grouped_convolution_is_as_many_as_it_has_groups():
    layer = conv(16, 32, 32, 3)
    grouped = Layers(layer.kinds, {**layer.columns, "groups": np.array([2])})
    operations = lower(grouped, spills=False)
    assert operations["repeats"].tolist() == [2]
    assert (operations["ifm_c"].tolist(), operations["ofm_c"].tolist()) == ([16], [16])
    # Parts of 8 channels do not begin at a brick.
    ragged = lower(Layers(layer.kinds, {**layer.columns, "groups": np.array([4])}), spills=False)
    assert ragged["ifm_linear"].tolist() == [1]


def test_transposed_convolution_of_stride_three_is_refused_by_name():
    layer = Layers.of(
        "conv_transpose", in_h=8, in_w=8, out_h=24, out_w=24, stride_h=3, stride_w=3, kernel_h=3, kernel_w=3
    )
    costs = price_block(layer, load_target("ethos_u55_64"))
    assert costs.rules[costs.failed[0]].startswith("conv_transpose: strides must be 1 or 2")


def test_another_model_kind_is_refused():
    with pytest.raises(TargetError, match="not by blocks"):
        processor(load_target("max78000"))
