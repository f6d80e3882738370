"""Portable kernels with weights against plain loops, on this machine and on emulated cores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hannah_hw.cost.entries import Entries
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.packing_portable import IMPLEMENTATIONS
from hannah_hw.workload.table import Kernels as KernelTable
from tests.firmware.kernel_calls import Kernels, kernels_at, single

SOURCES = ("hn_portable_conv.c", "hn_portable_dots.c", "hn_portable_dw.c")
#: Cores with the DSP extension run them where no faster kernel takes the weights.
PLACES = ("host", "host, no long product", "m0p", "m3", "m4", "rv32imc")


@pytest.fixture(params=PLACES)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return kernels_at(request.param, SOURCES)


def weighted(
    rng: np.random.Generator,
    kind: str,
    shape: tuple[int, int, int],
    out_channels: int,
    window: tuple[int, int],
    *,
    groups: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    extreme: bool = False,
) -> tuple[Network, Layer, np.ndarray]:
    """A layer with random weights, and an operand; pads are top, left, bottom, right."""
    depth = (out_channels, *window, shape[2] // groups)
    if extreme:
        x = rng.choice([-128, 127], shape).astype(np.int8)
        weights = rng.choice([-127, 127], depth).astype(np.int8)
    else:
        x = rng.integers(-128, 128, shape).astype(np.int8)
        weights = np.clip(rng.normal(0, 45, depth).round(), -127, 127).astype(np.int8)
    out = tuple(
        (shape[i] + pads[i] + pads[i + 2] - (window[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in (0, 1)
    )
    spread = 0.6 / (math.sqrt(weights[0].size) * 45)
    low, high = (-128, 127) if rng.random() < 0.5 else sorted(int(v) for v in rng.integers(-128, 128, 2))
    names = ("h", "w")
    columns = {f"kernel_{n}": window[i] for i, n in enumerate(names)}
    columns |= {f"stride_{n}": stride[i] for i, n in enumerate(names)}
    columns |= {f"dilation_{n}": dilation[i] for i, n in enumerate(names)}
    columns |= {f"pad_{n}": pads[i] for i, n in enumerate(("top", "left", "bottom", "right"))}
    network, layer = single(
        kind,
        [shape],
        (*out, out_channels),
        [int(rng.integers(-128, 128))],
        int(rng.integers(-128, 128)),
        weights=weights,
        bias=rng.integers(-3000, 3000, out_channels).astype(np.int32),
        scales=np.minimum(rng.uniform(0.3, 1.5, out_channels) * spread, 0.49),
        low=low,
        high=high,
        groups=groups,
        **columns,
    )
    return network, layer, x


def plain_loops(network: Network, layer: Layer, x: np.ndarray) -> np.ndarray:
    """The layer by the contract, output by output."""
    columns, weights = layer.columns, layer.weights.astype(int)
    zero, result = network.values[0].zero_point, network.values[1]
    inside, outside = (
        columns["in_channels"] // columns["groups"],
        columns["out_channels"] // columns["groups"],
    )
    y = np.empty(result.shape, int)
    for oy in range(result.shape[0]):
        for ox in range(result.shape[1]):
            acc = layer.bias.astype(int).copy()
            for ky in range(columns["kernel_h"]):
                for kx in range(columns["kernel_w"]):
                    row = oy * columns["stride_h"] - columns["pad_top"] + ky * columns["dilation_h"]
                    col = ox * columns["stride_w"] - columns["pad_left"] + kx * columns["dilation_w"]
                    if 0 <= row < columns["in_h"] and 0 <= col < columns["in_w"]:
                        for o in range(columns["out_channels"]):
                            g = o // outside
                            values = x[row, col, g * inside : (g + 1) * inside].astype(int) - zero
                            acc[o] += int(values @ weights[o, ky, kx])
            for o, scale in enumerate(layer.scales):
                factor = math.floor(scale * 2**32 + 0.5)
                y[oy, ox, o] = result.zero_point + (int(acc[o]) * factor + 2**31 >> 32)
    return y.clip(layer.low, layer.high)


def check(
    kernels: Kernels, name: str, network: Network, layer: Layer, x: np.ndarray, **how: int | None
) -> None:
    (implementation,) = IMPLEMENTATIONS[name]
    y = kernels.run(network, layer, implementation, [x], **how)
    assert (y == plain_loops(network, layer, x)).all()
    # Flash and scratch are what the cost library says.
    entry = LIBRARIES["hannah_portable"][name]
    table = {column: np.array([[value]]) for column, value in layer.columns.items()}
    entries = Entries.of_first(KernelTable((layer.name,), (layer.kind,), np.ones((1, 1), bool), table))
    assert len(implementation.pack(network, layer).data) == entry.constants(entries)[0]
    assert implementation.scratch(network, layer) == (entry.scratch(entries)[0] if entry.scratch else 0)


@pytest.mark.parametrize("seed", range(16))
def test_convolution(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(3, 7)), int(rng.integers(3, 7)), int(rng.integers(1, 10)))
    window = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    facts = {
        "stride": tuple(int(s) for s in rng.integers(1, 3, 2)),
        "pads": tuple(int(p) for p in rng.integers(0, 3, 4)) if seed % 3 else (0, 0, 0, 0),
        "dilation": (2, 2) if seed % 4 == 3 and max(window) < 3 else (1, 1),
        "extreme": seed % 5 == 4,
    }
    network, layer, x = weighted(rng, "conv", shape, int(rng.integers(1, 9)), window, **facts)
    check(kernels, "conv", network, layer, x)


@pytest.mark.parametrize("seed", range(6))
def test_pointwise_convolution(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 6)), int(rng.integers(1, 40)))
    network, layer, x = weighted(
        rng,
        "conv",
        shape,
        int(rng.integers(1, 9)),
        (1, 1),
        stride=(1 + seed % 2, 1 + seed % 2),
        extreme=seed == 5,
    )
    check(kernels, "conv_1x1", network, layer, x)


@pytest.mark.parametrize("seed", range(6))
def test_convolution_in_one_dimension(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 8))
    pads = (0, int(rng.integers(0, size)), 0, int(rng.integers(0, size)))
    network, layer, x = weighted(
        rng,
        "conv",
        (1, int(rng.integers(8, 20)), int(rng.integers(1, 9))),
        5,
        (1, size),
        stride=(1, 1 + seed % 3),
        pads=pads,
    )
    check(kernels, "conv_1xn", network, layer, x)


@pytest.mark.parametrize(("groups", "inside", "outside"), [(2, 3, 5), (4, 4, 2), (3, 1, 2)])
def test_grouped_convolution(kernels: Kernels, groups: int, inside: int, outside: int) -> None:
    rng = np.random.default_rng(groups)
    network, layer, x = weighted(
        rng, "conv", (5, 4, groups * inside), groups * outside, (3, 3), groups=groups, pads=(1, 1, 1, 0)
    )
    check(kernels, "conv_grouped", network, layer, x)


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_square_depthwise_convolution(kernels: Kernels, size: int, stride: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(2, 5))
    shape = (int(rng.integers(size - 1, size + 5)), int(rng.integers(size - 1, size + 5)), channels)
    pads = tuple(int(p) for p in rng.integers(1, size // 2 + 1, 4))
    network, layer, x = weighted(
        rng,
        "conv",
        shape,
        channels,
        (size, size),
        groups=channels,
        stride=(stride, stride),
        pads=pads,
        extreme=seed == 2,
    )
    check(kernels, f"dw_{size}x{size}" + ("_s2" if stride == 2 else ""), network, layer, x)


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("height", [1, 4, 7])
def test_depthwise_convolution_in_place(kernels: Kernels, size: int, height: int) -> None:
    rng = np.random.default_rng(height)
    network, layer, x = weighted(
        rng, "conv", (height, 5, 3), 3, (size, size), groups=3, pads=(size // 2,) * 4
    )
    check(kernels, f"dw_{size}x{size}", network, layer, x, in_place=0)


@pytest.mark.parametrize("seed", range(12))
def test_depthwise_convolution_of_any_window(kernels: Kernels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, line = int(rng.integers(2, 4)), seed % 3 == 0
    window = (1 if line else int(rng.integers(1, 5)), int(rng.integers(1, 7)))
    shape = (1 if line else int(rng.integers(4, 9)), int(rng.integers(6, 15)), channels)
    pads = tuple(int(rng.integers(0, window[i % 2])) for i in range(4))
    network, layer, x = weighted(
        rng,
        "conv",
        shape,
        channels,
        window,
        groups=channels,
        stride=(1, int(rng.integers(1, 4))) if line else tuple(int(s) for s in rng.integers(1, 4, 2)),
        dilation=(1, 2) if line and window[1] < 4 else (1, 1),
        pads=pads,
    )
    same = network.values[0].shape == network.values[1].shape
    check(kernels, "dw", network, layer, x, in_place=0 if same else None)


@pytest.mark.parametrize(
    ("features", "channels", "rows"), [(1, 1, 1), (7, 3, 2), (64, 10, 1), (33, 4, 3), (300, 5, 1)]
)
def test_fully_connected(kernels: Kernels, features: int, channels: int, rows: int) -> None:
    rng = np.random.default_rng(features)
    network, layer, x = weighted(
        rng, "linear", (1, rows, features), channels, (1, 1), extreme=features == 300
    )
    check(kernels, "fc", network, layer, x)
