"""The calls of kernels in C that run a layer, with every field of ``hn_layer``."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hannah_hw.firmware.implementation import Packed
from hannah_hw.firmware.layers import Layer, Network

#: Fields of ``hn_layer`` that are columns of the Workload -> the column.
_GEOMETRY: Final[Mapping[str, str]] = {
    "in_h": "in_h",
    "in_w": "in_w",
    "in_c": "in_channels",
    "out_h": "out_h",
    "out_w": "out_w",
    "out_c": "out_channels",
    "kernel_h": "kernel_h",
    "kernel_w": "kernel_w",
    "stride_h": "stride_h",
    "stride_w": "stride_w",
    "dilation_h": "dilation_h",
    "dilation_w": "dilation_w",
    "pad_top": "pad_top",
    "pad_left": "pad_left",
}

#: Fields of ``hn_layer`` in the order of the structure; each is an int32.
FIELDS: Final = (
    *_GEOMETRY,
    *("zp_in", "zp_in2", "zp_out", "low", "high"),
    *(f"p{number}" for number in range(8)),
)


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel.

    Attributes:
        fields: `FIELDS` -> value.
        reads: Positions in `Layer.inputs` of what is given as ``x`` and ``x2``: one or two.
    """

    fields: Mapping[str, int]
    reads: tuple[int, ...]


def layer_calls(network: Network, layer: Layer, packed: Packed) -> tuple[KernelCall, ...]:
    """The calls of a layer: one, or one for each operand where `Packed.calls` says so.

    Args:
        network: The network.
        layer: One of its layers.
        packed: Its constants.
    """
    if packed.calls:
        return tuple(
            KernelCall(_fields(network, layer, (number,), fields), (number,))
            for number, fields in enumerate(packed.calls)
        )
    reads = tuple(range(len(layer.inputs)))[:2]
    return (KernelCall(_fields(network, layer, reads, packed.fields), reads),)


def _fields(network: Network, layer: Layer, reads: tuple[int, ...], own: Mapping[str, int]) -> dict[str, int]:
    zero_points = [network.values[layer.inputs[number]].zero_point for number in reads]
    fields = {
        **dict.fromkeys(FIELDS, 0),
        **{name: layer.columns[column] for name, column in _GEOMETRY.items()},
        "zp_in": zero_points[0],
        "zp_in2": zero_points[1] if len(zero_points) > 1 else 0,
        "zp_out": network.values[layer.output].zero_point,
        "low": layer.low,
        "high": layer.high,
    }
    return {**fields, **own}


def pack_fields(fields: Mapping[str, int]) -> bytes:
    """``hn_layer`` as it lies in memory of a little-endian core."""
    return struct.pack(f"<{len(FIELDS)}i", *(fields[name] for name in FIELDS))
