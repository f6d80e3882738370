"""The greatest values that expressions have among the valid candidates of a space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hannah_hw.expressions import Expression, Scalar, leaves
from hannah_hw.expressions.dependence import MAX_COMBINATIONS, tabulate
from hannah_hw.expressions.intervals import bounds
from hannah_hw.spaces.constraints import Rule, rules_of
from hannah_hw.spaces.space import SearchSpace


def greatest(space: SearchSpace, expressions: Sequence[Scalar]) -> list[float]:
    """The greatest values that expressions over a space's parameters have, or values above them.

    They are those of interval arithmetic. Where a value depends on few combinations of levels, together with the
    parameters that conditions of the space tie to them, it is the greatest over those that the conditions allow.

    Args:
        space: The space.
        expressions: Expressions and plain numbers.
    """
    distinct = {id(e): e for e in expressions if isinstance(e, Expression)}
    values = {key: high for key, (_, high) in zip(distinct, bounds(list(distinct.values())), strict=True)}
    rules = sorted(rules_of(space.order, space.activity), key=lambda rule: len(rule.parameters))
    groups: dict[frozenset[int], tuple[list[Any], list[Rule], list[Expression]]] = {}
    for expression in distinct.values():
        parameters, members = _tied(expression, rules)
        if members:
            key = frozenset(map(id, [*parameters, *members]))
            groups.setdefault(key, (parameters, members, []))[2].append(expression)
    for parameters, members, own in groups.values():
        tables = tabulate([*(rule.holds for rule in members), *own], parameters, {})
        axes = range(len(parameters))
        valid = np.ones([1] * len(parameters), np.bool_)
        for table in tables[: len(members)]:
            valid = valid & (table.over(axes) != 0)
        for expression, table in zip(own, tables[len(members) :], strict=True):
            possible = np.where(valid, table.over(axes), -np.inf).max()
            values[id(expression)] = min(values[id(expression)], float(possible))
    return [values[id(e)] if isinstance(e, Expression) else float(e) for e in expressions]


def _tied(expression: Expression, rules: Sequence[Rule]) -> tuple[list[Any], list[Rule]]:
    """The parameters of an expression and of conditions over them, as long as few combinations can be listed."""
    parameters: dict[int, Any] = {id(p): p for p in leaves([expression])}
    members: list[Rule] = []
    if _combinations(parameters):
        for rule in rules:
            own = {id(p): p for p in rule.parameters}
            if own.keys() & parameters.keys() and _combinations(parameters | own):
                parameters |= own
                members.append(rule)
    return list(parameters.values()), members


def _combinations(parameters: dict[int, Any]) -> bool:
    """Whether the combinations of some parameters' levels can be listed."""
    return 1 <= math.prod(len(p.levels) for p in parameters.values()) <= MAX_COMBINATIONS
