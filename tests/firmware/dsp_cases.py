"""Random layers with weights."""

from __future__ import annotations

import dataclasses

import numpy as np

from hannah_hw.firmware.layers import Layer, Network
from tests.firmware.kernel_calls import single

#: A network of one layer, the layer, its operand.
Case = tuple[Network, Layer, np.ndarray]


def random_case(
    rng: np.random.Generator,
    kind: str,
    shape: tuple[int, int, int],
    outputs: int,
    window: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    saturates: bool = True,
) -> Case:
    """A layer with random weights; pads are top, left, bottom, right."""
    height, width, channels = shape
    out_h = (height + pads[0] + pads[2] - dilation[0] * (window[0] - 1) - 1) // stride[0] + 1
    out_w = (width + pads[1] + pads[3] - dilation[1] * (window[1] - 1) - 1) // stride[1] + 1
    depth = channels // groups
    weights = np.clip(np.round(rng.normal(0, 40, (outputs, *window, depth))), -127, 127).astype(np.int8)
    scales = np.minimum(rng.uniform(0.3, 3.0, outputs) / (40 * np.sqrt(depth * window[0] * window[1])), 0.49)
    low, high = (-128, 127) if saturates else sorted(int(v) for v in rng.integers(-128, 128, 2))
    columns = dict(zip(("pad_top", "pad_left", "pad_bottom", "pad_right"), pads, strict=True))
    for name, (along_h, along_w) in (("kernel", window), ("stride", stride), ("dilation", dilation)):
        columns |= {f"{name}_h": along_h, f"{name}_w": along_w}
    zero_in, zero_out = (int(z) for z in rng.integers(-128, 128, 2))
    network, layer = single(
        kind,
        [shape],
        (out_h, out_w, outputs),
        [zero_in],
        zero_out,
        scales=scales,
        low=low,
        high=high,
        groups=groups,
        **columns,
    )
    bias = rng.integers(-4000, 4000, outputs).astype(np.int32)
    layer = dataclasses.replace(layer, weights=weights, bias=bias)
    x = rng.integers(-128, 128, shape).astype(np.int8)
    return dataclasses.replace(network, layers=(layer,)), layer, x


def random_convolution(rng: np.random.Generator) -> Case:
    """Any window, stride, padding, dilation and groups."""

    def one(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    window, stride = (one(1, 6), one(1, 6)), (one(1, 4), one(1, 4))
    dilation = (1, 1) if one(0, 3) else (one(1, 3), one(1, 3))
    groups = 1 if one(0, 3) else one(2, 4)
    pads = (one(0, 3), one(0, 3), one(0, 3), one(0, 3)) if one(0, 2) else (0, 0, 0, 0)
    shape = tuple(
        max(one(1, 9), dilation[axis] * (window[axis] - 1) + 1 - pads[axis] - pads[axis + 2])
        for axis in range(2)
    )
    return random_case(
        rng,
        "conv",
        (*shape, groups * one(1, 12)),
        groups * one(1, 12),
        window,
        stride,
        pads,
        dilation,
        groups,
        bool(one(0, 2)),
    )


def random_depthwise(
    rng: np.random.Generator, window: tuple[int, int], stride: tuple[int, int], gaps: bool = False
) -> Case:
    """Any padding and size; images may be higher than what a plane of scratch memory holds."""
    dilation = tuple(int(n) for n in rng.integers(1, 3, 2)) if gaps else (1, 1)
    pads = (
        tuple(int(n) for n in rng.integers(0, max(window), 4))
        if rng.random() < 0.5
        else (window[0] // 2, window[1] // 2) * 2
    )
    shape = [
        max(int(rng.integers(1, 28)), dilation[axis] * (window[axis] - 1) + 1 - pads[axis] - pads[axis + 2])
        for axis in range(2)
    ]
    channels = int(rng.integers(2, 5))
    return random_case(
        rng,
        "conv",
        (shape[0], shape[1], channels),
        channels,
        window,
        stride,
        pads,
        dilation,
        channels,
        bool(rng.random() < 0.5),
    )
