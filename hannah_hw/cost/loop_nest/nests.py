"""Layers as loop nests: eight loop sizes, the geometry of the window, and widths of the operands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, BoolArray, FloatArray, IntArray, Layers

#: Position of each loop in tables of loops.
LOOP: Final = {name: place for place, name in enumerate(LOOPS)}


_RELEVANT: Final = (("B", "G", "C"), ("K", "G", "C", "FX", "FY"), ("B", "K", "G", "OX", "OY"))
_IRRELEVANT: Final = (("K",), ("B", "OX", "OY"), ("C", "FX", "FY"))

#: (operands, loops): stepping the loop always needs other data of the operand. Columns, rows and the window move the
#: input only in part (windows overlap): they are neither relevant nor irrelevant to it.
RELEVANT: Final[BoolArray] = np.array([[loop in loops for loop in LOOPS] for loops in _RELEVANT])

#: (operands, loops): stepping the loop needs the same data of the operand. Those of the output are reductions.
IRRELEVANT: Final[BoolArray] = np.array([[loop in loops for loop in LOOPS] for loops in _IRRELEVANT])

#: Partial sums of a target that does not say their width are at least this wide.
LEAST_PARTIAL_BITS: Final = 16


@dataclass(frozen=True)
class LoopNests:
    """M layers.

    Attributes:
        sizes: (M, 8) iterations of `LOOPS`.
        strides: (M, 2) of columns and rows.
        dilations: (M, 2).
        inputs: (M, 2) columns and rows of the input without padding.
        bits: (M, 3) of an element of the input, the weights and the finished output.
        partial_bits: (M,) of a partial sum.
    """

    sizes: IntArray
    strides: IntArray
    dilations: IntArray
    inputs: IntArray
    bits: IntArray
    partial_bits: IntArray

    @classmethod
    def of(cls, layers: Layers, partial_bits: int | None = None) -> LoopNests:
        """The loop nests of layers of the kinds conv, linear and matmul.

        Args:
            layers: M layers; those of other kinds get loops that mean nothing. The weights of a matmul are its second
                activation.
            partial_bits: Width of partial sums; None: as `Hierarchy.partial_bits` says.
        """
        sizes = layers.loops()
        conv = layers.is_kind("conv")
        along = sizes[:, [LOOP["OX"], LOOP["OY"]]]
        bits = np.stack([layers["activation_bits"], layers["weight_bits"], layers["output_bits"]], axis=1)
        ones = np.ones_like(along)
        window = conv[:, None]
        return cls(
            sizes=sizes,
            strides=np.where(window, _pair(layers, "stride_w", "stride_h"), ones),
            dilations=np.where(window, _pair(layers, "dilation_w", "dilation_h"), ones),
            inputs=np.where(window, _pair(layers, "in_w", "in_h"), along),
            bits=bits,
            partial_bits=_partial(bits, partial_bits),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def at(self, chosen: BoolArray | IntArray) -> LoopNests:
        """Some of the layers, by mask or by position; positions may repeat."""
        return LoopNests(
            self.sizes[chosen],
            self.strides[chosen],
            self.dilations[chosen],
            self.inputs[chosen],
            self.bits[chosen],
            self.partial_bits[chosen],
        )

    @property
    def macs(self) -> FloatArray:
        """(M,) multiply-accumulates."""
        product: FloatArray = self.sizes.astype(np.float64).prod(axis=1)
        return product


def _pair(layers: Layers, columns: str, rows: str) -> IntArray:
    return np.stack([layers[columns], layers[rows]], axis=1)


def _partial(bits: IntArray, given: int | None) -> IntArray:
    """(M,) width of partial sums: that of a product at least, and never less than what they end as."""
    if given is not None:
        return np.full(len(bits), given, np.int64)
    widest: IntArray = np.maximum(np.maximum(bits[:, 0] + bits[:, 1], bits[:, 2]), LEAST_PARTIAL_BITS)
    return widest
