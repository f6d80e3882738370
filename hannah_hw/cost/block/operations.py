"""Operations of the processor: what the layers of a network become before they are priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.npu import ACTIVATION_ROWS, OUTPUT_ROWS

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Units of the processor that run an operation; ``copy`` is a transposition by transfers of the memory.
UNITS: Final = ("conv", "depthwise", "fc", "pool", "reduce", "elementwise", "copy")

#: Units that multiply and accumulate.
MAC_UNITS: Final = ("conv", "depthwise", "fc", "pool", "reduce")

#: Columns of an operation and their defaults. ``ifm`` and ``ofm`` are input and output, ``ifm2`` the second operand
#: (0: none; one element: a scalar). ``linear`` columns: 1 where the tensor is stored row by row (NHWC), 0 where it is
#: stored in bricks of 16 channels (NHCWB16). ``on_chip`` columns: 1 where it is in the staging memory. ``output`` and
#: ``activation`` are rows of the cycle tables, ``scales`` whether every output channel has bias and scale, ``table``
#: whether a table of 256 bytes is applied, ``uniform`` whether weights are all the same, ``constant2`` whether the
#: second operand is in the memory of constants, ``repeats`` how many times the layer runs the operation and ``layer``
#: the position of that layer.
OPERATION_COLUMNS: Final[Mapping[str, int]] = {
    "ifm_h": 1,
    "ifm_w": 1,
    "ifm_c": 1,
    "ifm2_h": 0,
    "ifm2_w": 0,
    "ifm2_c": 0,
    "ofm_h": 1,
    "ofm_w": 1,
    "ofm_c": 1,
    "kernel_h": 1,
    "kernel_w": 1,
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h": 1,
    "dilation_w": 1,
    "upscale": 1,
    "nearest": 0,
    "ifm_bits": 8,
    "ofm_bits": 8,
    "ifm_linear": 0,
    "ofm_linear": 0,
    "ifm_on_chip": 1,
    "ofm_on_chip": 1,
    "weights_on_chip": 0,
    "constant2": 0,
    "reserved_bytes": 0,
    "output": OUTPUT_ROWS.index("other"),
    "activation": ACTIVATION_ROWS.index("other"),
    "table": 0,
    "scales": 0,
    "uniform": 0,
    "repeats": 1,
    "layer": 0,
}


@dataclass(frozen=True)
class Operations:
    """N operations.

    Attributes:
        units: (N,) index into `UNITS`.
        columns: `OPERATION_COLUMNS` -> (N,).
    """

    units: NDArray[np.int16]
    columns: Mapping[str, IntArray]

    @classmethod
    def of(cls, unit: str, **columns: Any) -> Operations:
        """Operations of one unit from columns; those left out take their defaults."""
        given = {name: np.atleast_1d(np.asarray(values, np.int64)) for name, values in columns.items()}
        count = max((len(values) for values in given.values()), default=1)
        whole = {
            name: np.broadcast_to(given.get(name, np.int64(default)), (count,)).astype(np.int64)
            for name, default in OPERATION_COLUMNS.items()
        }
        return cls(np.full(count, UNITS.index(unit), np.int16), whole)

    @classmethod
    def joined(cls, parts: Sequence[Operations]) -> Operations:
        """All operations of some tables, in their order."""
        if not parts:
            return cls(np.zeros(0, np.int16), {name: np.zeros(0, np.int64) for name in OPERATION_COLUMNS})
        return cls(
            np.concatenate([part.units for part in parts]),
            {name: np.concatenate([part[name] for part in parts]) for name in OPERATION_COLUMNS},
        )

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, column: str) -> IntArray:
        return self.columns[column]

    def at(self, chosen: BoolArray | IntArray | slice) -> Operations:
        """Some of the operations, by mask or by position."""
        return Operations(self.units[chosen], {name: column[chosen] for name, column in self.columns.items()})

    def replaced(self, **columns: IntArray) -> Operations:
        """The same operations with other values in some columns."""
        return Operations(self.units, {**self.columns, **columns})

    def is_unit(self, *units: str) -> BoolArray:
        """(N,) whether an operation runs on one of some units."""
        found: BoolArray = np.isin(self.units, [UNITS.index(unit) for unit in units])
        return found

    @property
    def binary(self) -> BoolArray:
        """(N,) whether an operation has a second operand."""
        return self["ifm2_c"] > 0

    @property
    def ofm_elements(self) -> IntArray:
        """(N,) output elements."""
        return self["ofm_h"] * self["ofm_w"] * self["ofm_c"]

    @property
    def ifm_elements(self) -> IntArray:
        """(N,) elements of the first operand."""
        return self["ifm_h"] * self["ifm_w"] * self["ifm_c"]

    @property
    def ifm2_elements(self) -> IntArray:
        """(N,) elements of the second operand."""
        return self["ifm2_h"] * self["ifm2_w"] * self["ifm2_c"]


def ceil_div(value: IntArray, divisor: IntArray | int) -> IntArray:
    """Quotient rounded up."""
    return -(-value // divisor)


def round_up(value: IntArray, multiple: IntArray | int) -> IntArray:
    """The next multiple."""
    return ceil_div(value, multiple) * multiple
