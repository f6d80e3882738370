"""Which kernels a target can run: conditions over kernel columns, compiled to NumPy.

A condition is a comparison of whole numbers and columns of `hannah_hw.workload.KERNEL_COLUMNS`, for example
``kernel_h <= 9``, ``stride_h in [1, 2]``, ``groups == 1 or groups == in_channels == out_channels`` or
``in_channels % 4 == 0``. Allowed are the comparisons (also chained), ``in`` and ``not in`` with a list,
``and``, ``or``, ``not``, parentheses, and ``+ - * // %``; a divisor below 1 counts as 1. Text is parsed, never
evaluated as Python (`hannah_hw.targets.formulas`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import TargetError
from hannah_hw.targets.formulas import Grammar, Program
from hannah_hw.workload.table import KERNEL_COLUMNS


@dataclass(frozen=True)
class Predicate:
    """One compiled condition.

    Attributes:
        text: As written.
        names: Columns it reads.
    """

    text: str
    names: tuple[str, ...]
    _program: Program

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def parse(text: str) -> Predicate:
        """Compile a condition.

        Raises:
            TargetError: Not in the grammar, or an unknown column.
        """
        grammar = Grammar(text, "condition", KERNEL_COLUMNS)
        program = grammar.condition(grammar.tree())
        if not grammar.names:
            raise TargetError(f"the condition {text!r} speaks of no column", allowed=KERNEL_COLUMNS)
        return Predicate(text, tuple(sorted(grammar.names)), program)

    def __call__(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Whether it holds, in the shape of the columns."""
        result: NDArray[np.bool_] = self._program(columns)
        return result


@dataclass(frozen=True)
class Legality:
    """The compiled rules of a target.

    Attributes:
        rules: Texts of what can fail; an index into it names the reason.
    """

    rules: tuple[str, ...]
    _by_kind: Mapping[str, tuple[tuple[tuple[int, Predicate], ...], ...]]

    def failed(self, kind: str, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int16] | None:
        """Which kernels of one kind cannot run, and why.

        Args:
            kind: Kernel kind.
            columns: Column name -> (N,) values of N kernels of that kind.

        Returns:
            (N,) index of the failed rule, -1 where a kernel can run; None when all can.

        Raises:
            KeyError: There is no rule for the kind; see `covers`.
        """
        failed: NDArray[np.int16] | None = None
        reached: NDArray[np.int16] | None = None
        for conditions in self._by_kind[kind]:
            index: NDArray[np.int16] | None = None
            position: NDArray[np.int16] | None = None
            for place, (number, predicate) in enumerate(conditions):
                holds = predicate(columns)
                if holds.all():
                    continue
                if index is None or position is None:
                    index = np.where(holds, np.int16(-1), np.int16(number))
                    position = np.full(index.shape, place, np.int16)
                else:
                    first = ~holds & (index < 0)
                    index[first], position[first] = number, place
            if index is None or position is None:
                return None
            if failed is None or reached is None:
                failed, reached = index, position
            else:
                # The rule that comes further is the one that is meant.
                further = position > reached
                failed = np.where((failed < 0) | (index < 0), np.int16(-1), np.where(further, index, failed))
                reached = np.where(further, position, reached)
        return failed

    def covers(self, kind: str) -> bool:
        """Whether there is a rule for a kernel kind."""
        return kind in self._by_kind

    def alternatives(self, kind: str) -> tuple[tuple[Predicate, ...], ...]:
        """The rules for a kernel kind, of one of which all conditions must hold; none where there is no rule."""
        rules = self._by_kind.get(kind, ())
        return tuple(tuple(predicate for _, predicate in conditions) for conditions in rules)


def compile_legality(rules: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> Legality:
    """Compile the rules of a target.

    Args:
        rules: Kernel kinds and the conditions that must all hold, one pair per rule. Several rules for one
            kind are alternatives: one must hold. Where none does, the first failed condition of the alternative that
            comes furthest is reported, so the condition that tells alternatives apart comes first.

    Raises:
        TargetError: A condition is not in the grammar.
    """
    texts: list[str] = []
    by_kind: dict[str, list[tuple[tuple[int, Predicate], ...]]] = {}
    for kinds, conditions in rules:
        for kind in kinds:
            numbered = []
            for condition in conditions:
                numbered.append((len(texts), Predicate.parse(condition)))
                texts.append(f"{kind}: {condition}")
            by_kind.setdefault(kind, []).append(tuple(numbered))
    return Legality(tuple(texts), {kind: tuple(rules_) for kind, rules_ in by_kind.items()})
