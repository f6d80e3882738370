"""Evaluating expressions: one by one, or compiled for whole populations and for single candidates.

A `Program` is a list of NumPy calls in topological order. Each distinct node of all its outputs is computed
once for all candidates; an intermediate array is dropped after its last use. For a single candidate, where a
NumPy call takes a hundred times as long as the sum that it computes, the same list is a Python function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions.nodes import Expression, Operation, Scalar, topological
from hannah_hw.expressions.operations import OPERATIONS


def evaluate(value: Any, assignment: Mapping[str, Any]) -> Any:
    """The plain value of an expression; a plain value is its own.

    Args:
        value: An expression, a plain value, or a (nested) tuple, list or mapping of them.
        assignment: Parameter id -> value. Parameters it does not name take their default.

    Raises:
        SpaceError: The value is undefined.
    """
    return Evaluator(assignment)(value)


class Evaluator:
    """Evaluates many expressions under one assignment, each common sub-expression once.

    What an ``If`` or a ``Select`` does not take is not evaluated, so it may be undefined there.
    """

    def __init__(self, assignment: Mapping[str, Any]) -> None:
        self._assignment = assignment
        self._values: dict[int, Any] = {}
        # Nodes are kept alive as long as their identity is a key.
        self._keep: list[Expression] = []

    def __call__(self, value: Any) -> Any:
        """The plain value of an expression or of a (nested) tuple, list or mapping of them.

        Raises:
            SpaceError: The value is undefined: a division by zero, or a switch that points at nothing.
        """
        if isinstance(value, Expression):
            if id(value) not in self._values:
                self._compute(value)
            return self._values[id(value)]
        if isinstance(value, tuple | list):
            return type(value)([item if type(item) is int else self(item) for item in value])
        if isinstance(value, Mapping):
            return {key: self(item) for key, item in value.items()}
        return value

    def _compute(self, root: Expression) -> None:
        values = self._values
        self._keep.append(root)
        stack: list[Expression] = [root]
        while stack:
            node = stack[-1]
            operands = self._needed(node)
            missing = [o for o in operands if isinstance(o, Expression) and id(o) not in values]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if id(node) not in values:
                arguments = [values[id(o)] if isinstance(o, Expression) else o for o in operands]
                values[id(node)] = self._apply(node, arguments)

    def _needed(self, node: Expression) -> Sequence[Scalar]:
        """The operands that the value depends on, as far as is known: a choice's head, then what it takes."""
        operands = node.operands
        if not isinstance(node, Operation) or node.kind not in ("if", "select"):
            return operands
        head = operands[0]
        if isinstance(head, Expression):
            if id(head) not in self._values:
                return (head,)
            head = self._values[id(head)]
        if node.kind == "if":
            return (operands[1] if head else operands[2],)
        return (OPERATIONS["select"].scalar(head, *operands[1:]),)

    def _apply(self, node: Expression, arguments: list[Any]) -> Any:
        if not isinstance(node, Operation):
            parameter: Any = node
            return self._assignment.get(parameter.id, parameter.default)
        if node.kind in ("if", "select"):
            return arguments[0]
        if node.kind == "lookup":
            categories: Any = node.operands[0].categories  # type: ignore[union-attr]
            return node.table[categories.index(arguments[0])]
        try:
            return OPERATIONS[node.kind].scalar(*arguments)
        except (ArithmeticError, ValueError) as error:
            raise SpaceError(f"{node} has no value: {error} (operands {arguments})") from error


#: Populations of one that are computed with NumPy before the Python function is compiled, which takes as long
#: as some ten of them.
_PATIENCE: Final = 8


