"""Alternatives in a graph: exactly one option of a `ChoiceOp` is part of a candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, Floor, Scalar, Select
from hannah_hw.expressions.operations import is_whole
from hannah_hw.graph.node import Node, Shape
from hannah_hw.graph.op import Op
from hannah_hw.parameters import IntScalarParameter, Parameter


class ChoiceOp(Op):
    """One of several options.

    Args:
        options: Operators, functions that take the inputs and return a node (use `functools.partial` for their
            other arguments), or nodes of the graph.
        switch: Position of the chosen option, a parameter or any expression; by default a new parameter
            ``choice``.
    """

    def __init__(self, *options: Node | Callable[..., Node], switch: Scalar | None = None) -> None:
        super().__init__()
        if not options:
            raise SpaceError("a ChoiceOp needs at least one option")
        self._options = options
        self.switch: Any = (
            IntScalarParameter(min=0, max=len(options) - 1, name="choice") if switch is None else switch
        )
        self._own_switch = switch is None
        if isinstance(self.switch, Parameter):
            wrong = [level for level in self.switch.levels if level not in range(len(options))]
            if wrong or not self.switch.levels:
                raise SpaceError(
                    f"the switch of a ChoiceOp with {len(options)} options must count them from 0, but the parameter "
                    f"{self.switch.name!r} can be {wrong[0]!r}"
                    if wrong
                    else f"the switch of a ChoiceOp must be a whole number, but {self.switch.name!r} is continuous"
                )

    def __call__(self, *operands: Node) -> Any:
        """Build all options on the operands; the result's operands are the options.

        Raises:
            SpaceError: An option that is no node, or options of different numbers of dimensions.
        """
        built = [self._build(option, operands) for option in self._options]
        result = super().__call__(*built)
        result.shape()
        return result

    def _connect(self, operands: tuple[Node, ...]) -> None:
        if self._own_switch:
            self.switch = self.switch.new()
        super()._connect(operands)

    @staticmethod
    def _build(option: Node | Callable[..., Node], operands: tuple[Node, ...]) -> Node:
        if isinstance(option, Node) and option.id:
            return option
        if not callable(option):
            raise SpaceError(
                f"the option {option!r} of a ChoiceOp is neither a node nor a function that returns one"
            )
        node = option(*operands)
        if not isinstance(node, Node):
            raise SpaceError(f"the option {option!r} of a ChoiceOp returned {node!r}, not a node")
        return node

    def is_weight(self, position: int, operand: Node) -> bool:
        """An option is data, even if it is a trained tensor."""
        return False

    def chosen(self, evaluate: Callable[[Any], Any]) -> Node:
        """The option that an assignment chooses.

        Raises:
            SpaceError: The switch points at no option.
        """
        index = evaluate(self.switch)
        if index not in range(len(self.operands)):
            raise SpaceError(f"the switch of {self.id} is {index}, but it has {len(self.operands)} options")
        return self.operands[int(index)]

    def condition(self, index: int) -> Scalar:
        """Whether an option is the chosen one."""
        if isinstance(self.switch, Expression):
            return self.switch == index
        return int(self.switch) == index

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The switch points at an option; a parameter was checked when the choice was made."""
        if isinstance(self.switch, Parameter):
            return []
        text = f"the switch {self.switch} points at none of {len(self.operands)} options"
        points = [(self.switch >= 0, text), (self.switch < len(self.operands), text)]
        return points if is_whole(self.switch) else [*points, (Floor(self.switch) == self.switch, text)]

    def shape_fun(self) -> Shape:
        """The shape of the chosen option, dimension by dimension."""
        shapes = [option.shape() for option in self.operands]
        if len({len(shape) for shape in shapes}) != 1:
            listing = ", ".join(f"{o.id}: {len(s)}" for o, s in zip(self.operands, shapes, strict=True))
            raise SpaceError(f"the options of {self.id} have different numbers of dimensions ({listing})")
        return tuple(Select(self.switch, *dims) for dims in zip(*shapes, strict=True))


def dynamic_depth(*exits: Node, switch: Scalar | None = None) -> Any:
    """A network that ends at one of several nodes: nodes after the chosen exit are not part of a candidate."""
    return ChoiceOp(*exits, switch=switch)()
