"""The tables that models of accelerators see: distinct layers in, what each of them costs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload.table import KERNEL_COLUMNS, KERNEL_KINDS

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Columns of a layer beyond those of its kernel: whether its input, its output and its weights are in the on-chip
#: memory that the target names for activations and weights (1) or in the outermost memory (0), and bytes of that
#: on-chip memory that other live buffers take.
PLACEMENT_COLUMNS: Final[Mapping[str, int]] = {
    "input_on_chip": 0,
    "output_on_chip": 0,
    "weights_on_chip": 0,
    "reserved_bytes": 0,
}

#: Kernel kinds whose work is multiply-accumulates with weights or between two activations.
MAC_KINDS: Final = ("conv", "conv_transpose", "linear", "matmul")

#: Dimensions of a layer's loop nest: batch, output channels of a group, groups, output columns and rows, input
#: channels of a group, columns and rows of the window.
LOOPS: Final = ("B", "K", "G", "OX", "OY", "C", "FX", "FY")


@dataclass(frozen=True)
class Layers:
    """M layers.

    Attributes:
        kinds: (M,) index into `KERNEL_KINDS`.
        columns: Each of `KERNEL_COLUMNS` and `PLACEMENT_COLUMNS` -> (M,).
    """

    kinds: NDArray[np.int16]
    columns: Mapping[str, IntArray]

    @classmethod
    def of(cls, kinds: str | list[str], **columns: Any) -> Layers:
        """Layers from columns; those left out take the value that means nothing.

        Args:
            kinds: Kind of all layers, or of each.
            columns: Name -> (M,) values or one number.
        """
        given = {name: np.atleast_1d(np.asarray(values, np.int64)) for name, values in columns.items()}
        named = [kinds] if isinstance(kinds, str) else kinds
        count = max([len(named), *(len(values) for values in given.values())])
        whole = {
            name: np.broadcast_to(given.get(name, np.int64(default)), (count,)).astype(np.int64)
            for name, default in {**KERNEL_COLUMNS, **PLACEMENT_COLUMNS}.items()
        }
        numbers = np.array([KERNEL_KINDS.index(kind) for kind in named], np.int16)
        return cls(np.broadcast_to(numbers, (count,)).copy(), whole)

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, column: str) -> IntArray:
        return self.columns[column]

    def at(self, chosen: BoolArray | IntArray) -> Layers:
        """Some of the layers, by mask or by position."""
        return Layers(self.kinds[chosen], {name: column[chosen] for name, column in self.columns.items()})

    def is_kind(self, *kinds: str) -> BoolArray:
        """(M,) whether a layer is of one of some kinds."""
        numbers = [KERNEL_KINDS.index(kind) for kind in kinds]
        found: BoolArray = np.isin(self.kinds, numbers)
        return found

    def kind(self, index: int) -> str:
        """The kind of one layer."""
        return KERNEL_KINDS[int(self.kinds[index])]

    def loops(self) -> IntArray:
        """(M, 8) sizes of the loops `LOOPS` of layers of `MAC_KINDS`.

        A transposed convolution visits its input pixels: its columns and rows are those of the input.
        """
        groups = np.maximum(self["groups"], 1)
        transposed = self.is_kind("conv_transpose")
        sizes: IntArray = np.stack(
            [
                np.ones(len(self), np.int64),
                self["out_channels"] // groups,
                groups,
                np.where(transposed, self["in_w"], self["out_w"]),
                np.where(transposed, self["in_h"], self["out_h"]),
                self["in_channels"] // groups,
                self["kernel_w"],
                self["kernel_h"],
            ],
            axis=1,
        )
        return sizes


@dataclass(frozen=True)
class LayerCosts:
    """What each of M layers costs.

    Attributes:
        cycles: (M,) clock cycles; NaN of a layer that cannot run.
        energy_pj: (M,) picojoules; NaN where the target has no figure.
        failed: (M,) index into ``rules``, -1 of a layer that can run.
        rules: Why a layer cannot run.
        cycle_parts: Name -> (M,) parts that add up to the cycles, such as ``compute``, ``stall``, ``onload``.
        energy_parts: Name -> (M,) parts that add up to the energy, such as ``mac`` or ``sram_64KB W``.
        utilisation: (M,) multiply-accumulates / (cycles x multipliers); NaN where it means nothing.
        detail: Position of a layer -> what a report says of it beyond the columns, such as its mapping; JSON-able.
    """

    cycles: FloatArray
    energy_pj: FloatArray
    failed: NDArray[np.int32]
    rules: tuple[str, ...] = ()
    cycle_parts: Mapping[str, FloatArray] = field(default_factory=dict)
    energy_parts: Mapping[str, FloatArray] = field(default_factory=dict)
    utilisation: FloatArray | None = None
    detail: Callable[[int], dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.cycles)
