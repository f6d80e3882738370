"""Which kernels a target can run: conditions over kernel columns, compiled to NumPy.

A condition is a comparison of whole numbers and columns of `hannah_hw.workload.KERNEL_COLUMNS`, for example
``kernel_h <= 9``, ``stride_h in [1, 2]``, ``groups == 1 or groups == in_channels == out_channels`` or
``in_channels % 4 == 0``. Allowed are the comparisons (also chained), ``in`` and ``not in`` with a list,
``and``, ``or``, ``not``, parentheses, and ``+ - * // %``; a divisor below 1 counts as 1. Text is parsed, never
evaluated as Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import TargetError
from hannah_hw.workload.table import KERNEL_COLUMNS

_Value = Any  # an int or an int64 / bool array; NumPy broadcasts
_Program = Callable[[Mapping[str, NDArray[np.int64]]], _Value]

_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[_Value, _Value], _Value]]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[_Value, _Value], _Value]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
}
#: Longest condition; the grammar nests, so this also bounds the recursion.
_MAX_LENGTH: Final = 500


@dataclass(frozen=True)
class Predicate:
    """One compiled condition.

    Attributes:
        text: As written.
        names: Columns it reads.
    """

    text: str
    names: tuple[str, ...]
    _program: _Program

    @classmethod
    def parse(cls, text: str) -> Predicate:
        """Compile a condition.

        Raises:
            TargetError: Not in the grammar, or an unknown column.
        """
        if len(text) > _MAX_LENGTH:
            raise TargetError(f"a condition is longer than {_MAX_LENGTH} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
            raise TargetError(f"{text!r} is not a condition: {failure}") from failure
        names: set[str] = set()
        program = _condition(tree, text, names)
        if not names:
            raise TargetError(f"the condition {text!r} speaks of no column", allowed=KERNEL_COLUMNS)
        return cls(text, tuple(sorted(names)), program)

    def __call__(self, columns: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Whether it holds, in the shape of the columns."""
        result: NDArray[np.bool_] = self._program(columns)
        return result


def _reject(node: ast.AST, text: str, what: str) -> TargetError:
    part = ast.get_source_segment(text.strip(), node) if isinstance(node, ast.expr) else None
    return TargetError(
        f"in the condition {text!r}, {part or type(node).__name__!r} is not {what}",
        allowed=("comparisons", "in [...]", "and", "or", "not", "+ - * // %", "columns", "whole numbers"),
    )


def _condition(node: ast.expr, text: str, names: set[str]) -> _Program:
    if isinstance(node, ast.BoolOp):
        parts = [_condition(value, text, names) for value in node.values]
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return lambda columns: _fold(join, [part(columns) for part in parts])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _condition(node.operand, text, names)
        return lambda columns: np.logical_not(inner(columns))
    if isinstance(node, ast.Compare):
        left = node.left
        links = []
        for operator, right in zip(node.ops, node.comparators, strict=True):
            links.append(_link(left, operator, right, text, names))
            left = right
        return lambda columns: _fold(np.logical_and, [link(columns) for link in links])
    raise _reject(node, text, "a comparison")


def _fold(join: Callable[[_Value, _Value], _Value], values: Sequence[_Value]) -> _Value:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _link(left: ast.expr, operator: ast.cmpop, right: ast.expr, text: str, names: set[str]) -> _Program:
    first = _number(left, text, names)
    if isinstance(operator, ast.In | ast.NotIn):
        if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
            raise _reject(right, text, "a list of values")
        members = [_number(item, text, names) for item in right.elts]

        def member(columns: Mapping[str, NDArray[np.int64]]) -> _Value:
            value = first(columns)
            found = _fold(np.logical_or, [np.equal(value, item(columns)) for item in members])
            return np.logical_not(found) if isinstance(operator, ast.NotIn) else found

        return member
    compare = _COMPARE.get(type(operator))
    if compare is None:
        raise _reject(operator, text, "a comparison")
    second = _number(right, text, names)
    return lambda columns: compare(first(columns), second(columns))


def _number(node: ast.expr, text: str, names: set[str]) -> _Program:
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 2**31:
        constant = node.value
        return lambda _columns: constant
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand, text, names)
        return lambda columns: np.negative(inner(columns))
    if isinstance(node, ast.Name):
        if node.id not in KERNEL_COLUMNS:
            raise TargetError(
                f"the condition {text!r} reads the unknown column {node.id!r}",
                allowed=KERNEL_COLUMNS,
                given=node.id,
            )
        name = node.id
        names.add(name)
        return lambda columns: columns[name]
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        operate = _ARITHMETIC[type(node.op)]
        left, right = _number(node.left, text, names), _number(node.right, text, names)
        if isinstance(node.op, ast.FloorDiv | ast.Mod):
            return lambda columns: operate(left(columns), np.maximum(right(columns), 1))
        return lambda columns: operate(left(columns), right(columns))
    raise _reject(node, text, "a whole number or a column")


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
        for conditions in self._by_kind[kind]:
            index: NDArray[np.int16] | None = None
            for number, predicate in conditions:
                holds = predicate(columns)
                if holds.all():
                    continue
                if index is None:
                    index = np.where(holds, np.int16(-1), np.int16(number))
                else:
                    index[~holds & (index < 0)] = number
            if index is None:
                return None
            failed = index if failed is None else np.where(index < 0, np.int16(-1), failed)
        return failed

    def covers(self, kind: str) -> bool:
        """Whether there is a rule for a kernel kind."""
        return kind in self._by_kind


def compile_legality(rules: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> Legality:
    """Compile the rules of a target.

    Args:
        rules: Kernel kinds and the conditions that must all hold, one pair per rule. Several rules for one
            kind are alternatives; the first one's failed condition is reported.

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
