"""The integer reference against loops over whole numbers, and against real arithmetic."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware import arithmetic, reference
from tests.firmware.kernel_calls import single

seeds = st.integers(0, 2**32 - 1)


def int8(rng, *shape, low=-128, high=127):
    return rng.integers(low, high + 1, shape).astype(np.int8)


def clamp_of(rng):
    return (-128, 127) if rng.random() < 0.5 else tuple(sorted(int(v) for v in rng.integers(-128, 128, 2)))


def geometry(rng, transposed=False):
    """Columns of a random window, and the shapes of operand and result."""
    groups = int(rng.choice([1, 1, 2, 3]))
    c = {"groups": groups, "in_channels": groups * int(rng.integers(1, 4))}
    c["out_channels"] = groups * int(rng.integers(1, 4))
    out = []
    for axis, begin, end in (("h", "top", "bottom"), ("w", "left", "right")):
        size, kernel, stride, dilation = (int(rng.integers(1, most)) for most in (7, 4, 4, 3))
        before, after = (int(n) for n in rng.integers(0, 3, 2))
        reach = dilation * (kernel - 1) + 1
        if transposed:
            extra = int(rng.integers(0, stride))
            before, after = min(before, (reach - 1) // 2), min(after, (reach - 1) // 2)
            out.append((size - 1) * stride + reach - before - after + extra)
        else:
            size = max(size, reach - before - after)
            out.append((size + before + after - reach) // stride + 1)
        c |= {f"in_{axis}": size, f"kernel_{axis}": kernel, f"stride_{axis}": stride, f"out_{axis}": out[-1]}
        c |= {f"dilation_{axis}": dilation, f"pad_{begin}": before, f"pad_{end}": after}
    return c, (c["in_h"], c["in_w"], c["in_channels"]), (*out, c["out_channels"])


def with_weights(made, **facts):
    network, layer = made
    layer = dataclasses.replace(layer, **facts)
    return dataclasses.replace(network, layers=(layer,)), layer


def weighted(rng, kind):
    c, shape, out = geometry(rng, kind == "conv_transpose")
    size = (out[2], c["kernel_h"], c["kernel_w"], shape[2] // c["groups"])
    low, high = clamp_of(rng)
    zero_in, zero_out = (int(z) for z in rng.integers(-128, 128, 2))
    return with_weights(
        single(kind, [shape], out, [zero_in], zero_out, **c),
        weights=int8(rng, *size, low=-127),
        bias=rng.integers(-(2**16), 2**16, out[2]).astype(np.int32),
        scales=10.0 ** rng.uniform(-6, math.log10(0.499), out[2]),
        low=low,
        high=high,
    )


def convolved(network, layer, x):
    """Sums of a convolution, one product after the other."""
    c, (height, width, channels) = layer.columns, network.values[layer.output].shape
    zero, share = network.values[0].zero_point, channels // layer.columns["groups"]
    inputs = layer.weights.shape[3]
    for oy in range(height):
        for ox in range(width):
            for o in range(channels):
                total = int(layer.bias[o])
                for ky in range(c["kernel_h"]):
                    for kx in range(c["kernel_w"]):
                        y = oy * c["stride_h"] - c["pad_top"] + ky * c["dilation_h"]
                        z = ox * c["stride_w"] - c["pad_left"] + kx * c["dilation_w"]
                        if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                            total += sum(
                                (int(x[y, z, o // share * inputs + i]) - zero)
                                * int(layer.weights[o, ky, kx, i])
                                for i in range(inputs)
                            )
                yield (oy, ox, o), total


def transposed(network, layer, x):
    """Sums of a transposed convolution: what each value adds to each result."""
    c, shape = layer.columns, network.values[layer.output].shape
    zero, share = network.values[0].zero_point, shape[2] // layer.columns["groups"]
    inputs = layer.weights.shape[3]
    sums = {(y, z, o): int(layer.bias[o]) for y, z, o in np.ndindex(*shape)}
    for y, z, i in np.ndindex(*x.shape):
        for ky, kx in np.ndindex(c["kernel_h"], c["kernel_w"]):
            oy = y * c["stride_h"] - c["pad_top"] + ky * c["dilation_h"]
            ox = z * c["stride_w"] - c["pad_left"] + kx * c["dilation_w"]
            for o in range(i // inputs * share, (i // inputs + 1) * share):
                if (oy, ox, o) in sums:
                    sums[oy, ox, o] += (int(x[y, z, i]) - zero) * int(layer.weights[o, ky, kx, i % inputs])
    return sums.items()


def q32(total, scale, zero, low, high):
    """The contract, in fractions."""
    multiplier = math.floor(Fraction(scale) * 2**32 + Fraction(1, 2))
    return min(max(zero + math.floor(Fraction(total * multiplier + 2**31, 2**32)), low), high)


def tflite(total, scale, zero, low, high):
    """Two roundings, halves away from zero, as gemmlowp defines them."""
    mantissa, shift = Fraction(scale), 0
    while mantissa < Fraction(1, 2):
        mantissa, shift = mantissa * 2, shift + 1
    whole = math.floor(mantissa * 2**31 + Fraction(1, 2))
    if whole == 2**31:
        whole, shift = 2**30, shift - 1
    exact = Fraction(total * whole, 2**31)
    nudge = Fraction(1, 2) if exact >= 0 else Fraction(1, 2**31) - Fraction(1, 2)
    doubled = math.trunc(exact + nudge)
    part = Fraction(doubled, 2**shift)
    rounded = math.floor(abs(part) + Fraction(1, 2)) * (1 if part >= 0 else -1)
    return min(max(zero + rounded, low), high)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(["conv", "conv_transpose"]), st.sampled_from(["q32", "double"]))
def test_convolutions_are_sums_of_products(seed, kind, rounding):
    rng = np.random.default_rng(seed)
    network, layer = weighted(rng, kind)
    network = dataclasses.replace(network, rounding=rounding)
    x = int8(rng, *network.values[0].shape)
    ours = reference.run_layer(network, layer, [x])
    expected = np.zeros_like(ours)
    rescale = q32 if rounding == "q32" else tflite
    for place, total in (convolved if kind == "conv" else transposed)(network, layer, x):
        scale, zero = float(layer.scales[place[2]]), network.values[1].zero_point
        expected[place] = rescale(total, scale, zero, layer.low, layer.high)
    np.testing.assert_array_equal(ours, expected)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_fully_connected_layers_are_convolutions_of_one_pixel(seed):
    rng = np.random.default_rng(seed)
    height, width, channels, outputs = (int(n) for n in rng.integers(1, 6, 4))
    facts = {
        "weights": int8(rng, outputs, 1, 1, height * width * channels, low=-127),
        "bias": rng.integers(-(2**16), 2**16, outputs).astype(np.int32),
        "scales": rng.uniform(1e-6, 1e-2, outputs),
    }
    x = int8(rng, height, width, channels)
    full = with_weights(single("linear", [x.shape], (1, 1, outputs), [-3], 5), **facts)
    pixel = with_weights(single("conv", [(1, 1, x.size)], (1, 1, outputs), [-3], 5), **facts)
    np.testing.assert_array_equal(
        reference.run_layer(*full, [x]), reference.run_layer(*pixel, [x.reshape(1, 1, -1)])
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(-(2**31) + 1, 2**31 - 1), st.floats(1e-9, 0.4999))
def test_q32_is_within_its_stated_error_of_real_arithmetic(total, scale):
    low, high = -(2**40), 2**40
    multiplier = arithmetic.q32_multipliers(np.array([scale]))
    scaled = (np.int64(total) * np.int64(multiplier[0]) + (1 << 31)) >> 32
    exact = Fraction(total) * Fraction(scale)
    assert abs(int(scaled) - exact) <= Fraction(1, 2) + Fraction(abs(total), 2**33)
    assert low < int(scaled) < high


def test_scales_that_are_no_int32_are_refused():
    for scale in (0.5, 3.0, -0.1, np.nan, np.inf):
        with pytest.raises(UnsupportedError, match=r"not below 0\.5"):
            arithmetic.q32_multipliers(np.array([0.1, scale]))
    assert arithmetic.q32_multipliers(np.array([0.0, 0.49999]))[0] == 0


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_sums_and_products_are_real_ones_rounded(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 6, 3))
    zeros, zero_out = [int(z) for z in rng.integers(-128, 128, 2)], int(rng.integers(-128, 128))
    a = int8(rng, *shape)
    ratios = 10.0 ** rng.uniform(-3, 1.5, 2)
    b = int8(rng, *shape)
    y = reference.run_layer(*single("add", [shape, shape], shape, zeros, zero_out, scales=ratios), [a, b])
    exact = (a.astype(float) - zeros[0]) * ratios[0] + (b.astype(float) - zeros[1]) * ratios[1] + zero_out
    assert (np.abs(y - exact.clip(-128, 127)) <= 0.5 + 256 * max(ratios.max(), 1) * 2.0**-20).all()
    second = shape if seed % 2 else (1, 1, shape[2])
    b = int8(rng, *second)
    scale = 10.0 ** rng.uniform(-4, 1)
    network = single("mul", [shape, second], shape, zeros, zero_out, scales=np.array([scale]))
    y = reference.run_layer(*network, [a, b])
    exact = (a.astype(float) - zeros[0]) * (b.astype(float) - zeros[1]) * scale + zero_out
    assert (np.abs(y - exact.clip(-128, 127)) <= 0.5 + 1e-3).all()


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_pools_are_means_and_maxima_of_what_windows_see(seed):
    rng = np.random.default_rng(seed)
    c, shape, out = geometry(rng)
    columns = {key: value for key, value in c.items() if key[:3] in ("ker", "str", "dil", "pad")}
    for axis, sides in (("h", ("top", "bottom")), ("w", ("left", "right"))):
        # A window that sees nothing has no mean; no operator of the package makes one.
        if any(c[f"pad_{side}"] > c[f"dilation_{axis}"] * (c[f"kernel_{axis}"] - 1) for side in sides) or (
            c[f"in_{axis}"] < c[f"dilation_{axis}"]
        ):
            return
    out = (*out[:2], shape[2])
    x = int8(rng, *shape)
    zero, zero_out, ratio = int(rng.integers(-128, 128)), int(rng.integers(-128, 128)), rng.uniform(0.2, 4)
    low, high = clamp_of(rng)
    average = single(
        "avg_pool", [shape], out, [zero], zero_out, scales=np.array([ratio]), low=low, high=high, **columns
    )
    largest = single("max_pool", [shape], out, [zero], zero, low=low, high=high, **columns)
    means, maxima = reference.run_layer(*average, [x]), reference.run_layer(*largest, [x])
    for oy, ox in np.ndindex(*out[:2]):
        seen = [
            x[y, z].astype(int)
            for ky in range(c["kernel_h"])
            for kx in range(c["kernel_w"])
            if 0 <= (y := oy * c["stride_h"] - c["pad_top"] + ky * c["dilation_h"]) < shape[0]
            and 0 <= (z := ox * c["stride_w"] - c["pad_left"] + kx * c["dilation_w"]) < shape[1]
        ]
        np.testing.assert_array_equal(maxima[oy, ox], np.max(seen, axis=0).clip(low, high))
        exact = (np.mean(seen, axis=0) - zero) * ratio + zero_out
        assert (np.abs(means[oy, ox] - exact.clip(low, high)) <= 0.5 + 1e-5).all()


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 1200), st.sampled_from([1 / 256, 1 / 255, 0.003, 0.01]))
def test_softmax_is_within_a_step_of_the_real_one(seed, classes, scale_out):
    rng = np.random.default_rng(seed)
    scale, rows = 10.0 ** rng.uniform(-3, 0.5), int(rng.integers(1, 4))
    shape = (1, rows, classes)
    network = single(
        "softmax",
        [shape],
        shape,
        [int(rng.integers(-128, 128))],
        -128,
        value_scales=(scale, scale_out),
        in_w=rows,
        in_channels=classes,
    )
    x = int8(rng, *shape)
    y = reference.run_layer(*network, [x])
    powers = np.exp((x[0] - x[0].max(axis=1, keepdims=True).astype(float)) * scale)
    exact = powers / powers.sum(axis=1, keepdims=True) / scale_out - 128
    assert (np.abs(y[0] - exact.clip(-128, 127)) <= 0.5 + 0.02 + 2.0**-18 * classes / scale_out).all()


def test_softmax_over_too_many_values_is_refused():
    with pytest.raises(UnsupportedError, match="a softmax over 1000000 values"):
        arithmetic.softmax_constants(0.1, 1 / 256, 1_000_000)


def test_copies_move_values_as_numpy_does():
    rng = np.random.default_rng(0)
    x = int8(rng, 4, 5, 6)
    sliced = single("slice", [x.shape], (4, 3, 6), [0], 0, options={"axis": 1, "begin": 2})
    np.testing.assert_array_equal(reference.run_layer(*sliced, [x]), x[:, 2:5])
    padded = single("pad", [x.shape], (6, 8, 6), [7], 7, pad_top=2, pad_left=1, pad_right=2)
    expected = np.full((6, 8, 6), 7, np.int8)
    expected[2:, 1:6] = x
    np.testing.assert_array_equal(reference.run_layer(*padded, [x]), expected)
    larger = single("upsample", [x.shape], (8, 15, 6), [0], 0)
    expected = x[np.arange(8) // 2][:, np.arange(15) // 3]
    np.testing.assert_array_equal(reference.run_layer(*larger, [x]), expected)
    moved = single("permute", [x.shape], (6, 4, 5), [0], 0, options={"sizes": (6, 20), "steps": (1, 6)})
    np.testing.assert_array_equal(reference.run_layer(*moved, [x]), x.transpose(2, 0, 1))
    table = np.stack([np.arange(-128, 128), int8(rng, 256)]).astype(np.int8)
    joined = single("concat", [x.shape, x.shape], (4, 5, 12), [0, 0], 0, options={"axis": 2}, table=table)
    ours = reference.run_layer(*joined, [x, x])
    np.testing.assert_array_equal(ours[..., :6], x)
    np.testing.assert_array_equal(ours[..., 6:], table[1][x.astype(int) + 128])


def test_a_kind_without_a_contract_is_refused():
    network, layer = single("matmul", [(1, 1, 4)], (1, 1, 4), [0], 0)
    with pytest.raises(UnsupportedError, match="the layer 'layer' of kind matmul has no integer contract"):
        reference.run_layer(network, layer, [np.zeros((1, 1, 4), np.int8)])


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**30), 2**30), st.floats(1e-3, 0.999), st.booleans())
def test_double_rounding_is_that_of_tensorflow_lite(total, scale, small):
    # Small totals come near ties, where the two roundings matter.
    total = total % 4096 - 2048 if small else total
    mantissas, shifts = arithmetic.doubling_multipliers(np.array([scale]))
    ours = arithmetic.requantise_double(np.array([total]), mantissas, shifts, 3, -100, 110)
    assert int(ours[0]) == tflite(total, scale, 3, -100, 110)
