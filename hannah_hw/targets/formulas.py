"""The formulas that target files may contain: text over named numbers, compiled to NumPy.

A *condition* says which kernels an operator rule allows, see `hannah_hw.targets.legality`; a *formula* says what a
layer costs, for example ``ceil(out_channels / pe) * kernel_w * out_w``. Both are built from ``+ - * // %``,
comparisons (also chained), ``in`` and ``not in`` with a list, ``and``, ``or``, ``not`` and parentheses. A formula may
also divide, use decimal fractions and call ``min``, ``max`` (of two or more), ``ceil``, ``floor``, ``log2`` and
``where(condition, value, otherwise)``. A divisor of ``//`` or ``%`` below 1 counts as 1.

Text is parsed and compiled, never evaluated as Python; its length is bounded, and with it the depth of recursion.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import TargetError

Value = Any  # a number or an array of numbers or truth values; NumPy broadcasts
Program = Callable[[Mapping[str, Value]], Value]

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Value, Value], Value]]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Value, Value], Value]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
}
#: Functions of one number.
_OF_ONE: Final[Mapping[str, Callable[[Value], Value]]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "log2": np.log2,
}
#: Functions of two or more numbers.
_OF_SEVERAL: Final[Mapping[str, Callable[[Value, Value], Value]]] = {"min": np.minimum, "max": np.maximum}

#: Longest text; the grammar nests, so this also bounds the recursion.
_LONGEST: Final = 500

#: Names that a formula cannot give to something of its own.
FUNCTIONS: Final = (*_OF_ONE, *_OF_SEVERAL, "where")


@dataclass
class Grammar:
    """What a text may contain.

    Attributes:
        text: The text.
        noun: What it is called in messages.
        allowed: Names it may read; None: any.
        real: Whether it may divide, use fractions and call functions.
        names: Names it reads, filled while compiling.
    """

    text: str
    noun: str
    allowed: Collection[str] | None
    real: bool = False
    names: set[str] = field(default_factory=set)

    def tree(self) -> ast.expr:
        """The parsed text.

        Raises:
            TargetError: It is too long, or no expression.
        """
        if len(self.text) > _LONGEST:
            raise TargetError(f"a {self.noun} is longer than {_LONGEST} characters")
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
            raise TargetError(f"{self.text!r} is not a {self.noun}: {failure}") from failure

    def rejected(self, node: ast.AST, what: str) -> TargetError:
        """The error of a part that is not in the grammar."""
        part = ast.get_source_segment(self.text.strip(), node) if isinstance(node, ast.expr) else None
        words = ["comparisons", "in [...]", "and", "or", "not", "+ - * // %", "columns", "whole numbers"]
        if self.real:
            words = [*words[:5], "+ - * / // %", *(f"{name}()" for name in FUNCTIONS), "names", "numbers"]
        return TargetError(
            f"in the {self.noun} {self.text!r}, {part or type(node).__name__!r} is not {what}", allowed=words
        )

    def condition(self, node: ast.expr) -> Program:
        """Compile what is true or false."""
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return lambda values: _fold(join, [part(values) for part in parts])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand)
            return lambda values: np.logical_not(inner(values))
        if isinstance(node, ast.Compare):
            left = node.left
            links = []
            for operator, right in zip(node.ops, node.comparators, strict=True):
                links.append(self._link(left, operator, right))
                left = right
            return lambda values: _fold(np.logical_and, [link(values) for link in links])
        raise self.rejected(node, "a comparison")

    def _link(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Program:
        first = self.number(left)
        if isinstance(operator, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
                raise self.rejected(right, "a list of values")
            members = [self.number(item) for item in right.elts]

            def member(values: Mapping[str, Value]) -> Value:
                value = first(values)
                found = _fold(np.logical_or, [np.equal(value, item(values)) for item in members])
                return np.logical_not(found) if isinstance(operator, ast.NotIn) else found

            return member
        compare = _COMPARE.get(type(operator))
        if compare is None:
            raise self.rejected(operator, "a comparison")
        second = self.number(right)
        return lambda values: compare(first(values), second(values))

    def number(self, node: ast.expr) -> Program:
        """Compile what is a number."""
        if isinstance(node, ast.Constant) and self._is_number(node.value):
            constant = node.value
            return lambda _values: constant
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self.number(node.operand)
            return lambda values: np.negative(inner(values))
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node)
        if self.real and isinstance(node, ast.Call):
            return self._call(node)
        raise self.rejected(node, "a number or a name" if self.real else "a whole number or a column")

    def _is_number(self, value: object) -> bool:
        if type(value) is float:
            return self.real and bool(np.isfinite(value))
        return type(value) is int and abs(value) < 2**31

    def _name(self, name: str) -> Program:
        if self.allowed is not None and name not in self.allowed:
            raise TargetError(
                f"the {self.noun} {self.text!r} reads the unknown {'name' if self.real else 'column'} {name!r}",
                allowed=self.allowed,
                given=name,
            )
        self.names.add(name)
        return lambda values: values[name]

    def _arithmetic(self, node: ast.BinOp) -> Program:
        operate = _ARITHMETIC.get(type(node.op))
        if self.real and isinstance(node.op, ast.Div):
            operate = np.true_divide
        if operate is None:
            raise self.rejected(node, "a number or a name" if self.real else "a whole number or a column")
        left, right = self.number(node.left), self.number(node.right)
        if isinstance(node.op, ast.FloorDiv | ast.Mod):
            return lambda values: operate(left(values), np.maximum(right(values), 1))
        return lambda values: operate(left(values), right(values))

    def _call(self, node: ast.Call) -> Program:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS or node.keywords:
            raise self.rejected(node, "a function call that is known")
        count = len(node.args)
        if name in _OF_ONE and count == 1:
            inner, function = self.number(node.args[0]), _OF_ONE[name]
            return lambda values: function(inner(values))
        if name in _OF_SEVERAL and count >= 2:
            parts, join = [self.number(part) for part in node.args], _OF_SEVERAL[name]
            return lambda values: _fold(join, [part(values) for part in parts])
        if name == "where" and count == 3:
            choose = self.condition(node.args[0])
            yes, no = self.number(node.args[1]), self.number(node.args[2])
            return lambda values: np.where(choose(values), yes(values), no(values))
        wanted = {"where": "three arguments"}.get(name, "one" if name in _OF_ONE else "two or more arguments")
        raise self.rejected(node, f"right, as {name}() takes {wanted}")


def _fold(join: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


@dataclass(frozen=True)
class Formula:
    """One compiled formula.

    Attributes:
        text: As written.
        names: Names that it reads, sorted.
    """

    text: str
    names: tuple[str, ...]
    _program: Program

    @classmethod
    def parse(cls, text: str, allowed: Collection[str] | None = None) -> Formula:
        """Compile a formula.

        Args:
            text: The formula.
            allowed: Names that it may read; None: any.

        Raises:
            TargetError: Not in the grammar, or an unknown name.
        """
        grammar = Grammar(text, "formula", allowed, real=True)
        program = grammar.number(grammar.tree())
        return cls(text, tuple(sorted(grammar.names)), program)

    def __call__(self, values: Mapping[str, Value]) -> NDArray[np.float64]:
        """Its value, in the shape that the values broadcast to.

        It is computed in double precision, in which whole numbers up to 2^53 are exact. What has no value, such as a
        quotient by zero, is NaN or infinite.

        Args:
            values: Name -> number or array, for each of `names`.
        """
        numbers = {name: np.asarray(values[name], np.float64) for name in self.names}
        with np.errstate(all="ignore"):
            return np.asarray(self._program(numbers), np.float64)
