"""Kernels with weights of cores with the DSP extension, on emulated cores, against plain loops over the window."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from hannah_hw.firmware import packing_dsp
from hannah_hw.firmware.implementation import Implementation
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.linking import DEFAULT_STACK_BYTES
from tests.firmware.dsp_cases import Case, random_case, random_convolution, random_depthwise
from tests.firmware.kernel_calls import EmulatedKernels

pytest.importorskip("unicorn")
pytest.importorskip("ziglang")

SOURCES = tuple(
    dict.fromkeys(s for ways in packing_dsp.IMPLEMENTATIONS.values() for way in ways for s in way.sources)
)
PAIRED, PLAIN = packing_dsp.IMPLEMENTATIONS["conv"]
WIDE = packing_dsp.IMPLEMENTATIONS_SLOW_FLASH["conv"][0]


@pytest.fixture(scope="module", params=["m4", "m7", "m33", "m4 gcc"])
def kernels(request: pytest.FixtureRequest) -> EmulatedKernels:
    core, *compiler = request.param.split()
    if compiler and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    return EmulatedKernels(core, SOURCES, *compiler)


def plain_loops(network: Network, layer: Layer, x: np.ndarray) -> np.ndarray:
    """The contract of `hannah_hw.firmware.layers`, pixel by pixel."""
    c, weights = layer.columns, layer.weights.astype(np.int64)
    zero_in, zero_out = (network.values[i].zero_point for i in (layer.inputs[0], layer.output))
    sides = ((c["pad_top"], c["pad_bottom"]), (c["pad_left"], c["pad_right"]), (0, 0))
    padded = np.pad(x.astype(np.int64) - zero_in, sides)
    acc = np.zeros((c["out_h"], c["out_w"], len(weights)), np.int64)
    each, depth = len(weights) // c["groups"], weights.shape[3]
    kernels = weights.reshape(-1, each, *weights.shape[1:])
    for row in range(c["out_h"]):
        for column in range(c["out_w"]):
            top, left = row * c["stride_h"], column * c["stride_w"]
            window = padded[top :: c["dilation_h"], left :: c["dilation_w"]][: c["kernel_h"], : c["kernel_w"]]
            split = window.reshape(*window.shape[:2], -1, depth).transpose(2, 0, 1, 3)
            acc[row, column] = layer.bias + (kernels * split[:, None]).sum(axis=(2, 3, 4)).ravel()
    multipliers = np.array([int(np.floor(s * 2**32 + 0.5)) for s in layer.scales], np.int64)
    scaled = (acc * multipliers + 2**31) >> 32
    return np.clip(zero_out + scaled, layer.low, layer.high)


def check(
    kernels: EmulatedKernels,
    case: Case,
    way: Implementation,
    in_place: int | None = None,
    misaligned: int = 0,
) -> None:
    network, layer, x = case
    y = kernels.run(network, layer, way, [x], in_place=in_place, misaligned=misaligned)
    np.testing.assert_array_equal(y, plain_loops(network, layer, x))


@pytest.mark.parametrize("seed", range(10))
def test_convolutions_are_exact(kernels: EmulatedKernels, seed: int) -> None:
    case = random_convolution(np.random.default_rng(seed))
    for way in (PAIRED, WIDE, PLAIN):
        check(kernels, case, way)


@pytest.mark.parametrize("seed", range(6))
def test_pointwise_and_rows_are_exact(kernels: EmulatedKernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, inputs, outputs, stride = (int(n) for n in rng.integers(1, 14, 5))
    point = random_case(rng, "conv", (height, width, inputs), outputs, stride=(1 + stride % 3, 1 + seed % 2))
    row = random_case(
        rng, "conv", (1, width + 6, inputs), outputs, (1, 1 + seed), (1, 1 + seed % 3), (0, 2, 0, 0)
    )
    for way in (PAIRED, WIDE, PLAIN):
        check(kernels, point, way)
        check(kernels, row, way)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (2, 1), (3, 1), (7, 1), (3, 2), (2, 3), (5, 3), (1, 6)]
)
def test_pointwise_is_exact_where_rows_are_shorter_than_tiles(
    kernels: EmulatedKernels, height: int, width: int
) -> None:
    case = random_case(np.random.default_rng(height), "conv", (height, width, 7), 5)
    for way in (PAIRED, WIDE, PLAIN):
        check(kernels, case, way)


@pytest.mark.parametrize("seed", range(6))
def test_fully_connected_is_exact(kernels: EmulatedKernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs = int(rng.integers(1, 120)), int(rng.integers(1, 25))
    case = random_case(rng, "linear", (1, 1, inputs), outputs, saturates=seed % 2 == 0)
    for way in packing_dsp.IMPLEMENTATIONS["fc"]:
        check(kernels, case, way)


@pytest.mark.parametrize("sign", [(-128, 127), (-128, -127), (127, 127), (127, -127)])
@pytest.mark.parametrize("depth", [8, 64, 508])
def test_sums_at_the_proven_bound_are_exact(
    kernels: EmulatedKernels, sign: tuple[int, int], depth: int
) -> None:
    network, layer, x = random_case(np.random.default_rng(0), "conv", (1, 3, depth), 8)
    x[:] = sign[0]
    weights = np.full(layer.weights.shape, sign[1], np.int8)
    weights[::2] *= -1
    values = (dataclasses.replace(network.values[0], zero_point=0), network.values[1])
    network = dataclasses.replace(network, values=values)
    scales = np.full(8, 100 / (128 * 127 * depth))
    layer = dataclasses.replace(layer, weights=weights, bias=np.zeros(8, np.int32), scales=scales)
    assert PAIRED.refuses(network, layer) is None
    for way in (PAIRED, WIDE):
        check(kernels, (network, layer, x), way)


def test_weights_are_not_paired_where_sums_could_not_be_told_apart() -> None:
    network, layer, _ = random_case(np.random.default_rng(0), "conv", (1, 1, 600), 4)
    values = (dataclasses.replace(network.values[0], zero_point=0), network.values[1])
    network = dataclasses.replace(network, values=values)
    full = np.full(layer.weights.shape, 127, np.int8)
    # 128 * 127 * 516 is below 2^23 and 128 * 127 * 517 is not.
    for count, bias, refused in ((516, 0, False), (517, 0, True), (516, 511, False), (516, 512, True)):
        weights = full * (np.arange(600) < count)
        bounded = dataclasses.replace(layer, weights=weights.astype(np.int8), bias=np.array([0, -bias, 0, 0]))
        assert (PAIRED.refuses(network, bounded) is not None) == refused
    assert PLAIN.refuses(network, dataclasses.replace(layer, weights=full)) is None


def test_plain_weights_take_any_bias_and_scale(kernels: EmulatedKernels) -> None:
    rng = np.random.default_rng(3)
    for kind, way in (("conv", PLAIN), ("linear", packing_dsp.IMPLEMENTATIONS["fc"][1])):
        network, layer, x = random_case(rng, kind, (1, 1, 21), 5)
        wide = dataclasses.replace(
            layer, bias=rng.integers(-(2**29), 2**29, 5).astype(np.int32), scales=np.full(5, 2.0**-23)
        )
        check(kernels, (network, wide, x), way)
        # Multipliers of 2^32 and more: the kernel shifts accumulators, the packed multiplier has fewer bits.
        steep = dataclasses.replace(layer, scales=np.array([0.5, 0.75, 2.5, 3.0, 0.125]))
        assert PAIRED.refuses(network, steep) is not None
        check(kernels, (network, steep, x), way)


def formula(layer: Layer) -> int:
    """Bytes of constants as `packing_dsp` states them."""
    c = layer.columns
    depth = -(-c["kernel_h"] * c["kernel_w"] * (c["in_channels"] // c["groups"]) // 4) * 4
    return c["groups"] * -(-(c["out_channels"] // c["groups"]) // 4) * 4 * (depth + 8)


@pytest.mark.parametrize("seed", range(20))
def test_constants_have_the_stated_size(seed: int) -> None:
    network, layer, _ = random_convolution(np.random.default_rng(seed))
    for way in (PAIRED, WIDE, PLAIN):
        packed = way.pack(network, layer)
        assert len(packed.data) == formula(layer)
        assert packed == way.pack(network, layer)


SQUARES = [(size, stride) for size in (3, 5, 7) for stride in (1, 2)]


@pytest.mark.parametrize(("size", "stride"), SQUARES)
@pytest.mark.parametrize("seed", range(3))
def test_square_depthwise_is_exact(kernels: EmulatedKernels, size: int, stride: int, seed: int) -> None:
    case = random_depthwise(np.random.default_rng(seed), (size, size), (stride, stride))
    name = f"dw_{size}x{size}" + ("" if stride == 1 else "_s2")
    for way in packing_dsp.IMPLEMENTATIONS[name]:
        check(kernels, case, way)


@pytest.mark.parametrize("seed", range(6))
def test_any_depthwise_is_exact(kernels: EmulatedKernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, stride = (tuple(int(n) for n in rng.integers(1, most, 2)) for most in (8, 4))
    check(kernels, random_depthwise(rng, window, stride, seed % 2 == 1), packing_dsp.IMPLEMENTATIONS["dw"][0])


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (5, 1), (3, 2), (4, 3), (2, 4), (6, 9), (37, 45), (100, 6)]
)
def test_depthwise_results_may_lie_on_the_operand(
    kernels: EmulatedKernels, size: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(height)
    above, left = (int(n) for n in rng.integers(0, size, 2))
    pads = (above, left, size - 1 - above, size - 1 - left)
    case = random_case(rng, "conv", (height, width, 3), 3, (size, size), pads=pads, groups=3)
    for way in packing_dsp.IMPLEMENTATIONS[f"dw_{size}x{size}"]:
        check(kernels, case, way, in_place=0)


def test_a_plane_takes_no_more_scratch_than_stated() -> None:
    for height, width, wanted in ((16, 16, 2 * 18 * 18), (48, 48, 2 * 50 * 20), (300, 3, 2 * 6 * 170)):
        network, layer, _ = random_case(
            np.random.default_rng(0), "conv", (height, width, 2), 2, (3, 3), pads=(1, 1, 1, 1), groups=2
        )
        assert packing_dsp.IMPLEMENTATIONS["dw_3x3"][0].scratch(network, layer) == wanted


def test_records_of_channels_have_the_stated_size() -> None:
    words = {(3, 1): 2, (3, 2): 2, (5, 1): 4, (5, 2): 3, (7, 1): 6, (7, 2): 4}
    for (size, stride), pairs in words.items():
        case = random_depthwise(np.random.default_rng(1), (size, size), (stride, stride))
        network, layer, x = case
        name = f"dw_{size}x{size}" + ("" if stride == 1 else "_s2")
        packed = packing_dsp.IMPLEMENTATIONS[name][0].pack(network, layer)
        assert len(packed.data) == x.shape[2] * (8 + 4 * size * pairs)


@pytest.mark.parametrize("misaligned", [1, 2, 3])
def test_values_may_lie_anywhere(kernels: EmulatedKernels, misaligned: int) -> None:
    rng = np.random.default_rng(misaligned)
    windows = random_case(rng, "conv", (6, 7, 5), 6, (3, 3), pads=(1, 1, 1, 1))
    for way in (PAIRED, WIDE, PLAIN):
        check(kernels, windows, way, misaligned=misaligned)
    vector = random_case(rng, "linear", (1, 1, 19), 6, saturates=False)
    for way in packing_dsp.IMPLEMENTATIONS["fc"]:
        check(kernels, vector, way, misaligned=misaligned)
    check(
        kernels,
        random_depthwise(rng, (3, 3), (1, 1)),
        packing_dsp.IMPLEMENTATIONS["dw_3x3"][0],
        misaligned=misaligned,
    )


def test_kernels_need_little_stack(kernels: EmulatedKernels) -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        for way in (PAIRED, WIDE, PLAIN):
            check(kernels, random_convolution(rng), way)
    # A quarter of what firmware reserves by default, hannah_hw.firmware.linking.DEFAULT_STACK_BYTES.
    assert kernels.emulator.stack_high_water <= DEFAULT_STACK_BYTES // 4
