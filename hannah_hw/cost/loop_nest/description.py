"""From a target file to the hierarchy that the loop-nest model evaluates."""

from __future__ import annotations

import math
from functools import lru_cache

from hannah_hw.cost.loop_nest.hierarchy import Array, Hierarchy, Memory, Port
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator
from hannah_hw.targets.fields import SourcedNumber
from hannah_hw.targets.hardware import MemoryLevel


@lru_cache(maxsize=64)
def hierarchy(target: Accelerator) -> Hierarchy:
    """The hierarchy that a target describes, made once for targets that say the same.

    Raises:
        TargetError: The target has no array, or its memories cannot work together.
    """
    if target.array is None:
        raise TargetError(
            "a loop nest needs an array; describe it under `array`, such as dims: {D1: 16}", where=target.name
        )
    array = Array(dict(target.array.dims), _known(target.array.mac_pj), target.array.systolic)
    memories = tuple(_memory(memory) for memory in target.memories)
    return Hierarchy(array, memories, target.array.partial_sum_bits, target.name)


def _memory(level: MemoryLevel) -> Memory:
    carried = {name: {str(k): moves for k, moves in all_.items()} for name, all_ in level.carried().items()}
    return Memory(
        name=level.name,
        size_bits=None if level.size is None else 8 * level.size,
        holds=level.holds,
        served=level.served,
        ports=tuple(
            Port(port.name, port.kind, port.max_bits, port.min_bits or port.max_bits, carried[port.name])
            for port in level.ports
            if carried[port.name]
        ),
        read_pj=_known(level.read_pj),
        write_pj=_known(level.write_pj),
        double_buffer=None if level.double_buffer == "auto" else level.double_buffer,
    )


def _known(number: SourcedNumber | None) -> float:
    return math.nan if number is None else number.value
