"""Kernels without weights against plain loops, on this machine and on emulated cores."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hannah_hw.cost.entries import Entries
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware import arithmetic, reference
from hannah_hw.firmware.packing_common import IMPLEMENTATIONS
from hannah_hw.workload.table import Kernels as KernelTable
from tests.firmware.kernel_calls import PLACES, Kernels, kernels_at, single

SOURCES = tuple(dict.fromkeys(s for ways in IMPLEMENTATIONS.values() for way in ways for s in way.sources))


@pytest.fixture(params=PLACES)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return kernels_at(request.param, SOURCES)


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8)


def clamps(rng: np.random.Generator) -> tuple[int, int]:
    """Saturation only, or some clamp."""
    if rng.random() < 0.5:
        return -128, 127
    low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
    return low, high


def rounded(numerator: int, divisor: int) -> int:
    """To the nearest whole number, halves up."""
    return (2 * numerator + divisor) // (2 * divisor)


@pytest.mark.parametrize("seed", range(12))
def test_add_is_the_rounded_sum(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    a, b = int8(rng, *shape), int8(rng, *shape)
    zeros, zero_out = [int(z) for z in rng.integers(-128, 128, 2)], int(rng.integers(-128, 128))
    ratios = rng.uniform(0.01, 12.0 if seed % 3 == 0 else 1.5, 2)
    low, high = clamps(rng)
    network, layer = single("add", [shape, shape], shape, zeros, zero_out, scales=ratios, low=low, high=high)
    (implementation,) = IMPLEMENTATIONS["add"]
    exact = zero_out + (a.astype(float) - zeros[0]) * ratios[0] + (b.astype(float) - zeros[1]) * ratios[1]
    for in_place in (None, 0, 1):
        y = kernels.run(network, layer, implementation, [a, b], in_place=in_place)
        # 20 fraction bits, or as few as sums of 32 bits leave: at most 2 * 255 steps of half a unit away.
        assert np.abs(y - exact.clip(low, high)).max() <= 0.5 + 2 * 255 * 2.0**-17
    fields = implementation.pack(network, layer).fields
    total = a.astype(int) * fields["p0"] + b.astype(int) * fields["p1"] + fields["p2"]
    assert (y == (total >> fields["p3"]).clip(low, high)).all()


@pytest.mark.parametrize("seed", range(12))
def test_mul_is_the_rounded_product(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    second = (1, 1, shape[2]) if seed % 2 else shape
    a, b = int8(rng, *shape), int8(rng, *second)
    zeros, zero_out = [int(z) for z in rng.integers(-128, 128, 2)], int(rng.integers(-128, 128))
    scale = float(10.0 ** rng.uniform(-4, 0.5))
    low, high = clamps(rng)
    network, layer = single(
        "mul", [shape, second], shape, zeros, zero_out, scales=np.array([scale]), low=low, high=high
    )
    (implementation,) = IMPLEMENTATIONS["mul"]
    y = kernels.run(network, layer, implementation, [a, b], in_place=None if seed % 3 else 0)
    acc = (a.astype(int) - zeros[0]) * (b.astype(int) - zeros[1])
    shift = implementation.pack(network, layer).fields["p1"]
    factor = math.floor(scale * 2.0 ** (32 - shift) + 0.5)
    wanted = zero_out + (acc * factor + (1 << (31 - shift)) >> (32 - shift))
    assert (y == wanted.clip(low, high)).all()


@pytest.mark.parametrize("seed", range(8))
def test_channels_have_a_factor_and_an_offset(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    zero_in, zero_out = (int(z) for z in rng.integers(-128, 128, 2))
    factors, offsets = rng.normal(0, 2, shape[2]), rng.normal(0, 40, shape[2])
    constants = arithmetic.affine_constants(factors, offsets, zero_in, zero_out)
    low, high = clamps(rng)
    network, layer = single(
        "batch_norm",
        [shape],
        shape,
        [zero_in],
        zero_out,
        scales=factors,
        options={"bits": constants.bits},
        low=low,
        high=high,
    )
    layer = dataclasses.replace(layer, bias=constants.offsets)
    (implementation,) = IMPLEMENTATIONS["batch_norm"]
    x = int8(rng, *shape)
    y = kernels.run(network, layer, implementation, [x], in_place=None if seed % 2 else 0)
    exact = ((x.astype(float) - zero_in) * factors + offsets + zero_out).clip(low, high)
    assert (np.abs(y - exact) <= 0.5 + 0.01).all()
    assert (y == reference.run_layer(network, layer, [x])).all()


@pytest.mark.parametrize("name", ["lut", "scale"])
def test_tables_are_looked_up(kernels: Kernels, name: str) -> None:
    rng = np.random.default_rng(0)
    table = int8(rng, 256)
    (implementation,) = IMPLEMENTATIONS[name]
    for n in (1, 3, 4, 256):
        x = np.roll(np.arange(-128, 128), n)[:n].astype(np.int8).reshape(1, 1, n)
        network, layer = single("activation", [(1, 1, n)], (1, 1, n), [0], 0, table=table)
        for in_place in (None, 0):
            y = kernels.run(network, layer, implementation, [x], in_place=in_place)
            assert (y == table[x.astype(int) + 128]).all()


def windows(columns: dict[str, int]) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Every output position and the input positions of its window that lie inside the data."""
    result = []
    for oy in range(columns["out_h"]):
        for ox in range(columns["out_w"]):
            taps = [
                (
                    oy * columns["stride_h"] - columns["pad_top"] + ky * columns["dilation_h"],
                    ox * columns["stride_w"] - columns["pad_left"] + kx * columns["dilation_w"],
                )
                for ky in range(columns["kernel_h"])
                for kx in range(columns["kernel_w"])
            ]
            inside = [(y, x) for y, x in taps if 0 <= y < columns["in_h"] and 0 <= x < columns["in_w"]]
            result.append((oy, ox, inside))
    return result


