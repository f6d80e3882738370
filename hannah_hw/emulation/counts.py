"""What a call of emulated firmware cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FunctionCounts:
    """The share of one function, without what it calls.

    Attributes:
        instructions: Executed; one whose condition failed counts too, since it takes its cycle.
        cycles: By the core's documented timing, without wait states.
        taken_branches: Branches taken, calls and returns included.
        flash_reads: Words or parts of words loaded from flash; None where they were not counted.
    """

    instructions: int
    cycles: int
    taken_branches: int
    flash_reads: int | None = None


@dataclass(frozen=True)
class Counts:
    """What a call cost.

    Attributes:
        instructions: Executed; one whose condition failed counts too, since it takes its cycle.
        cycles: By the core's documented timing, without wait states.
        taken_branches: Branches taken, calls and returns included.
        flash_reads: Loads from flash, an instruction that loads several words as that many; None where they were
            not asked for.
        by_function: Function -> its share, without what it calls; code outside of any function is ``""``,
            and local functions that have one name share an entry.
        by_kind: `hannah_hw.emulation.instructions.KINDS` -> instructions executed.
        stack_bytes: The deepest use of the stack.
        returned: The first result register.
    """

    instructions: int
    cycles: int
    taken_branches: int
    flash_reads: int | None
    by_function: Mapping[str, FunctionCounts]
    by_kind: Mapping[str, int]
    stack_bytes: int
    returned: int
