"""Arithmetic with units, as ``${...}`` in target files allows it: ``pe * pe``, ``wmem / 2``, ``4 KiB + 64 * pe``.

An expression is built from names, numbers that may have a unit, words, ``+ - * / // %``, parentheses and the functions
of `FUNCTIONS`. It is parsed and walked, never evaluated as Python; its length is bounded. Units are checked: bytes may
be added to bytes and multiplied by numbers, not by bytes.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hannah_hw.errors import TargetError
from hannah_hw.quantities import UNITS, parse_quantity
from hannah_hw.targets.fields import reported

#: Longest expression; the grammar nests, so this also bounds the recursion.
_LONGEST: Final = 200
#: Results beyond this are mistakes.
_LARGEST: Final = 2**62

#: Unit -> its dimension. Ratios are plain numbers.
_DIMENSIONS: Final[Mapping[str, str]] = {
    unit: dimension for dimension, units in UNITS.items() if dimension != "ratio" for unit in units if unit
}
_NUMBER: Final = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_UNIT: Final = "|".join(sorted(map(re.escape, _DIMENSIONS), key=len, reverse=True))
_QUANTITY: Final = re.compile(rf"\s*[-+]?{_NUMBER}\s*({_UNIT}|%)?\s*")
#: A number with a unit inside of an expression. A ``%`` that an operand follows is the operator.
_INSIDE: Final = re.compile(rf"(?<![\w.])({_NUMBER}\s*(?:(?:{_UNIT})(?!\w)|%(?!\s*[\w.(])))")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

#: Function -> what it does to numbers of one dimension.
FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {"min": min, "max": max}
_OF_ONE: Final[Mapping[str, Callable[[float], float]]] = {"ceil": math.ceil, "floor": math.floor}
_OF_COUNT: Final[Mapping[str, Callable[[float], float]]] = {"log2": math.log2, "sqrt": math.sqrt}
_SAME: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mod: operator.mod,
}
_RATIO: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_CALLED: Final = (*FUNCTIONS, *_OF_ONE, *_OF_COUNT)
_GRAMMAR: Final = (
    "names of params",
    "numbers with or without a unit",
    "+ - * / // %",
    "( )",
    *(f"{name}()" for name in _CALLED),
)


@dataclass(frozen=True)
class Amount:
    """A number with a dimension, or a word.

    Attributes:
        value: In the base unit of its dimension.
        dimension: A key of `hannah_hw.quantities.UNITS`; ``word`` of a word.
    """

    value: float | str
    dimension: str = "count"

    def __str__(self) -> str:
        """As people write it: ``64 KiB``."""
        if isinstance(self.value, str) or self.dimension == "count":
            return str(self.value)
        fits = [
            (factor, unit)
            for unit, factor in UNITS[self.dimension].items()
            if (self.value / factor).is_integer() or factor == 1.0
        ]
        factor, unit = max(fits) if self.value else (1.0, next(iter(UNITS[self.dimension])))
        return f"{_whole(self.value / factor)} {unit}"

    @property
    def written(self) -> float | str:
        """What stands in the resolved file for it: a number, a word, or text with the base unit."""
        if self.dimension in ("count", "word"):
            return self.value
        return f"{self.value} {next(iter(UNITS[self.dimension]))}"


def amount(given: object) -> Amount:
    """What a file gives: a number, a number with a unit, or a word.

    Raises:
        TargetError: It is none of them.
    """
    if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
        return Amount(_whole(given))
    if isinstance(given, str):
        match = _QUANTITY.fullmatch(given)
        if match is not None:
            return _quantity(given, match[1])
        if _WORD.fullmatch(given):
            return Amount(given, "word")
    raise TargetError(
        f"{given!r} is no number, quantity or word", allowed=("8", "64 KiB", "200 MHz", "weight_stationary")
    )


def _quantity(text: str, unit: str | None) -> Amount:
    dimension = _DIMENSIONS.get(unit or "", "count")
    value = parse_quantity(text, "ratio" if unit == "%" else dimension)
    return Amount(_whole(value), dimension)


def _whole(value: float) -> float:
    """Whole numbers as ``int``, so that sizes and counts are written without a point."""
    return int(value) if float(value).is_integer() and abs(value) < _LARGEST else value


def compute(text: str, names: Mapping[str, Amount]) -> tuple[Amount, frozenset[str]]:
    """The value of an expression, and the names that it reads.

    Raises:
        TargetError: Not in the grammar, an unknown name, units that do not fit, or no finite value.
    """
    if len(text) > _LONGEST:
        raise TargetError(f"an expression is longer than {_LONGEST} characters")
    reader = _Reader(text, names)
    result = reader.value(reader.tree())
    if isinstance(result.value, int | float) and not abs(result.value) < _LARGEST:
        raise TargetError(f"{text.strip()!r} has no finite value")
    return result, frozenset(reader.read)


@functools.lru_cache(maxsize=1024)
def _tree(text: str) -> ast.expr:
    """The parsed text. Quantities in it become texts, which Python's parser knows."""
    return ast.parse(_INSIDE.sub(lambda match: f"({match[1]!r})", text), mode="eval").body