def random_window(
    rng: np.random.Generator, *, dilated: bool
) -> tuple[tuple[int, ...], dict[str, int], tuple[int, ...]]:
    """A shape, the columns of a window that fits it with padding smaller than the window, and the result's shape."""
    shape = (int(rng.integers(4, 10)), int(rng.integers(4, 10)), int(rng.integers(1, 11)))
    columns, out = {}, []
    for axis, begin, end, size in (("h", "top", "bottom", shape[0]), ("w", "left", "right", shape[1])):
        kernel, stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        dilation = int(rng.integers(1, 3)) if dilated and kernel > 1 and (kernel - 1) * 2 < size else 1
        before, after = (int(n) for n in rng.integers(0, kernel, 2)) if rng.random() < 0.6 else (0, 0)
        columns |= {f"kernel_{axis}": kernel, f"stride_{axis}": stride, f"dilation_{axis}": dilation}
        columns |= {f"pad_{begin}": before, f"pad_{end}": after}
        out.append((size + before + after - (kernel - 1) * dilation - 1) // stride + 1)
    return shape, columns, (*out, shape[2])


@pytest.mark.parametrize("seed", range(25))
def test_max_pool_takes_the_largest(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, columns, out = random_window(rng, dilated=True)
    x, (low, high) = int8(rng, *shape), clamps(rng)
    network, layer = single("max_pool", [shape], out, [0], 0, low=low, high=high, **columns)
    (implementation,) = IMPLEMENTATIONS["max_pool"]
    y = kernels.run(network, layer, implementation, [x], misaligned=seed % 3)
    for oy, ox, inside in windows(layer.columns):
        largest = np.max([x[place] for place in inside], axis=0)
        assert (y[oy, ox] == largest.clip(low, high)).all()


@pytest.mark.parametrize("seed", range(25))
def test_average_pool_is_the_rounded_mean_of_what_is_inside(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, columns, out = random_window(rng, dilated=False)
    x, (low, high) = int8(rng, *shape), clamps(rng)
    zero, zero_out = (int(z) for z in rng.integers(-128, 128, 2))
    ratio = float(rng.uniform(0.3, 1.6))
    network, layer = single(
        "avg_pool", [shape], out, [zero], zero_out, scales=np.array([ratio]), low=low, high=high, **columns
    )
    (implementation,) = IMPLEMENTATIONS["avg_pool"]
    packed = implementation.pack(network, layer)
    padded = any(layer.columns[f"pad_{side}"] for side in ("top", "left", "bottom", "right"))
    assert len(packed.data) == (4 * layer.columns["kernel_h"] * layer.columns["kernel_w"] if padded else 0)
    y = kernels.run(network, layer, implementation, [x], misaligned=seed % 3)
    bits = 32 - packed.fields["p1"]
    for oy, ox, inside in windows(layer.columns):
        acc = np.sum([x[place].astype(int) - zero for place in inside], axis=0)
        factor = math.floor(ratio / len(inside) * 2.0**bits + 0.5)
        wanted = zero_out + (acc * factor + (1 << (bits - 1)) >> bits)
        assert (y[oy, ox] == wanted.clip(low, high)).all()
        exact = np.asarray(zero_out + acc * ratio / len(inside)).clip(low, high)
        assert np.abs(y[oy, ox] - exact).max() <= 0.5001


@pytest.mark.parametrize("kind", ["avg_pool", "max_pool"])
@pytest.mark.parametrize("channels", [3, 4, 7, 8, 13])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"),
    [
        ((6, 9), (2, 2), (2, 2), (0, 0), (1, 1)),
        ((5, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
        ((7, 8), (3, 3), (2, 2), (0, 1), (1, 1)),
        ((9, 6), (5, 7), (2, 1), (3, 4), (1, 1)),
        ((2, 2), (5, 5), (1, 1), (3, 3), (1, 1)),
        ((6, 7), (3, 2), (1, 2), (2, 1), (2, 3)),
        ((90, 3), (90, 3), (1, 1), (0, 0), (1, 1)),
        ((3, 300), (2, 290), (1, 5), (0, 0), (1, 1)),
    ],
)
def test_pools_of_windows_of_all_forms_agree_with_the_reference(
    kernels: Kernels,
    kind: str,
    channels: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    rng = np.random.default_rng(channels)
    out, columns = [], {}
    for axis, (name, sides) in enumerate({"h": ("top", "bottom"), "w": ("left", "right")}.items()):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        out.append((size[axis] + 2 * padding[axis] - reach) // stride[axis] + 1)
        columns |= {f"kernel_{name}": kernel[axis], f"stride_{name}": stride[axis]}
        columns |= {f"dilation_{name}": dilation[axis]} | {f"pad_{side}": padding[axis] for side in sides}
    shape, scales = (*size, channels), np.array([0.8]) if kind == "avg_pool" else None
    for x, (low, high) in (
        (int8(rng, *shape), (-90, 100)),
        (np.full(shape, -128, np.int8), (-128, 127)),
        (np.full(shape, 127, np.int8), (-128, 127)),
    ):
        network, layer = single(
            kind, [shape], (*out, channels), [5], 5, scales=scales, low=low, high=high, **columns
        )
        (implementation,) = IMPLEMENTATIONS[kind]
        y = kernels.run(network, layer, implementation, [x], misaligned=channels % 4)
        assert (y == reference.run_layer(network, layer, [x])).all()


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 5),
        (8, 8, 64),
        (7, 5, 3),
        (31, 33, 4),
        (3, 200, 9),
        (1, 49, 6),
        (1, 2, 7),
        (3, 1, 9),
        (16, 16, 8),
    ],
)
def test_global_average_of_any_size(kernels: Kernels, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    count = shape[0] * shape[1]
    for x, zero in (
        (int8(rng, *shape), 3),
        (np.full(shape, -128, np.int8), 127),
        (np.full(shape, 127, np.int8), -128),
    ):
        network, layer = single(
            "avg_pool",
            [shape],
            (1, 1, shape[2]),
            [zero],
            -5,
            scales=np.array([0.7]),
            kernel_h=shape[0],
            kernel_w=shape[1],
        )
        (implementation,) = IMPLEMENTATIONS["global_avg_pool"]
        packed = implementation.pack(network, layer)
        bits = 32 - packed.fields["p1"]
        acc = (x.astype(int) - zero).sum(axis=(0, 1))
        wanted = -5 + (acc * math.floor(0.7 / count * 2.0**bits + 0.5) + (1 << (bits - 1)) >> bits)
        y = kernels.run(network, layer, implementation, [x])
        assert packed.data == b""
        assert (y[0, 0] == wanted.clip(-128, 127)).all()


@pytest.mark.parametrize(("classes", "rows"), [(2, 3), (10, 1), (12, 5), (255, 2), (1000, 1)])
def test_softmax_is_within_a_step_of_the_real_one(kernels: Kernels, classes: int, rows: int) -> None:
    rng = np.random.default_rng(classes)
    (implementation,) = IMPLEMENTATIONS["softmax"]
    for scale, scale_out in ((0.02, 1 / 256), (0.1, 1 / 255), (0.4, 1 / 256), (0.05, 0.001)):
        x = int8(rng, 1, rows, classes)
        network, layer = single(
            "softmax", [x.shape], x.shape, [4], -128, value_scales=(scale, scale_out), low=-128, high=127
        )
        y = kernels.run(network, layer, implementation, [x])
        real = np.exp((x.astype(float) - x.max(axis=2, keepdims=True)) * scale)
        steps = real / real.sum(axis=2, keepdims=True) / scale_out - 128
        assert np.abs(y - steps.clip(-128, 127)).max() < 0.75
        packed = implementation.pack(network, layer)
        table = [int(e) for e in np.frombuffer(packed.data, "<u4")]
        for row in range(rows):
            found = [table[int(x[0, row].max()) - int(v)] for v in x[0, row]]
            wanted = [rounded(e * packed.fields["p0"], 16 * sum(found)) - 128 for e in found]
            assert y[0, row].tolist() == [min(w, 127) for w in wanted]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("tables", [True, False])
def test_concat_joins_along_any_axis(kernels: Kernels, axis: int, tables: bool) -> None:
    rng = np.random.default_rng(axis)
    (implementation,) = IMPLEMENTATIONS["concat"]
    shapes = []
    for size in (3, 1, 4):
        shape = [4, 3, 5]
        shape[axis] = size
        shapes.append(tuple(shape))
    operands = [int8(rng, *shape) for shape in shapes]
    table = int8(rng, 3, 256) if tables else None
    joined = np.concatenate(operands, axis=axis)
    network, layer = single(
        "concat", shapes, joined.shape, [0] * 3, 0, table=table, options={"axis": axis}, low=-100, high=99
    )
    assert len(implementation.pack(network, layer).data) == 3 * 256
    y = kernels.run(network, layer, implementation, operands)
    mapped = [x if table is None else table[i][x.astype(int) + 128] for i, x in enumerate(operands)]
    wanted = np.concatenate(mapped, axis=axis)
    assert (y == (wanted if tables else wanted.clip(-100, 99))).all()


@pytest.mark.parametrize(("axis", "begin", "size"), [(0, 1, 2), (1, 3, 1), (2, 2, 5), (2, 0, 7), (2, 4, 4)])
def test_slice_takes_a_part(kernels: Kernels, axis: int, begin: int, size: int) -> None:
    x = int8(np.random.default_rng(1), 3, 4, 8)
    part = x.take(range(begin, begin + size), axis)
    network, layer = single("slice", [x.shape], part.shape, [0], 0, options={"axis": axis, "begin": begin})
    assert (kernels.run(network, layer, IMPLEMENTATIONS["slice"][0], [x]) == part).all()


@pytest.mark.parametrize("seed", range(6))
def test_pad_puts_the_zero_point_around(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = int8(rng, *(int(n) for n in rng.integers(1, 9, 3)))
    top, bottom, left, right = (int(n) for n in rng.integers(0, 4, 4))
    wanted = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=-7)
    network, layer = single(
        "pad",
        [x.shape],
        wanted.shape,
        [-7],
        -7,
        pad_top=top,
        pad_bottom=bottom,
        pad_left=left,
        pad_right=right,
    )
    assert (kernels.run(network, layer, IMPLEMENTATIONS["pad"][0], [x]) == wanted).all()


@pytest.mark.parametrize(("rows", "cols", "channels"), [(1, 2, 3), (2, 1, 8), (3, 2, 5), (2, 2, 16)])
def test_upsample_repeats(kernels: Kernels, rows: int, cols: int, channels: int) -> None:
    x = int8(np.random.default_rng(2), 3, 4, channels)
    wanted = x.repeat(rows, axis=0).repeat(cols, axis=1)
    network, layer = single("upsample", [x.shape], wanted.shape, [0], 0)
    assert (kernels.run(network, layer, IMPLEMENTATIONS["upsample"][0], [x]) == wanted).all()


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 0, 1), (2, 1, 0), (1, 0, 2)])
def test_permute_reorders(kernels: Kernels, order: tuple[int, int, int]) -> None:
    x = int8(np.random.default_rng(3), 3, 4, 5)
    wanted = x.transpose(order)
    options = {"sizes": wanted.shape, "steps": tuple(x.strides[axis] for axis in order)}
    network, layer = single("permute", [x.shape], wanted.shape, [0], 0, options=options)
    assert (kernels.run(network, layer, IMPLEMENTATIONS["permute"][0], [x]) == wanted).all()


@pytest.mark.parametrize("seed", range(14))
def test_transposed_convolution_adds_weights_around_every_input(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    rows, cols = (int(n) for n in rng.integers(2, 6, 2))
    inside, outside = (int(n) for n in rng.integers(1, 5, 2))
    (kh, kw), (sh, sw) = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    dilation = 2 if seed % 5 == 4 else 1
    full = ((rows - 1) * sh + dilation * (kh - 1) + 1, (cols - 1) * sw + dilation * (kw - 1) + 1)
    top, left, bottom, right = (int(n) for n in rng.integers(0, 2, 4))
    out_h, out_w = max(int(full[0]) - top - bottom, 1), max(int(full[1]) - left - right, 1)
    x, weights = (
        int8(rng, rows, cols, groups * inside),
        rng.integers(-127, 128, (groups * outside, kh, kw, inside)),
    )
    bias, zero = rng.integers(-900, 900, groups * outside), int(rng.integers(-128, 128))
    scales = rng.uniform(0.0005, 0.003, groups * outside)
    (low, high), zero_out = clamps(rng), int(rng.integers(-128, 128))
    acc = np.zeros((full[0] + 2, full[1] + 2, groups * outside), int) + bias
    for iy, ix in np.ndindex(rows, cols):
        for ky, kx in np.ndindex(kh, kw):
            for o in range(groups * outside):
                g = o // outside
                part = x[iy, ix, g * inside : (g + 1) * inside].astype(int) - zero
                acc[iy * sh + ky * dilation, ix * sw + kx * dilation, o] += int(part @ weights[o, ky, kx])
    acc = acc[top : top + out_h, left : left + out_w]
    factors = np.floor(scales * 2.0**32 + 0.5).astype(int)
    wanted = (zero_out + (acc * factors + 2**31 >> 32)).clip(low, high)
    columns = {"kernel_h": int(kh), "kernel_w": int(kw), "stride_h": int(sh), "stride_w": int(sw)}
    columns |= {"dilation_h": dilation, "dilation_w": dilation, "groups": groups}
    columns |= {"pad_top": top, "pad_left": left, "pad_bottom": bottom, "pad_right": right}
    network, layer = single(
        "conv_transpose",
        [x.shape],
        acc.shape,
        [zero],
        zero_out,
        weights=weights.astype(np.int8),
        bias=bias.astype(np.int32),
        scales=scales,
        low=low,
        high=high,
        **columns,
    )
    (implementation,) = IMPLEMENTATIONS["conv_transpose"]
    assert (kernels.run(network, layer, implementation, [x]) == wanted).all()
    entry = LIBRARIES["hannah_portable"]["conv_transpose"]
    table = {column: np.array([[value]]) for column, value in layer.columns.items()}
    entries = Entries.of_first(KernelTable((layer.name,), (layer.kind,), np.ones((1, 1), bool), table))
    assert len(implementation.pack(network, layer).data) == entry.constants(entries)[0]
    assert implementation.scratch(network, layer) == entry.scratch(entries)[0]


def test_ratios_that_no_accumulator_holds_are_refused() -> None:
    shape = (2, 2, 2)
    network, layer = single("mul", [shape, shape], shape, [0, 0], 0, scales=np.array([3e4]))
    with pytest.raises(UnsupportedError, match="ratio of scales"):
        IMPLEMENTATIONS["mul"][0].pack(network, layer)
    network, layer = single(
        "avg_pool", [shape], (1, 1, 2), [0], 0, scales=np.array([1e8]), kernel_h=2, kernel_w=2
    )
    with pytest.raises(UnsupportedError, match="average of 4 values"):
        IMPLEMENTATIONS["avg_pool"][0].pack(network, layer)
