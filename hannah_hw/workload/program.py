"""The Workload of a graph, compiled once and evaluated for whole populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.expressions import If, Or, Program, Scalar
from hannah_hw.workload.fusion import Fused, Slot, Step, fuse
from hannah_hw.workload.table import KERNEL_COLUMNS, Buffers, Kernels, Workload


class WorkloadProgram:
    """Steps of a graph -> the Workload of any population.

    Args:
        steps: The graph in execution order.
        outputs: Positions of the steps whose values are the graph's outputs.
        bits: Bits of a weight and of an activation: 8 for the deployed integer network, 32 for floating point.
    """

    def __init__(self, steps: Sequence[Step], outputs: Sequence[int], *, bits: int = 8) -> None:
        self._fused: Fused = fuse(steps, outputs)
        slots, fused = self._fused.slots, self._fused
        self._names = tuple(slot.name for slot in slots)
        self._kinds = tuple(slot.row.kind for slot in slots)
        self._columns = {
            name: _Block([_column(slot, name, bits) for slot in slots], np.int64) for name in KERNEL_COLUMNS
        }
        self._active = _Block([slot.active for slot in slots], np.bool_)
        self._bytes = _Block([(elements * bits + 7) // 8 for elements in fused.elements], np.int64)
        self._first = _Block(fused.first, np.int64)
        self._last = _Block(fused.last, np.int64)
        self._outputs = _Block(fused.outputs, np.bool_)
        self._blocks = [
            *self._columns.values(),
            self._active,
            self._bytes,
            self._first,
            self._last,
            self._outputs,
        ]
        self._program = Program([value for block in self._blocks for value in block.symbolic])
        self._reads = np.zeros((len(slots), len(fused.names)), np.bool_)
        for index, slot in enumerate(slots):
            self._reads[index, list(slot.reads)] = True

    def run(self, columns: Mapping[str, NDArray[Any]], size: int) -> Workload:
        """The Workload of a population.

        Args:
            columns: Parameter id -> (P,) values; see `hannah_hw.expressions.Program.run`.
            size: P.
        """
        values = iter(self._program.run(columns))
        filled = {id(block): block.fill(values, size) for block in self._blocks}
        return Workload(
            Kernels(
                self._names,
                self._kinds,
                filled[id(self._active)],
                {name: filled[id(block)] for name, block in self._columns.items()},
            ),
            Buffers(
                tuple(self._fused.names),
                tuple(self._fused.kinds),
                filled[id(self._bytes)],
                filled[id(self._first)],
                filled[id(self._last)],
                filled[id(self._outputs)],
            ),
            self._reads,
        )


class _Block:
    """One (P, N) array of the table, of which only the columns that depend on parameters are computed.

    Stored with the population axis contiguous, since columns are written and read one kernel at a time.
    """

    def __init__(self, values: Sequence[Scalar], dtype: type[np.generic]) -> None:
        plain = [isinstance(value, int | float) for value in values]
        self.symbolic = [value for value, is_plain in zip(values, plain, strict=True) if not is_plain]
        self._where = [index for index, is_plain in enumerate(plain) if not is_plain]
        self._base = np.array([v if p else 0 for v, p in zip(values, plain, strict=True)], dtype=dtype)

    def fill(self, values: Any, size: int) -> NDArray[Any]:
        if not self._where:
            return np.broadcast_to(self._base, (size, len(self._base)))
        array = np.empty((len(self._base), size), self._base.dtype)
        array[:] = self._base[:, None]
        for index in self._where:
            array[index] = next(values)
        return array.T


def _column(slot: Slot, name: str, bits: int) -> Scalar:
    columns = slot.row.columns
    if name == "activation":
        return slot.activation
    if name in ("weight_bits", "activation_bits"):
        return columns.get(name, bits)
    value = columns.get(name, KERNEL_COLUMNS[name])
    if name == "bias":
        # A folded batch normalisation leaves an offset a channel.
        return (
            If(Or(slot.folded, value != 0), columns["out_channels"], 0) if slot.folded is not False else value
        )
    return value
