"""The conditions of a space, solved together: what is sampled or varied always satisfies all of them.

Conditions that share a parameter form a component, solved on its own in the simplest of three ways: few
combinations are listed (`Grid`); conditions over few parameters each are eliminated one parameter after the other
(`Elimination`); what is left, such as a budget over everything, is satisfied by moving towards valid candidates
(`Relinking`). All three are vectorised over candidates and deterministic, and leave valid candidates as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from hannah_hw.errors import SpaceError
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.constraints.elimination import CELLS, Elimination, elimination_order
from hannah_hw.spaces.constraints.grid import FloatArray, Grid, IntArray, truth_table
from hannah_hw.spaces.constraints.relinking import Relinking
from hannah_hw.spaces.constraints.rules import Rule

#: Combinations of a component up to which they are listed.
LISTED: Final = 1 << 17


class Constraints:
    """The valid combinations of a space's parameters.

    Args:
        parameters: The D parameters of the space.
        rules: What must hold; see `hannah_hw.spaces.constraints.rules`.

    Raises:
        SpaceError: No candidate satisfies all conditions, or none was found; the message lists conditions that
            conflict, none of which can be left out.
    """

    def __init__(self, parameters: Sequence[Parameter], rules: Sequence[Rule]) -> None:
        #: Of the parameter that conditions hold: what stands for it, and its column.
        self._standing = {id(p.origin): p for p in parameters}
        column = {id(parameter): index for index, parameter in enumerate(parameters)}
        #: Columns of each component, and its solver.
        self._parts: list[tuple[IntArray, Grid | Elimination | Relinking]] = []
        for members in _components(rules):
            own = self._parameters(members)
            solver = _solver(own, members)
            if not solver.satisfiable:
                raise self._conflict(members, solver)
            if own:
                self._parts.append((np.array([column[id(p)] for p in own], np.int64), solver))

    def __bool__(self) -> bool:
        return bool(self._parts)

    def _parameters(self, rules: Sequence[Rule]) -> list[Any]:
        """The parameters of some rules, each once."""
        return [self._standing[key] for key in {id(p): None for rule in rules for p in rule.parameters}]

    def _satisfiable(self, rules: Sequence[Rule]) -> bool:
        """Whether some rules can hold together; True where that stays open."""
        for members in _components(rules):
            solver = _solver(self._parameters(members), members)
            if not solver.satisfiable and not (isinstance(solver, Relinking) and solver.open):
                return False
        return True

    def _conflict(self, rules: Sequence[Rule], solver: Grid | Elimination | Relinking) -> SpaceError:
        """The error of a component without a solution.

        It lists conditions that conflict, as few as leaving out one by one finds.
        """
        if isinstance(solver, Relinking) and solver.open:
            return SpaceError(
                "no candidate was found that satisfies these conditions together, and no proof that there is none: "
                f"{_listing(rules)}; give a default that satisfies them, or relax one"
            )
        core = list(rules)
        for rule in rules:
            rest = [other for other in core if other is not rule]
            if not self._satisfiable(rest):
                core = rest
        return SpaceError(
            f"no candidate satisfies the conditions of the space; these exclude each other: {_listing(core)}"
        )

    def repair(self, rows: FloatArray) -> FloatArray:
        """Valid rows near given ones.

        Args:
            rows: (P, D) levels and positions.

        Returns:
            (P, D) levels and positions; valid rows as they are.
        """
        rows = rows.copy()
        for columns, solver in self._parts:
            rows[:, columns] = solver.repair(rows[:, columns])
        return rows

    def sample(self, rows: FloatArray, uniform: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Random valid rows.

        Args:
            rows: (P, D) independent samples of all parameters; those without conditions stay as they are.
            uniform: (P, D) the random numbers that they were made of.
            rng: Where more of them come from.
        """
        rows = rows.copy()
        for columns, solver in self._parts:
            if isinstance(solver, Relinking):
                rows[:, columns] = solver.sample(uniform[:, columns], rng)
            else:
                rows[:, columns] = solver.sample(uniform[:, columns])
        return rows


def _components(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Rules in groups that share no parameter."""
    group: dict[int, list[Rule]] = {}
    alone: list[list[Rule]] = []
    for rule in rules:
        merged = [rule]
        ids = [id(parameter) for parameter in rule.parameters]
        if not ids:
            alone.append(merged)
        for old in {id(group[i]): group[i] for i in ids if i in group}.values():
            merged = old + merged
        for member in merged:
            group.update((id(parameter), merged) for parameter in member.parameters)
    order = {id(rule): index for index, rule in enumerate(rules)}
    groups = [*alone, *{id(members): members for members in group.values()}.values()]
    return sorted((sorted(g, key=lambda r: order[id(r)]) for g in groups), key=lambda g: order[id(g[0])])


def _solver(parameters: Sequence[Any], rules: Sequence[Rule]) -> Grid | Elimination | Relinking:
    """The simplest way to solve a component."""
    standing = {id(p.origin): p for p in parameters}
    sizes = [len(p.levels) for p in parameters]
    if not sizes or (all(sizes) and math.prod(sizes) <= LISTED):
        return Grid(parameters, [rule.holds for rule in rules])
    narrow: list[tuple[int, Rule]] = []
    wide: list[Rule] = []
    for rule in rules:
        own = [standing[id(p)] for p in rule.parameters]
        cells = math.prod(len(p.levels) for p in own)
        if all(p.levels for p in own) and cells <= CELLS:
            narrow.append((cells, rule))
        else:
            wide.append(rule)
    narrow.sort(key=lambda entry: entry[0])
    while True:
        ids = {id(p) for _, rule in narrow for p in rule.parameters}
        tied = [index for index, p in enumerate(parameters) if id(p.origin) in ids]
        position = {id(parameters[index].origin): place for place, index in enumerate(tied)}
        scopes = [frozenset(position[id(p)] for p in rule.parameters) for _, rule in narrow]
        order = elimination_order([sizes[index] for index in tied], scopes)
        if order is not None:
            break
        wide.append(narrow.pop()[1])
    own = [parameters[index] for index in tied]
    tables = []
    for (_, rule), scope in zip(narrow, scopes, strict=True):
        axes = tuple(sorted(scope))
        tables.append((axes, truth_table([own[axis] for axis in axes], [rule.holds])))
    elimination = Elimination(own, tables, order)
    if not wide:
        return elimination
    open_ones, every = ([rule.holds for rule in part] for part in (wide, rules))
    return Relinking(parameters, (np.array(tied, np.int64), elimination), open_ones, every)


def _listing(rules: Sequence[Rule]) -> str:
    return "; ".join(f"({number}) {rule}" for number, rule in enumerate(rules, start=1))