class _Reader:
    def __init__(self, text: str, names: Mapping[str, Amount]) -> None:
        self.text = text.strip()
        self.names = names
        self.read: set[str] = set()

    def tree(self) -> ast.expr:
        try:
            return _tree(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
            raise self.wrong("is no expression") from failure

    def wrong(self, what: str) -> TargetError:
        return TargetError(f"{self.text!r} {what}", allowed=_GRAMMAR)

    def value(self, node: ast.expr) -> Amount:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float, str):
            return amount(node.value)
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self.value(node.operand)
            return Amount(-self._number(inner), inner.dimension)
        if isinstance(node, ast.BinOp):
            return self._pair(node.op, self.value(node.left), self.value(node.right))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._called(node.func.id, node.args)
        raise self.wrong(f"has a part that is not allowed ({type(node).__name__})")

    def _named(self, name: str) -> Amount:
        if name not in self.names:
            raise TargetError(
                f"{self.text!r} reads {name!r}, which is no param of this target; add it to 'params'",
                allowed=self.names,
                given=name,
            )
        self.read.add(name)
        return self.names[name]

    def _number(self, given: Amount) -> float:
        if isinstance(given.value, str):
            raise self.wrong(f"computes with the word {given.value!r}")
        return given.value

    def _pair(self, kind: ast.operator, left: Amount, right: Amount) -> Amount:
        a, b = self._number(left), self._number(right)
        dimensions = {left.dimension, right.dimension}
        try:
            if type(kind) in _SAME and len(dimensions) == 1:
                return Amount(_whole(_SAME[type(kind)](a, b)), left.dimension)
            if isinstance(kind, ast.Mult) and "count" in dimensions:
                other = right.dimension if left.dimension == "count" else left.dimension
                return Amount(_whole(a * b), other)
            if type(kind) in _RATIO and right.dimension == "count":
                return Amount(_whole(_RATIO[type(kind)](a, b)), left.dimension)
            if type(kind) in _RATIO and len(dimensions) == 1:
                return Amount(_whole(_RATIO[type(kind)](a, b)))
        except (ZeroDivisionError, OverflowError) as failure:
            raise self.wrong(f"has no value: {failure}") from failure
        if type(kind) in _SAME or type(kind) in _RATIO or isinstance(kind, ast.Mult):
            raise self.wrong(f"combines {left.dimension} and {right.dimension}")
        raise self.wrong(f"has an operator that is not allowed ({type(kind).__name__})")

    def _called(self, name: str, parts: list[ast.expr]) -> Amount:
        if name not in _CALLED:
            raise self.wrong(f"calls the unknown function {name}()")
        given = [self.value(part) for part in parts]
        numbers = [self._number(part) for part in given]
        dimensions = {part.dimension for part in given}
        try:
            if name in FUNCTIONS and len(given) > 1 and len(dimensions) == 1:
                return Amount(_whole(FUNCTIONS[name](*numbers)), given[0].dimension)
            if name in _OF_ONE and len(given) == 1:
                return Amount(_OF_ONE[name](numbers[0]), given[0].dimension)
            if name in _OF_COUNT and len(given) == 1 and dimensions == {"count"}:
                return Amount(_whole(_OF_COUNT[name](numbers[0])))
        except (ValueError, OverflowError) as failure:
            raise self.wrong(f"has no value: {failure}") from failure
        raise self.wrong(f"calls {name}() of {', '.join(part.dimension for part in given) or 'nothing'}")


def parsed(given: object) -> Amount:
    """`amount` with an error that pydantic reports with the field.

    Raises:
        ValueError: See `amount`.
    """
    with reported():
        return amount(given)
