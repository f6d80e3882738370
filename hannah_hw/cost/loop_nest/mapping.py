"""A mapping as data: what runs side by side, the loops around it, and the memory that each operand waits in."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from typing import Any

import numpy as np

from hannah_hw.cost.accelerators.layers import LOOPS, IntArray
from hannah_hw.cost.loop_nest.factors import Factors
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Hierarchy
from hannah_hw.cost.loop_nest.nests import LOOP
from hannah_hw.cost.loop_nest.orderings import Orders
from hannah_hw.cost.loop_nest.tables import PAD, Tables
from hannah_hw.errors import InputError


@dataclass(frozen=True)
class TemporalLoop:
    """One loop over time.

    Attributes:
        loop: One of `LOOPS`.
        iterations: How often it runs.
        memories: Of each of `OPERANDS`, the memory that holds what the loop and those inside of it touch.
    """

    loop: str
    iterations: int
    memories: tuple[str, str, str]


@dataclass(frozen=True)
class Mapping:
    """How a layer runs on an accelerator.

    Attributes:
        spatial: Array dimensions, each with its loops and the units they are spread over; loops on one unit are left
            out.
        temporal: Loops over time, inner first.
    """

    spatial: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    temporal: tuple[TemporalLoop, ...]

    @classmethod
    def chosen(
        cls, hierarchy: Hierarchy, units: IntArray, kinds: Factors, order: Orders, positions: IntArray
    ) -> Mapping:
        """The mapping of one case.

        Args:
            hierarchy: The accelerator.
            units: (array dimensions, 8) units that each loop takes.
            kinds: Its distinct factors.
            order: (loops,) positions in its kinds, inner first, padded with `PAD`.
            positions: (levels,) loops held at and below each level.
        """
        spatial = tuple(
            (name, tuple((LOOPS[loop], int(row[loop])) for loop in np.flatnonzero(row > 1)))
            for name, row in zip(hierarchy.array.sizes, units, strict=True)
        )
        loops = (kinds[kind] for kind in order if kind != PAD)
        temporal = tuple(
            TemporalLoop(LOOPS[loop], factor, _memories(hierarchy, positions, place))
            for place, (loop, factor) in enumerate(loops)
            if factor > 1
        )
        return cls(spatial, temporal)

    @classmethod
    def from_dict(cls, data: Dictionary[str, Any], where: str = "mapping") -> Mapping:
        """The mapping that `to_dict` wrote.

        Raises:
            InputError: Something else.
        """
        try:
            spatial = tuple(
                (str(name), tuple((str(loop), int(units)) for loop, units in loops.items()))
                for name, loops in data["spatial"].items()
            )
            temporal = tuple(
                TemporalLoop(
                    str(row["loop"]), int(row["iterations"]), (str(row["I"]), str(row["W"]), str(row["O"]))
                )
                for row in data["temporal"]
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"no mapping ({type(error).__name__}: {error}); give spatial: {{array dimension: {{loop: units}}}} and "
                "temporal: a list of {loop, iterations, I, W, O}, inner loop first",
                where=where,
            ) from error
        for row in temporal:
            if row.loop not in LOOP:
                raise InputError(f"{row.loop!r} is no loop", where=where, allowed=LOOPS, given=row.loop)
        return cls(spatial, temporal)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for reports."""
        return {
            "spatial": {name: dict(loops) for name, loops in self.spatial},
            "temporal": [
                {
                    "loop": row.loop,
                    "iterations": row.iterations,
                    **dict(zip(OPERANDS, row.memories, strict=True)),
                }
                for row in self.temporal
            ],
        }

    def text(self) -> str:
        """Lines of nested loops, outer first, with the memory of each operand at the right."""
        lines = []
        for depth, row in enumerate(reversed(self.temporal)):
            head = f"{'  ' * depth}for {row.loop} in 0..{row.iterations}"
            held = "  ".join(
                f"{operand}: {memory}" for operand, memory in zip(OPERANDS, row.memories, strict=True)
            )
            lines.append((head, held))
        width = max((len(head) for head, _ in lines), default=0)
        shown = [f"{head:<{width}}  | {held}" for head, held in lines]
        for name, loops in self.spatial:
            over = ", ".join(f"{loop} {units}" for loop, units in loops) or "one unit"
            shown.append(f"{'  ' * len(lines)}side by side along {name}: {over}")
        return "\n".join(shown)

    @property
    def unrolling(self) -> dict[str, dict[str, int]]:
        """As `spatial.wanted` takes it."""
        return {name: dict(loops) for name, loops in self.spatial}

    @property
    def factors(self) -> Factors:
        """The loops over time as factors, inner first; (0, 1) where there is none."""
        return tuple((LOOP[row.loop], row.iterations) for row in self.temporal) or ((0, 1),)

    def order(self, tables: Tables, case: int = 0) -> Orders:
        """(loops, 1) the ordering among the kinds of a case that has these factors."""
        kinds = tables.kinds[case]
        return np.array([[kinds.index(factor)] for factor in self.factors], np.uint8)

    def positions(self, hierarchy: Hierarchy, where: str = "mapping") -> IntArray:
        """(levels, 1) loops held at and below each level.

        Raises:
            InputError: A memory that does not hold the operand, or an inner loop further out than an outer one.
        """
        found: list[int] = []
        for number, operand in enumerate(OPERANDS):
            chain = [hierarchy.memories[place].name for place in hierarchy.chains[operand]]
            depths = []
            for row in self.temporal:
                name = row.memories[number]
                if name not in chain:
                    raise InputError(
                        f"{operand} of loop {row.loop} {row.iterations} waits in {name!r}, which does not hold it",
                        where=where,
                        allowed=chain,
                        given=name,
                    )
                depths.append(chain.index(name))
            if depths != sorted(depths):
                raise InputError(
                    f"the memories of {operand} go back inwards; list the loops inner first and give outer loops the "
                    "same memory or one further out",
                    where=where,
                )
            found += [sum(depth <= level for depth in depths) for level in range(len(chain) - 1)]
            found.append(len(self.factors))
        return np.array(found, np.int64)[:, None]


def _memories(hierarchy: Hierarchy, positions: IntArray, place: int) -> tuple[str, str, str]:
    """The memory in which each operand is held for the loop at a place of the ordering."""
    names: list[str] = []
    begin = 0
    for operand in OPERANDS:
        chain = hierarchy.chains[operand]
        inner = positions[begin : begin + len(chain) - 1]
        depth = int(np.count_nonzero(inner <= place))
        names.append(hierarchy.memories[chain[depth]].name)
        begin += len(chain)
    return names[0], names[1], names[2]
