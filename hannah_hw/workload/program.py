"""The Workload of a graph, compiled once and evaluated for whole populations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.expressions import And, If, Not, Or, Program, Scalar
from hannah_hw.workload.fusion import Fused, Slot, Step, fuse
from hannah_hw.workload.table import KERNEL_COLUMNS, Buffers, ColumnTable, IntArray, Kernels, Workload

#: Columns of a slot that are plain numbers, and those that are outputs of the program.
_Split = tuple[Mapping[str, int], Sequence[tuple[str, int]]]


class WorkloadProgram:
    """Steps of a graph -> the Workload of any population.

    Args:
        steps: The graph in execution order.
        ends: Positions of the steps whose values are the graph's outputs.
        bits: Bits of a weight and of an activation that say nothing else: 8 for the deployed integer network, 32
            for floating point.

    Attributes:
        names: Names of the kernel slots.
        kinds: Their kinds.
        slots: What each slot depends on: whether it is active, and the values of `KERNEL_COLUMNS`.
        exists: Whether the parameters describe a network.
        macs: Multiply-accumulates of one inference; 0 where the parameters describe no network.
    """

    def __init__(self, steps: Sequence[Step], ends: Sequence[int], *, bits: int = 8) -> None:
        self._fused: Fused = fuse(steps, ends, bits)
        slots, fused = self._fused.slots, self._fused
        self.names = tuple(slot.name for slot in slots)
        self.kinds = tuple(slot.row.kind for slot in slots)
        outputs: list[Scalar] = []
        columns = {name: [_column(slot, name, bits) for slot in slots] for name in KERNEL_COLUMNS}
        active = [slot.active for slot in slots]
        self.slots: list[tuple[Scalar, ...]] = list(zip(active, *columns.values(), strict=True))
        self._columns = {name: _Block(values, np.int64, outputs) for name, values in columns.items()}
        self._split = [_split(self._columns, k) for k in range(len(slots))]
        self._active = _Block(active, np.bool_, outputs)
        sizes = [(size * width + 7) // 8 for size, width in zip(fused.elements, fused.bits, strict=True)]
        self._bytes = _Block(sizes, np.int64, outputs)
        self._first = _Block(fused.first, np.int64, outputs)
        self._last = _Block(fused.last, np.int64, outputs)
        self._outputs = _Block(fused.outputs, np.bool_, outputs)
        missing = Or(*(And(step.active, Not(step.exists)) for step in steps if step.exists is not True))
        self.exists: Scalar = Not(missing)
        self._exists = _Block([self.exists], np.bool_, outputs)
        total: Scalar = 0
        for slot in slots:
            total = total + If(slot.active, slot.row.columns.get("macs", 0), 0)
        self.macs: Scalar = If(missing, 0, total)
        self._program = Program(outputs)
        self._reads = np.zeros((len(slots), len(fused.names)), np.bool_)
        for index, slot in enumerate(slots):
            self._reads[index, list(slot.reads)] = True

    def run(self, columns: Mapping[str, NDArray[Any]], size: int) -> Workload:
        """The Workload of a population.

        Args:
            columns: Parameter id -> (P,) values; see `hannah_hw.expressions.Program.run`.
            size: P.
        """
        values = self._program.run(columns)
        active, sizes = self._active.fill(values, size), self._bytes.fill(values, size)
        exists: NDArray[np.bool_] = self._exists.fill(values, size)[:, 0]
        if not exists.all():
            active, sizes = np.where(exists, active.T, False).T, np.where(exists, sizes.T, 0).T
        return Workload(
            Kernels(
                self.names,
                self.kinds,
                active,
                _Columns(self._columns, self._split, values, size),
            ),
            Buffers(
                tuple(self._fused.names),
                tuple(self._fused.kinds),
                sizes,
                self._first.fill(values, size),
                self._last.fill(values, size),
                self._outputs.fill(values, size),
            ),
            self._reads,
            exists,
        )


class _Columns(ColumnTable):
    """The kernel columns of a population, each put together when it is first asked for.

    A cost model reads some of them where kernels are active; writing all takes longer than computing them.
    """

    def __init__(
        self, blocks: Mapping[str, _Block], split: Sequence[_Split], values: list[Any], size: int
    ) -> None:
        self._blocks = blocks
        self._split = split
        self._values = values
        self._size = size
        self._filled: dict[str, IntArray] = {}

    def __getitem__(self, name: str) -> IntArray:
        if name not in self._filled:
            self._filled[name] = self._blocks[name].fill(self._values, self._size)
        return self._filled[name]

    def part(self, name: str, slot: int) -> IntArray | int:
        """One slot's values of a column: (P,), or one number for all candidates."""
        values: IntArray | int = self._blocks[name].part(self._values, slot)
        return values

    def split(self, slot: int) -> tuple[Mapping[str, int], Mapping[str, IntArray]]:
        """One slot's columns that are one number for all candidates, and the others."""
        plain, computed = self._split[slot]
        arrays = {name: self._values[output] for name, output in computed}
        single = [name for name, values in arrays.items() if not isinstance(values, np.ndarray)]
        if single:
            plain = {**plain, **{name: int(arrays.pop(name)) for name in single}}
        return plain, arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


