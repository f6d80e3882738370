"""What ties a kernel class of a cost library to its C function: packing of constants, parameters, the proof it needs.

A kernel library is a mapping of kernel classes (`hannah_hw.cost.libraries`) to implementations, most wanted first. The
first whose `Implementation.refuses` is None for a layer's weights runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hannah_hw.firmware.layers import Layer, Network


@dataclass(frozen=True)
class Packed:
    """A layer's constants as its kernel reads them.

    Attributes:
        data: Weights, biases and multipliers; little endian, 4-byte aligned, a multiple of 4 bytes; may be empty.
        fields: Fields of ``hn_layer`` beyond the geometry, zero points and clamp: ``p0`` ... ``p7`` -> int32.
        calls: For a kernel that is called once for each operand, as concatenation is: what each call has instead of
            `fields`; the n-th call reads the n-th operand as ``x``. Empty: one call with all operands.
    """

    data: bytes = b""
    fields: Mapping[str, int] = field(default_factory=dict)
    calls: tuple[Mapping[str, int], ...] = ()


def _never(_network: Network, _layer: Layer) -> str | None:
    return None


@dataclass(frozen=True)
class Implementation:
    """One C kernel.

    Attributes:
        function: Its name; the signature is ``hn_kernel`` of ``hn.h``.
        sources: Files of ``hannah_hw/firmware/kernels`` that hold it.
        pack: (network, layer) -> constants.
        scratch: (network, layer) -> bytes of scratch memory, 4-byte aligned.
        refuses: (network, layer) -> why it cannot run these weights, or None.
    """

    function: str
    sources: tuple[str, ...]
    pack: Callable[[Network, Layer], Packed]
    scratch: Callable[[Network, Layer], int]
    refuses: Callable[[Network, Layer], str | None] = _never