class Program:
    """Expressions compiled for populations.

    Args:
        outputs: Expressions and plain numbers.
    """

    def __init__(self, outputs: Sequence[Scalar]) -> None:
        nodes = topological(outputs)
        slot = self._slot = {id(node): index for index, node in enumerate(nodes)}
        #: The parameters that the outputs depend on.
        self.parameters: list[Any] = [node for node in nodes if not isinstance(node, Operation)]
        self._keep = nodes
        self._leaves = [(slot[id(node)], node) for node in self.parameters]
        self._outputs = [slot[id(o)] if isinstance(o, Expression) else None for o in outputs]
        self._constants = [None if isinstance(o, Expression) else o for o in outputs]
        last_use = {
            slot[id(o)]: s for s, n in enumerate(nodes) for o in n.operands if isinstance(o, Expression)
        }
        wanted = set(self._outputs)
        #: (function, operand slots or None, operand constants, result slot, slots to drop afterwards)
        self._steps: list[tuple[Any, list[int | None], list[Any], int, list[int]]] = []
        self._singles = 0
        drops: dict[int, list[int]] = {}
        for operand, user in last_use.items():
            if operand not in wanted:
                drops.setdefault(user, []).append(operand)
        for index, node in enumerate(nodes):
            if not isinstance(node, Operation):
                continue
            where = [slot[id(o)] if isinstance(o, Expression) else None for o in node.operands]
            constants: list[Any] = [None if isinstance(o, Expression) else o for o in node.operands]
            if node.kind == "lookup":
                where.append(None)
                constants.append(np.asarray(node.table))
            self._steps.append((OPERATIONS[node.kind].array, where, constants, index, drops.get(index, [])))

    def run(self, columns: Mapping[str, NDArray[Any]]) -> list[Any]:
        """The outputs for a population.

        Args:
            columns: Parameter id -> (P,) array of values; of level indices where the values are no numbers.

        Returns:
            One entry an output: a (P,) array, or a plain number where it depends on no parameter or P is 1.
        """
        if self._leaves and len(columns[self._leaves[0][1].id]) == 1:
            self._singles += 1
            if self._singles > _PATIENCE:
                return self.run_one({p.id: columns[p.id].item() for p in self.parameters})
        values: list[Any] = [None] * len(self._keep)
        for index, parameter in self._leaves:
            values[index] = columns[parameter.id]
        # What a candidate does not take may be undefined for it, such as a division by zero.
        with np.errstate(all="ignore"):
            for function, where, constants, result, drop in self._steps:
                values[result] = function(
                    *[c if w is None else values[w] for w, c in zip(where, constants, strict=True)]
                )
                for index in drop:
                    values[index] = None
        return [c if w is None else values[w] for w, c in zip(self._outputs, self._constants, strict=True)]

    def run_one(self, values: Mapping[str, Any]) -> list[Any]:
        """The outputs for one candidate.

        Args:
            values: Parameter id -> value; level index where the values are no numbers.

        Returns:
            One plain number an output; arbitrary, as with `run`, where the value is undefined.
        """
        try:
            return list(self._function([values[parameter.id] for parameter in self.parameters]))
        except (ArithmeticError, ValueError, LookupError, TypeError):
            # Something that the candidate does not take is undefined; NumPy goes on with any value.
            self._singles = 0
            columns = {p.id: np.array([values[p.id]]) for p in self.parameters}
            return [o.item() if isinstance(o, np.ndarray) else o for o in self.run(columns)]

    @functools.cached_property
    def _function(self) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
        """A Python function of the parameters' values, in their order: one assignment a node."""
        names: dict[str, Any] = {"inf": float("inf"), "nan": float("nan")}
        lines = ["def outputs(parameters):"]
        if self._leaves:
            lines.append(" " + "".join(f"v{index}, " for index, _ in self._leaves) + "= parameters")
        for index, node in enumerate(self._keep):
            if not isinstance(node, Operation):
                continue
            rule = OPERATIONS[node.kind]
            operands = [
                f"v{self._slot[id(o)]}" if isinstance(o, Expression) else _literal(o) for o in node.operands
            ]
            if node.kind == "lookup":
                names[f"t{index}"] = node.table
                operands.append(f"t{index}")
            if rule.source is None:
                names[node.kind] = rule.lenient or rule.scalar
                lines.append(f" v{index} = {node.kind}({', '.join(operands)})")
            else:
                lines.append(f" v{index} = {rule.source.format(*operands)}")
        results = [
            _literal(c) if w is None else f"v{w}" for w, c in zip(self._outputs, self._constants, strict=True)
        ]
        lines.append(f" return ({''.join(result + ', ' for result in results)})")
        # The source consists of the templates of OPERATIONS, numbers, and names made here.
        exec(compile("\n".join(lines), "<expressions>", "exec"), names)  # noqa: S102
        function: Callable[[Sequence[Any]], tuple[Any, ...]] = names["outputs"]
        return function


def _literal(number: Any) -> str:
    """A plain number as Python source, without the name of a NumPy type."""
    return repr(
        number if isinstance(number, bool) else int(number) if isinstance(number, int) else float(number)
    )