class _Block:
    """One (P, N) array of the table, of which only the columns that depend on parameters are computed.

    Stored with the population axis contiguous, since columns are written and read one kernel at a time.

    Args:
        values: One expression or number a column.
        dtype: Of the array.
        outputs: Outputs of the program; the block appends the expressions that it needs.
    """

    def __init__(self, values: Sequence[Scalar], dtype: type[np.generic], outputs: list[Scalar]) -> None:
        self._where: list[tuple[int, int]] = []
        self._base = np.zeros(len(values), dtype)
        for index, value in enumerate(values):
            if isinstance(value, int | float):
                self._base[index] = value
            else:
                self._where.append((index, len(outputs)))
                outputs.append(value)
        self._outputs = dict(self._where)
        self._plain = np.array([i for i in range(len(values)) if i not in self._outputs], np.int64)

    def output(self, index: int) -> int | None:
        """Which output of the program a column of the array is; None of one that no parameter changes."""
        return self._outputs.get(index)

    def part(self, values: Sequence[Any], index: int) -> Any:
        output = self._outputs.get(index)
        part = self._base[index] if output is None else values[output]
        return part if isinstance(part, np.ndarray) else int(part)

    def fill(self, values: Sequence[Any], size: int) -> NDArray[Any]:
        if not self._where:
            return np.broadcast_to(self._base, (size, len(self._base)))
        array = np.empty((len(self._base), size), self._base.dtype)
        array[self._plain] = self._base[self._plain, None]
        for index, output in self._where:
            array[index] = values[output]
        return array.T


def _split(blocks: Mapping[str, _Block], slot: int) -> _Split:
    outputs = {name: block.output(slot) for name, block in blocks.items()}
    plain = {name: blocks[name].part((), slot) for name, output in outputs.items() if output is None}
    return plain, [(name, output) for name, output in outputs.items() if output is not None]


def _column(slot: Slot, name: str, bits: int) -> Scalar:
    columns = slot.row.columns
    if name == "activation":
        return slot.activation
    if name == "activation_bits":
        return slot.read_bits[0] if slot.read_bits else bits
    if name == "output_bits":
        return slot.bits
    if name == "weight_bits":
        # In a product of two values the second one takes the place of the weights.
        product = "macs" in columns and "weights" not in columns and len(slot.read_bits) > 1
        return columns.get(name, slot.read_bits[1] if product else bits)
    value = columns.get(name, KERNEL_COLUMNS[name])
    if name == "bias":
        # A folded batch normalisation leaves an offset a channel.
        return (
            If(Or(slot.folded, value != 0), columns["out_channels"], 0) if slot.folded is not False else value
        )
    return value
