"""Parameters that do nothing but switch choices: those whose options can be mixed instead of chosen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, leaves
from hannah_hw.expressions.dependence import dependencies, tabulate
from hannah_hw.graph import ChoiceOp
from hannah_hw.graph.node import flat_values
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.space import SearchSpace


@dataclass(frozen=True)
class Switch:
    """What a choice's switch does.

    Attributes:
        parameters: Ids of the m parameters that it depends on.
        options: One dimension a parameter: the position of the option that the levels point at, or -1 where
            they point at none, so that there is no such network.
    """

    parameters: tuple[str, ...]
    options: NDArray[np.int64]

    @property
    def positions(self) -> list[int]:
        """The options that some levels point at, ascending."""
        return [int(position) for position in np.unique(self.options) if position >= 0]


def completed_values(space: SearchSpace, assignment: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all parameters of a space, active or not.

    Args:
        space: The space.
        assignment: Parameter id -> value. The others have their default, or values near that where conditions of the
            space do not allow it together with what is named.

    Raises:
        SpaceError: An unknown parameter, a value that it cannot have, or values that violate conditions.
    """
    encoding = space.encoding
    given = encoding.all_values(encoding.positions([assignment])[0])
    values = encoding.all_values(encoding.encode([assignment])[0])
    return {**values, **{name: given[name] for name in assignment}}


def switching_parameters(space: SearchSpace) -> list[str]:
    """Ids of the parameters of several levels that nothing but the switches of choices depends on.

    Shapes do not count: options that are mixed must have one shape, which is checked where they are.
    """
    attributes: list[Expression] = []
    shapes: set[int] = set()
    switched: dict[str, None] = {}
    for node in space.order:
        if isinstance(node, ChoiceOp):
            shapes.update(id(size) for size in node.shape() if isinstance(size, Expression))
            switched.update((p.id, None) for p in leaves([node.switch]) if isinstance(p, Parameter))
        else:
            attributes += [v for v in flat_values(node.expressions()) if isinstance(v, Expression)]
    others = frozenset[str]().union(*dependencies(attributes, headless=shapes))
    return [name for name in switched if name not in others and len(space.parameters[name].levels) > 1]


def find_switches(space: SearchSpace, values: Mapping[str, Any], mixed: Collection[str]) -> dict[str, Switch]:
    """The choices whose options depend on some parameters.

    Args:
        space: The space.
        values: Parameter id -> value of all others.
        mixed: Ids of the parameters; see `switching_parameters`.

    Returns:
        Id of the choice -> its switch.

    Raises:
        SpaceError: One of the parameters does not only switch choices, or a switch points at no option whatever
            their levels, or it depends on more than 262,144 combinations of them.
    """
    possible = switching_parameters(space)
    for name in mixed:
        if name not in space.parameters:
            raise SpaceError(f"there is no parameter {name!r}", allowed=possible, given=name)
        if name not in possible:
            raise SpaceError(
                f"the parameter {name} does not only switch choices, so their options cannot be mixed",
                allowed=possible,
            )
    varying = [space.parameters[name] for name in mixed]
    choices = [node for node in space.order if isinstance(node, ChoiceOp)]
    tables = tabulate([choice.switch for choice in choices], varying, values)
    known: dict[tuple[int, int], Switch] = {}
    found: dict[str, Switch] = {}
    for choice, (axes, positions) in zip(choices, tables, strict=True):
        if axes:
            count = len(choice.operands)
            key = id(positions), count
            if key not in known:
                points = (positions >= 0) & (positions < count) & (np.floor(positions) == positions)
                if not points.any():
                    raise SpaceError(f"the switch of {choice.id} points at none of its {count} options")
                options = np.where(points, positions, -1).astype(np.int64)
                known[key] = Switch(tuple(varying[axis].id for axis in axes), options)
            found[choice.id] = known[key]
    return found
