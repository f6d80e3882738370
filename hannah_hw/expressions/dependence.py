"""What expressions depend on: the parameters in them, or the values that they have for the levels of some."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions.nodes import Expression, Operation, Scalar, topological
from hannah_hw.expressions.operations import OPERATIONS

#: Largest number of combinations of levels that an expression may depend on.
MAX_COMBINATIONS: Final = 1 << 18


def dependencies(expressions: Sequence[Scalar], *, headless: Collection[int] = ()) -> list[frozenset[str]]:
    """The ids of the parameters in each of some expressions.

    Args:
        expressions: Expressions and plain numbers, which depend on nothing.
        headless: Identities of ``Select`` operations of which only the values count, not what chooses one.
    """
    nodes = topological(expressions)
    names = [_id(node) for node in nodes if not isinstance(node, Operation)]
    bit = {name: 1 << position for position, name in enumerate(names)}
    masks: dict[int, int] = {}
    for node in nodes:
        if isinstance(node, Operation):
            mask = 0
            for operand in node.operands[1:] if id(node) in headless else node.operands:
                if isinstance(operand, Expression):
                    mask |= masks[id(operand)]
            masks[id(node)] = mask
        else:
            masks[id(node)] = bit[_id(node)]
    found = {mask: frozenset(n for n in names if bit[n] & mask) for mask in set(masks.values())}
    return [found[masks[id(e)]] if isinstance(e, Expression) else frozenset() for e in expressions]


class Table(NamedTuple):
    """The values of an expression.

    Attributes:
        axes: Positions of the parameters that the value depends on, ascending.
        values: One dimension for each of them, which runs over the levels.
    """

    axes: tuple[int, ...]
    values: NDArray[Any]

    def over(self, axes: Sequence[int]) -> NDArray[Any]:
        """The values with one dimension for each of some axes, of size 1 where they do not depend on it."""
        sizes = iter(self.values.shape)
        return self.values.reshape([next(sizes) if axis in self.axes else 1 for axis in axes])


def tabulate(
    expressions: Sequence[Scalar], parameters: Sequence[Any], fixed: Mapping[str, Any]
) -> list[Table]:
    """The values of expressions for all levels of some parameters, while all others have one value.

    A table has only the axes that make a difference: ``(a == 0) | (a != 0)`` has none. So what depends on few
    parameters has a small table even where its expression has many in it.

    Args:
        expressions: Expressions and plain numbers.
        parameters: The parameters that vary, each with levels.
        fixed: Parameter id -> value of the others; those it does not name have their default.

    Returns:
        A table for each expression. A value that is undefined is arbitrary.

    Raises:
        SpaceError: Something depends on more than 262,144 combinations of levels.
    """
    nodes = topological(expressions)
    axis = {p.id: position for position, p in enumerate(parameters)}
    sizes = [len(p.levels) for p in parameters]
    last = {id(o): i for i, node in enumerate(nodes) for o in node.operands}
    last.update((id(e), len(nodes)) for e in expressions)
    tables: dict[int, Table] = {}
    with np.errstate(all="ignore"):
        for index, node in enumerate(nodes):
            if isinstance(node, Operation):
                operands = [_table_of(o, tables) for o in node.operands]
                tables[id(node)] = _applied(node, operands, sizes, parameters)
                for operand in node.operands:
                    if last[id(operand)] == index:
                        tables.pop(id(operand), None)
            else:
                tables[id(node)] = _leaf(node, axis.get(_id(node)), parameters, fixed)
    return [_table_of(e, tables) for e in expressions]


def _id(parameter: Any) -> str:
    return str(parameter.id)


def _table_of(operand: Scalar, tables: Mapping[int, Table]) -> Table:
    return tables[id(operand)] if isinstance(operand, Expression) else Table((), np.asarray(operand))


def _leaf(parameter: Any, axis: int | None, varying: Sequence[Any], fixed: Mapping[str, Any]) -> Table:
    """A parameter; indices of levels where they are no numbers."""
    if axis is not None:
        own = varying[axis]
        return Table((axis,), np.array(own.levels if own.numeric else own.places))
    value = fixed.get(parameter.id, parameter.default)
    return Table((), np.asarray(value if parameter.numeric else parameter.levels.index(value)))


def _applied(
    node: Operation, operands: Sequence[Table], sizes: Sequence[int], parameters: Sequence[Any]
) -> Table:
    """An operation on tables."""
    axes = sorted({axis for table in operands for axis in table.axes})
    shape = [sizes[axis] for axis in axes]
    if math.prod(shape) > MAX_COMBINATIONS:
        raise SpaceError(
            f"{node} depends on {math.prod(shape)} combinations of levels, more than the {MAX_COMBINATIONS} that are "
            f"tabulated; fix some of the parameters {', '.join(parameters[axis].id for axis in axes)}"
        )
    arguments = [table.over(axes) for table in operands]
    if node.kind == "lookup":
        arguments.append(np.asarray(node.table))
    values = np.broadcast_to(np.asarray(OPERATIONS[node.kind].array(*arguments)), shape)
    kept: list[int] = []
    for axis in axes:
        first = values.take([0], len(kept))
        if (values == first).all():
            values = first.squeeze(len(kept))
        else:
            kept.append(axis)
    return Table(tuple(kept), values)
