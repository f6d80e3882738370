"""Parameters that do nothing but switch choices: those whose options can be mixed instead of chosen."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, Program, leaves
from hannah_hw.expressions.partial import dependencies, substitute
from hannah_hw.graph import ChoiceOp
from hannah_hw.graph.node import flat_values
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.space import SearchSpace

#: Largest number of combinations of levels that one switch may depend on.
MAX_COMBINATIONS: Final = 1 << 16


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
        SpaceError: One of the parameters does not only switch choices, or a switch depends on more than 65,536
            combinations of their levels.
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
    choices = [node for node in space.order if isinstance(node, ChoiceOp)]
    fixed = {name: value for name, value in values.items() if name not in mixed}
    rest = substitute([choice.switch for choice in choices], fixed)
    found: dict[str, Switch] = {}
    tables: dict[int, Switch] = {}
    for choice, switch in zip(choices, rest, strict=True):
        if not isinstance(switch, Expression):
            continue
        if id(switch) not in tables:
            tables[id(switch)] = _tabulated(space, switch, choice)
        if (tables[id(switch)].options != tables[id(switch)].options.flat[0]).any():
            found[choice.id] = tables[id(switch)]
    return found


def _tabulated(space: SearchSpace, switch: Expression, choice: ChoiceOp) -> Switch:
    names = [p.id for p in leaves([switch]) if isinstance(p, Parameter)]
    parameters = [space.parameters[name] for name in names]
    sizes = [len(p.levels) for p in parameters]
    if math.prod(sizes) > MAX_COMBINATIONS:
        raise SpaceError(
            f"the switch of {choice.id} depends on {math.prod(sizes)} combinations of {', '.join(names)}; "
            f"at most {MAX_COMBINATIONS} can be mixed: fix some of them"
        )
    values: Any = Program([switch]).run(combinations(parameters))[0]
    positions = np.asarray(values)
    count = len(choice.operands)
    points = (positions >= 0) & (positions < count) & (np.floor(positions) == positions)
    return Switch(tuple(names), np.where(points, positions, -1).astype(np.int64).reshape(sizes))


def combinations(parameters: Sequence[Parameter]) -> dict[str, NDArray[Any]]:
    """All combinations of levels, the last parameter's level changing first.

    Returns:
        Parameter id -> (product of the numbers of levels,) values, as `hannah_hw.expressions.Program` takes them.
    """
    sizes = [len(p.levels) for p in parameters]
    grid = np.indices(sizes).reshape(len(sizes), -1)
    return {
        p.id: np.asarray(p.levels)[levels] if p.numeric else levels
        for p, levels in zip(parameters, grid, strict=True)
    }
