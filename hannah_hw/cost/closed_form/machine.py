"""What closed forms read of an accelerator, and what they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hannah_hw.targets import Accelerator
from hannah_hw.targets.figures import figures
from hannah_hw.targets.hardware import MemoryLevel, Operand

FloatArray = NDArray[np.float64]
Direction = Literal["read", "write"]
#: Operand and direction -> (M,) bits.
Traffic = Mapping[tuple[Operand, Direction], FloatArray]

OPERANDS: Final[tuple[Operand, ...]] = ("I", "W", "O")


@dataclass(frozen=True)
class Level:
    """One memory.

    Attributes:
        name: Its name.
        capacity: Bytes of all its instances; infinite without a bound.
        read_bits: Bits a cycle that one instance reads.
        write_bits: Bits a cycle that one instance writes.
        shared: Whether reads and writes take the same ports.
        read_word: Bits that its widest port reads at a time.
        write_word: Bits that its widest port writes at a time.
        read_pj: Picojoules of reading a word of ``read_word``; NaN: not known.
        write_pj: Picojoules of writing a word of ``write_word``; NaN: not known.
    """

    name: str
    capacity: float
    read_bits: int
    write_bits: int
    shared: bool
    read_word: int
    write_word: int
    read_pj: float
    write_pj: float

    def cycles(self, read: FloatArray, write: FloatArray) -> FloatArray:
        """(M,) cycles in which one instance moves (M,) bits."""
        reading, writing = read / max(self.read_bits, 1), write / max(self.write_bits, 1)
        return reading + writing if self.shared else np.maximum(reading, writing)

    def energy(self, bits: FloatArray, direction: Direction) -> FloatArray:
        """(M,) picojoules of moving (M,) bits in whole words or parts of them."""
        if direction == "read":
            return bits / max(self.read_word, 1) * self.read_pj
        return bits / max(self.write_word, 1) * self.write_pj


@dataclass(frozen=True)
class Machine:
    """An accelerator as closed forms see it.

    Attributes:
        name: Of the target.
        dims: Dimension of the array -> its size, in the order of the file; empty without an array.
        mac_pj: Picojoules of a multiply-accumulate; NaN: not known.
        partial_sum_bits: Bits of a sum that is not complete.
        near: Operand -> the memory nearest to the array that holds it; forms count what passes between it and the edge
            of the array, so registers inside of the array are not listed.
        far: Operand -> the outermost memory that holds it, where that is another one.
        settings: Figures of the model's ``settings``.
        on_chip: Name of the memory in which activations stay from layer to layer, of which ``reserved_bytes`` of a
            layer are taken; None without one.
    """

    name: str
    dims: Mapping[str, int]
    mac_pj: float
    partial_sum_bits: int
    near: Mapping[Operand, Level]
    far: Mapping[Operand, Level]
    settings: Mapping[str, float]
    on_chip: str | None = None

    @classmethod
    def of(cls, target: Accelerator, settings: Mapping[str, float]) -> Machine:
        """What an accelerator says.

        Args:
            target: The accelerator.
            settings: Figures of its model.
        """
        array = target.array
        given = figures(target)
        near: dict[Operand, Level] = {}
        far: dict[Operand, Level] = {}
        for memory in target.memories:
            level = _level(memory, given)
            for operand in memory.holds:
                if operand in near:
                    far[operand] = level
                else:
                    near[operand] = level
        return cls(
            name=target.name,
            dims={} if array is None else dict(array.dims),
            mac_pj=given["mac_pj"],
            partial_sum_bits=16 if array is None else array.partial_sum_bits,
            near=near,
            far=far,
            settings=settings,
            on_chip=target.on_chip,
        )

    @property
    def multipliers(self) -> int:
        """Multipliers of the array; 0 without one."""
        return int(np.prod(list(self.dims.values()))) if self.dims else 0

    def sides(self) -> tuple[int, int]:
        """Rows and columns of an array with two dimensions, as targets of `ARRAY_FORMS` have been checked to have."""
        rows, columns = self.dims.values()
        return rows, columns


def _level(memory: MemoryLevel, given: Mapping[str, float]) -> Level:
    return Level(
        name=memory.name,
        capacity=given[f"{memory.name}_bytes"],
        read_bits=int(given[f"{memory.name}_read_bits"]),
        write_bits=int(given[f"{memory.name}_write_bits"]),
        shared=any(port.kind == "read_write" for port in memory.ports),
        read_word=max((port.max_bits for port in memory.ports if port.kind != "write"), default=0),
        write_word=max((port.max_bits for port in memory.ports if port.kind != "read"), default=0),
        read_pj=given[f"{memory.name}_read_pj"],
        write_pj=given[f"{memory.name}_write_pj"],
    )


@dataclass(frozen=True)
class Counts:
    """What a closed form counts for M layers.

    Attributes:
        cycles: Part -> (M,) clock cycles; they add up.
        near: Bits between the array and the nearest memories.
        far: Bits at the outermost memories; what they deliver is written to the nearest ones.
        energy: Part -> (M,) picojoules, of a form that knows them itself; None: from the traffic.
        failed: (M,) index into ``rules`` of a layer that cannot run, else -1; None: all can.
        rules: Why a layer cannot run.
    """

    cycles: Mapping[str, FloatArray]
    near: Traffic = field(default_factory=dict)
    far: Traffic = field(default_factory=dict)
    energy: Mapping[str, FloatArray] | None = None
    failed: NDArray[np.int32] | None = None
    rules: tuple[str, ...] = ()
