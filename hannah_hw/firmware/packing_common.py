"""Constants of the kernels that are the same in every library: those without weights, and transposed convolution.

The sources are ``hn_elementwise.c``, ``hn_affine.c``, ``hn_pool.c``, ``hn_pool_dsp.c``, ``hn_softmax.c``,
``hn_copy.c`` and ``hn_conv_transpose.c``; each kernel says there what it reads from the fields ``p0`` ... ``p7`` and
from its constants.
All factors come from `hannah_hw.firmware.arithmetic`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware import arithmetic
from hannah_hw.firmware.implementation import Implementation, Packed
from hannah_hw.firmware.layers import Layer, Network, Value

#: Largest shift of a product of two operands, 17 bits, in int32; and of sums that a 16-bit factor shifts.
_MOST_SHIFT: Final = 14


def operands(network: Network, layer: Layer) -> list[Value]:
    """The values that a layer reads."""
    return [network.values[index] for index in layer.inputs]


def no_scratch(_network: Network, _layer: Layer) -> int:
    """Kernels that need no memory but that of their values."""
    return 0


def _q32(scale: float, layer: Layer) -> arithmetic.Multiplier:
    """A multiplier of 32 fraction bits at most, whose missing bits the kernel shifts the accumulator by."""
    result = arithmetic.multiplier(scale)
    if arithmetic.Q32 - result.bits > _MOST_SHIFT:
        raise UnsupportedError(f"{layer.name}: the ratio of scales {scale:g} is too large for a kernel")
    return result


def _pack_add(network: Network, layer: Layer) -> Packed:
    first, second = operands(network, layer)
    zero_out = network.values[layer.output].zero_point
    total = arithmetic.sum_constants(layer.scales, (first.zero_point, second.zero_point), zero_out)
    return Packed(fields={"p0": total.m1, "p1": total.m2, "p2": total.offset, "p3": total.bits})


def _pack_mul(network: Network, layer: Layer) -> Packed:
    factor = _q32(float(layer.scales[0]), layer)
    first, second = operands(network, layer)
    a_channel = int(second.size != first.size)
    return Packed(fields={"p0": factor.value, "p1": arithmetic.Q32 - factor.bits, "p2": a_channel})


def _pack_affine(_network: Network, layer: Layer) -> Packed:
    bits = int(layer.options["bits"])  # type: ignore[arg-type]
    pairs = np.stack([arithmetic.floor_multiplier(layer.scales, bits), np.asarray(layer.bias)], axis=1)
    return Packed(pairs.astype("<i4").tobytes(), {"p0": bits})


def _pack_table(_network: Network, layer: Layer) -> Packed:
    return Packed(np.asarray(layer.table, np.int8).tobytes())


def _window_counts(layer: Layer, axis: str, size: str) -> set[int]:
    """How many values of one dimension the windows have inside the data."""
    columns = layer.columns
    stride, dilation = columns[f"stride_{axis}"], columns[f"dilation_{axis}"]
    taps = np.arange(columns[f"kernel_{axis}"]) * dilation
    starts = np.arange(columns[f"out_{axis}"]) * stride - columns[f"pad_{size}"]
    places = starts[:, None] + taps
    return {int(n) for n in ((places >= 0) & (places < columns[f"in_{axis}"])).sum(axis=1)}


def reaches_padding(columns: Mapping[str, int]) -> bool:
    """Whether a pooling has padding, so that its windows may differ in how many values they have."""
    return any(columns[f"pad_{side}"] for side in ("top", "left", "bottom", "right"))


def _pack_average(_network: Network, layer: Layer) -> Packed:
    window = layer.columns["kernel_h"] * layer.columns["kernel_w"]
    rows, cols = _window_counts(layer, "h", "top"), _window_counts(layer, "w", "left")
    counts = [row * col for row in rows for col in cols]
    factors = arithmetic.average_constants(float(layer.scales[0]), counts)
    shift = arithmetic.Q32 - factors.bits
    if shift > _MOST_SHIFT or (255 * window) << shift >= 1 << 31:
        raise UnsupportedError(
            f"{layer.name}: an average of {window} values whose result has steps of {1 / layer.scales[0]:g} of the "
            "operand's is too large for a kernel"
        )
    fields = {"p0": dict(zip(factors.counts, factors.multipliers, strict=True)).get(window, 0), "p1": shift}
    if not reaches_padding(layer.columns):
        return Packed(fields=fields)
    table = np.zeros(window, "<i4")
    table[np.array(factors.counts) - 1] = factors.multipliers
    return Packed(table.tobytes(), {**fields, "p2": 1})


def _pack_softmax(network: Network, layer: Layer) -> Packed:
    (value,), result = operands(network, layer), network.values[layer.output]
    constants = arithmetic.softmax_constants(value.scale, result.scale, layer.columns["out_channels"])
    return Packed(constants.table.astype("<u4").tobytes(), {"p0": constants.steps})


def _nothing(_network: Network, _layer: Layer) -> Packed:
    return Packed()


def _pack_concat(network: Network, layer: Layer) -> Packed:
    """A table for each operand, also where it changes nothing: sizes and cycles depend on no scale."""
    identity = np.arange(-128, 128).clip(layer.low, layer.high).astype(np.int8)
    tables = np.tile(identity, (len(layer.inputs), 1)) if layer.table is None else layer.table
    axis = int(layer.options["axis"])  # type: ignore[arg-type]
    shape = network.values[layer.output].shape
    blocks, row, offset, calls = math.prod(shape[:axis]), math.prod(shape[axis:]), 0, []
    for index, value in enumerate(operands(network, layer)):
        part = math.prod(value.shape[axis:])
        calls.append({"p0": blocks, "p1": part, "p2": offset, "p3": row, "p4": 256 * index})
        offset += part
    return Packed(tables.astype(np.int8).tobytes(), calls=tuple(calls))


def _pack_slice(network: Network, layer: Layer) -> Packed:
    axis, begin = int(layer.options["axis"]), int(layer.options["begin"])  # type: ignore[arg-type]
    (value,), result = operands(network, layer), network.values[layer.output]
    inner = math.prod(value.shape[axis + 1 :])
    blocks, taken = math.prod(value.shape[:axis]), math.prod(result.shape[axis:])
    return Packed(fields={"p0": blocks, "p1": taken, "p2": begin * inner, "p3": value.shape[axis] * inner})


def _pack_upsample(network: Network, layer: Layer) -> Packed:
    (value,), result = operands(network, layer), network.values[layer.output]
    return Packed(fields={"p0": result.shape[0] // value.shape[0], "p1": result.shape[1] // value.shape[1]})


def _pack_permute(_network: Network, layer: Layer) -> Packed:
    sizes: tuple[int, ...] = layer.options["sizes"]  # type: ignore[assignment]
    steps: tuple[int, ...] = layer.options["steps"]  # type: ignore[assignment]
    missing = 3 - len(sizes)
    loops = (*(1,) * missing, *sizes, *(0,) * missing, *steps)
    return Packed(fields={f"p{index}": number for index, number in enumerate(loops)})


def _pack_transposed(_network: Network, layer: Layer) -> Packed:
    """For each channel of the result bias, multiplier and weights; the zero point stays out of the bias."""
    weights = np.asarray(layer.weights, np.int8)
    channels, taps = len(weights), weights[0].size
    rows = np.zeros((channels, -(-taps // 4) * 4), np.int8)
    rows[:, :taps] = weights.reshape(channels, -1)
    numbers = np.stack([np.asarray(layer.bias), arithmetic.q32_multipliers(layer.scales)], axis=1)
    records = np.concatenate([numbers.astype("<i4").view(np.int8), rows], axis=1)
    groups = layer.columns["groups"]
    fields = {"p0": weights.shape[3], "p1": channels // groups, "p2": records.shape[1]}
    return Packed(records.tobytes(), fields)


def _transposed_scratch(_network: Network, layer: Layer) -> int:
    """A tap of 8 bytes for each element of the window."""
    return 8 * layer.columns["kernel_h"] * layer.columns["kernel_w"]


#: Sources; those for cores with the DSP extension are empty elsewhere.
_ELEMENTWISE: Final = ("hn_elementwise.c", "hn_restrict_dsp.c")
_POOLING: Final = ("hn_pool.c", "hn_pool_dsp.c", "hn_restrict_dsp.c")

#: Kernel class -> implementations, best first; the last never refuses.
IMPLEMENTATIONS: Final[Mapping[str, tuple[Implementation, ...]]] = {
    name: (Implementation(function, sources, pack, scratch),)
    for name, function, sources, pack, scratch in (
        ("add", "hn_add", _ELEMENTWISE, _pack_add, no_scratch),
        ("mul", "hn_mul", _ELEMENTWISE, _pack_mul, no_scratch),
        ("lut", "hn_lut", _ELEMENTWISE, _pack_table, no_scratch),
        ("scale", "hn_lut", _ELEMENTWISE, _pack_table, no_scratch),
        ("batch_norm", "hn_affine", ("hn_affine.c",), _pack_affine, no_scratch),
        ("avg_pool", "hn_avg_pool", _POOLING, _pack_average, no_scratch),
        ("global_avg_pool", "hn_global_avg_pool", _POOLING, _pack_average, no_scratch),
        ("max_pool", "hn_max_pool", _POOLING, _nothing, no_scratch),
        ("softmax", "hn_softmax", ("hn_softmax.c",), _pack_softmax, no_scratch),
        ("concat", "hn_concat", ("hn_copy.c",), _pack_concat, no_scratch),
        ("slice", "hn_slice", ("hn_copy.c",), _pack_slice, no_scratch),
        ("pad", "hn_pad", ("hn_copy.c",), _nothing, no_scratch),
        ("upsample", "hn_upsample", ("hn_copy.c",), _pack_upsample, no_scratch),
        ("permute", "hn_permute", ("hn_copy.c",), _pack_permute, no_scratch),
        (
            "conv_transpose",
            "hn_conv_transpose",
            ("hn_conv_transpose.c",),
            _pack_transposed,
            _transposed_scratch,
        ),
    )
}
