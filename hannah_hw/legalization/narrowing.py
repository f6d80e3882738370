"""Which levels of parameters no network has that satisfies some rules.

Each rule is tabulated over the parameters that it depends on. A level goes where every combination with it, in which
the parameter matters at all, fails some rule; what it leaves of the tables may rule out levels of other parameters, and
so on until nothing changes (generalised arc consistency: Mackworth, "Consistency in networks of relations",
Artificial Intelligence 8 (1977)). No level of a network that satisfies all rules ever goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, Scalar, leaves
from hannah_hw.expressions.dependence import Table, tabulate
from hannah_hw.expressions.intervals import bounds
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.constraints import Rule

#: Combinations of levels up to which rules are tabulated, one by one and all that speak of a parameter together.
CELLS: Final = 1 << 16

#: Parameters that a message names, and rules that it lists.
_NAMED: Final = 3
_LISTED: Final = 8

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Removal:
    """What was removed from a parameter.

    Attributes:
        parameter: Its id.
        values: The values that no runnable network has.
        left: The values that are left.
        rules: Why: the rules, any of which may rule out one of the values.
    """

    parameter: str
    values: tuple[Any, ...]
    left: tuple[Any, ...]
    rules: tuple[Rule, ...]


class Narrowing:
    """The levels that are left of some parameters.

    Args:
        parameters: Parameters with levels.
        activity: Of each: whether a network depends on it.
        rules: What must hold.

    Attributes:
        kept: Of each parameter: positions of the levels that are left, ascending.
        removals: What was removed.
        binding: The rules that still exclude combinations of what is left.
        wide: Those of them that were not tabulated, because they depend on a continuous parameter or on more than
            65,536 combinations.

    Raises:
        SpaceError: Every network fails a rule, or nothing is left of a parameter that every network depends on.
    """

    def __init__(
        self, parameters: Sequence[Parameter], activity: Sequence[Scalar], rules: Sequence[Rule]
    ) -> None:
        self._parameters = list(parameters)
        tables = self._tables([*(rule.holds for rule in rules), *activity])
        self._rules = [
            (rule, _truth(t)) for rule, t in zip(rules, tables[: len(rules)], strict=True) if t is not None
        ]
        _refuse([rule for rule, table in self._rules if not table.values.any()])
        self.wide = _open([rule for rule, t in zip(rules, tables[: len(rules)], strict=True) if t is None])
        self._activity = [None if t is None else _truth(t) for t in tables[len(rules) :]]
        self.kept: list[IntArray] = [np.arange(len(p.levels)) for p in parameters]
        self._reasons: dict[int, dict[int, Rule]] = {}
        tied = sorted({axis for _, table in self._rules for axis in table.axes})
        changed = True
        while changed:
            changed = max([self._narrow(axis) for axis in tied], default=False)
        self.binding = [rule for rule, table in self._rules if not self._restricted(table).all()] + self.wide
        self.removals = [self._removal(axis) for axis in sorted(self._reasons)]

    def _tables(self, expressions: Sequence[Scalar]) -> list[Table | None]:
        """The values of expressions for all levels; None where there are too many or infinitely many."""
        known = {id(p.origin): len(p.levels) for p in self._parameters}
        small = []
        for expression in expressions:
            sizes = [known.get(id(leaf), 0) for leaf in leaves([expression])]
            small.append(all(sizes) and math.prod(sizes) <= CELLS)
        found = iter(
            tabulate([e for e, s in zip(expressions, small, strict=True) if s], self._parameters, {})
        )
        return [next(found) if s else self._table(e) for e, s in zip(expressions, small, strict=True)]

    def _table(self, expression: Scalar) -> Table | None:
        """The table of an expression with many parameters in it, most of which may make no difference."""
        known = {id(p.origin) for p in self._parameters}
        if not isinstance(expression, Expression) or any(id(p) not in known for p in leaves([expression])):
            return None
        try:
            (table,) = tabulate([expression], self._parameters, {})
        except SpaceError:
            return None
        return table if table.values.size <= CELLS else None

    def _restricted(self, table: Table) -> BoolArray:
        """A table over the levels that are left."""
        values: BoolArray = table.values[np.ix_(*(self.kept[axis] for axis in table.axes))]
        return values

    def _narrow(self, axis: int) -> bool:
        """Remove levels of a parameter; whether there were any to remove."""
        own = [(rule, table) for rule, table in self._rules if axis in table.axes]
        active = self._activity[axis]
        changed = False
        for group in self._groups(own, active):
            changed |= self._remove(axis, group, active)
        return changed

    def _groups(self, own: list[tuple[Rule, Table]], active: Table | None) -> list[list[tuple[Rule, Table]]]:
        """Rules that speak of a parameter, in groups whose combinations can be listed."""
        groups: list[list[tuple[Rule, Table]]] = []
        axes: set[int] = set()
        for rule, table in own:
            first = set(table.axes) | (set(active.axes) if active is not None else set())
            if not groups or self._cells(axes | first) > CELLS:
                groups.append([])
                axes = set()
            groups[-1].append((rule, table))
            axes |= first
        return groups

    def _cells(self, axes: set[int]) -> int:
        return math.prod(len(self.kept[axis]) for axis in axes)

    def _remove(self, axis: int, group: list[tuple[Rule, Table]], active: Table | None) -> bool:
        axes = {a for _, table in group for a in table.axes}
        if active is not None and self._cells(axes | set(active.axes)) > CELLS:
            # A parameter that is taken to matter always loses fewer levels.
            active = None
        order = sorted(axes | {axis} | (set(active.axes) if active is not None else set()))
        shape = [len(self.kept[a]) for a in order]
        others = tuple(place for place, a in enumerate(order) if a != axis)
        matters = np.ones(shape, np.bool_)
        if active is not None:
            matters = matters & self._over(active, order)
        holds = [(rule, matters & self._over(table, order)) for rule, table in group]
        together = matters.copy()
        for _, table in holds:
            together &= table
        gone = matters.any(axis=others) & ~together.any(axis=others)
        if not gone.any():
            return False
        always = active is not None and not active.axes and bool(active.values)
        if gone.all() and not always:
            # Networks that depend on the parameter cannot run; other parameters keep them out.
            return False
        # Whoever alone rules out a level is the reason, else all that have a part in it.
        reasons = self._reasons.setdefault(axis, {})
        for level in np.flatnonzero(gone):
            alone = [rule for rule, t in holds if not t.take(level, order.index(axis)).any()]
            some = [rule for rule, t in holds if (t != matters).take(level, order.index(axis)).any()]
            reasons.update((id(rule), rule) for rule in alone or some)
        if gone.all():
            parameter = self._parameters[axis]
            raise SpaceError(
                f"no value of the parameter {parameter.id} ({', '.join(map(str, parameter.levels))}) can run: "
                f"{_listing(list(map(str, reasons.values())))}"
            )
        self.kept[axis] = self.kept[axis][~gone]
        return True

    def _over(self, table: Table, order: Sequence[int]) -> BoolArray:
        """A table over the levels that are left, with a dimension for each of some parameters."""
        return Table(table.axes, self._restricted(table)).over(order)

    def _removal(self, axis: int) -> Removal:
        parameter, left = self._parameters[axis], self.kept[axis]
        return Removal(
            parameter.id,
            tuple(v for i, v in enumerate(parameter.levels) if i not in left),
            tuple(parameter.levels[i] for i in left),
            tuple(self._reasons[axis].values()),
        )


def _refuse(rules: Sequence[Rule]) -> None:
    """Raise where there are rules that every network fails."""
    texts = []
    for rule in rules:
        names = [p.id for p in rule.parameters[:_NAMED]] + ["..."] * (len(rule.parameters) > _NAMED)
        whatever = f" (whatever the value of {', '.join(names)})" if names else ""
        texts.append(f"{rule}{whatever}")
    if texts:
        raise SpaceError(f"every network fails: {_listing(texts)}")


def _listing(texts: Sequence[str]) -> str:
    """Rules for a message; of many, the first."""
    more = [f"and {len(texts) - _LISTED} more"] if len(texts) > _LISTED else []
    return "; ".join([*texts[:_LISTED], *more])


def _open(rules: Sequence[Rule]) -> list[Rule]:
    """The rules that are not certain to hold."""
    lows = [low for low, _ in bounds([rule.holds for rule in rules])]
    return [rule for rule, low in zip(rules, lows, strict=True) if low < 1]


def _truth(table: Table) -> Table:
    return Table(table.axes, np.asarray(table.values, np.bool_))
