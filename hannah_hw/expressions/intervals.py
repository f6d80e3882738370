"""Guaranteed bounds of expressions over all values of their parameters.

Interval arithmetic alone forgets that two operands depend on the same parameter: it finds ``k - k`` anywhere
between the ends. Two things keep what matters to shapes:

* A node's bounds are a table over the levels of a few parameters (its axes), so that what depends on kernel
  sizes, strides and switches is exact where the table has room for them all.
* A whole number is a linear form, ``sum of coefficient * term + table``. Terms are parameters and the results of
  operations that are not linear; equal operations on equal forms are one term, however they were written.
  A size that was halved in two branches in two ways is the same term in both, and the difference is 0.

The cost is linear in the number of nodes; no node is visited twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions.enclosures import ENCLOSURES, Range, add, choice, mod, times, widened
from hannah_hw.expressions.nodes import Expression, Operation, Scalar, topological
from hannah_hw.expressions.operations import CONDITIONS, is_whole

Array = NDArray[np.float64]
Terms = tuple[tuple[int, float], ...]

#: Largest number of cells of a table, and of levels of a parameter that may be one of its axes.
_CELLS: Final = 1 << 14
_LEVELS: Final = 256
#: Largest table that is handled as such; the values of a larger one are a term.
_SMALL: Final = 32

_ZERO: Final = np.zeros(())


def bounds(
    expressions: Sequence[Scalar], domains: Mapping[Any, tuple[float, float]] | None = None
) -> list[tuple[float, float]]:
    """The least and the greatest value that expressions can have, or values further out.

    Args:
        expressions: Expressions and plain numbers; a condition is 0 or 1.
        domains: Parameter -> (low, high): values outside are left out of account; level indices where the values
            are no numbers.

    Returns:
        (low, high) of each expression: integers where the expression is whole and the bound is finite. An
        expression that may be undefined, such as a division by zero, is unbounded.

    Raises:
        SpaceError: A domain holds no value of its parameter.
    """
    return Analysis(expressions, domains).results()


class Form(NamedTuple):
    """``sum of coefficient * term`` plus something between two tables.

    Attributes:
        terms: (number of the term, coefficient), ascending.
        axes: Numbers of the parameters that the tables depend on, ascending.
        low: Table with one dimension an axis.
        high: Table of the same shape.
    """

    terms: Terms
    axes: tuple[int, ...]
    low: Array
    high: Array

    @property
    def exact(self) -> bool:
        """Whether the tables are values rather than bounds; they are one object then."""
        return self.low is self.high

    @property
    def number(self) -> float | None:
        """The one value that it has, if it is finite and the same everywhere."""
        if self.terms or self.axes or not self.exact or not np.isfinite(self.low):
            return None
        return float(self.low)


class Analysis:
    """Linear forms of expressions; see the module.

    Args:
        expressions: Expressions and plain numbers.
        domains: See `bounds`.

    Raises:
        SpaceError: A domain holds no value of its parameter.
    """

    def __init__(
        self,
        expressions: Sequence[Scalar],
        domains: Mapping[Any, tuple[float, float]] | None = None,
    ) -> None:
        self._expressions = list(expressions)
        self._domains = {id(parameter): domain for parameter, domain in (domains or {}).items()}
        #: Number of levels of each axis.
        self._sizes: list[int] = []
        #: Bounds of each term, themselves without terms, and whether they are its values.
        self._terms: list[tuple[Form, bool]] = []
        self._known: dict[Any, int] = {}
        self._forms: dict[int, Form] = {}
        with np.errstate(all="ignore"):
            for node in topological(expressions):
                form = self._operation(node) if isinstance(node, Operation) else self._leaf(node)
                self._forms[id(node)] = form

    def results(self) -> list[tuple[float, float]]:
        """(low, high) of each expression."""
        return [self._result(expression) for expression in self._expressions]

    def _result(self, expression: Scalar) -> tuple[float, float]:
        if not isinstance(expression, Expression):
            return expression, expression
        with np.errstate(all="ignore"):
            form = self._expanded(self._forms[id(expression)])
        low, high = float(form.low.min()), float(form.high.max())
        if not expression.whole:
            return low, high
        return int(low) if np.isfinite(low) else low, int(high) if np.isfinite(high) else high

    def _leaf(self, parameter: Any) -> Form:
        low, high = self._domains.get(id(parameter), (-np.inf, np.inf))
        if parameter.levels:
            values = range(len(parameter.levels)) if parameter.categories is not None else parameter.levels
            levels = np.array(values, np.float64)
            levels = levels[(levels >= low) & (levels <= high)]
        else:
            levels = np.array([max(low, parameter.min), min(high, parameter.max)], np.float64)
            levels = levels if levels[0] <= levels[1] else levels[:0]
        if not len(levels):
            name = parameter.id or parameter.name
            raise SpaceError(f"the parameter {name} has no value from {low} to {high}")
        if len(levels) == 1 or not parameter.levels or len(levels) > _LEVELS:
            form = self._reduced((), (), levels.min(), levels.max())
        else:
            form = Form((), (len(self._sizes),), levels, levels)
            self._sizes.append(len(levels))
        return self._term(form, None) if parameter.whole and len(levels) > 1 else form

    def _operation(self, node: Operation) -> Form:
        kind, operands = node.kind, [self._operand(operand) for operand in node.operands]
        whole = all(map(is_whole, node.operands))
        if kind == "lookup":
            return self._lookup(operands[0], np.array(node.table, np.float64))
        if kind in ("add", "sub") and whole:
            return self._sum(operands[0], operands[1], 1.0 if kind == "add" else -1.0)
        if kind in ("floor", "ceil", "int") and whole:
            return operands[0]
        operands = [self._settled(form) for form in operands]
        if kind in ("if", "select"):
            return self._choice(node, operands)
        if kind in ("max", "min"):
            return self._extremum(node, operands, whole=whole)
        linear = None
        if kind == "mul" and whole:
            linear = self._scaled(*operands) or self._scaled(*reversed(operands))
        elif kind in ("floordiv", "mod") and whole:
            linear = self._divided(kind, *operands)
        if linear is not None:
            return linear
        compared = operands
        if kind in ("eq", "ne", "lt", "le") and whole:
            compared = [self._sum(operands[0], operands[1], -1.0), self._operand(0)]
        axes, ranges = self._aligned(compared)
        result = mod(*ranges, whole=whole) if kind == "mod" else ENCLOSURES[kind](*ranges)
        form = self._reduced((), axes, *result)
        return self._named(form, kind, operands) if node.whole and kind not in CONDITIONS else form

    def _operand(self, operand: Scalar) -> Form:
        if isinstance(operand, Expression):
            return self._forms[id(operand)]
        value = np.asarray(float(operand))
        return Form((), (), value, value)

    def _lookup(self, level: Form, table: Array) -> Form:
        level = self._expanded(level)
        if not level.exact:
            return Form((), (), table.min(), table.max())
        values = table[level.low.astype(np.int64)]
        return self._reduced((), level.axes, values, values)

    def _sum(self, a: Form, b: Form, factor: float) -> Form:
        """The form of ``a + factor * b``."""
        terms = dict(a.terms)
        for term, coefficient in b.terms:
            terms[term] = terms.get(term, 0.0) + factor * coefficient
        left = tuple(sorted((t, c) for t, c in terms.items() if c))
        axes, (x, y) = self._aligned([a, b], expand=False)
        form = self._reduced(left, axes, *add(x, times(y, factor)))
        return self._settled(form, grow=False) if axes else form

    def _scaled(self, form: Form, factor: Form) -> Form | None:
        """The product with a number; None if the factor is none."""
        number = factor.number
        if number is None or not form.terms:
            return None
        terms = tuple((term, coefficient * number) for term, coefficient in form.terms)
        return self._reduced(terms, form.axes, *times((form.low, form.high), number))

    def _divided(self, kind: str, form: Form, divisor: Form) -> Form | None:
        """Quotient or remainder by a number that divides every coefficient; None if it does not."""
        number = divisor.number
        if not number or not form.terms or any(coefficient % number for _, coefficient in form.terms):
            return None
        offset, by = (form.low, form.high), (divisor.low, divisor.low)
        if kind == "mod":
            return self._reduced((), form.axes, *mod(offset, by, whole=True))
        terms = tuple((term, coefficient / number) for term, coefficient in form.terms)
        return self._reduced(terms, form.axes, *ENCLOSURES["floordiv"](offset, by))

    def _extremum(self, node: Operation, operands: Sequence[Form], *, whole: bool) -> Form:
        """The largest or the smallest; of whole numbers, one that is never ahead is left out."""
        left = [operands[0]]
        for other in operands[1:]:
            if whole and len(left) == 1:
                ahead = self._expanded(self._sum(other, left[0], -1.0))
                behind = ahead.high.max() <= 0 if node.kind == "max" else ahead.low.min() >= 0
                if behind:
                    continue
                if ahead.low.min() >= 0 if node.kind == "max" else ahead.high.max() <= 0:
                    left = [other]
                    continue
            left.append(other)
        if len(left) == 1:
            return left[0]
        axes, ranges = self._aligned(left)
        result = ranges[0]
        for other_range in ranges[1:]:
            result = ENCLOSURES[node.kind](result, other_range)
        form = self._reduced((), axes, *result)
        return self._named(form, node.kind, left) if node.whole else form

    def _choice(self, node: Operation, operands: list[Form]) -> Form:
        head, options = self._expanded(operands[0]), operands[1:]
        alike = all(option.terms == options[0].terms for option in options)
        axes, ranges = self._aligned([head, *options], expand=not alike)
        result = choice(ranges[0], ranges[1:], boolean=node.kind == "if")
        form = self._reduced(options[0].terms if alike else (), axes, *result)
        return form if alike or not node.whole else self._named(form, node.kind, operands)

    def _named(self, form: Form, kind: str, operands: Sequence[Form]) -> Form:
        """The result of an operation as a term, the same one for equal operands; a small exact table stays one."""
        key: Any = None
        if form.exact:
            if form.low.size <= _SMALL:
                return form
            key = form.axes, form.low.tobytes()
        elif all(operand.exact for operand in operands):
            key = kind, tuple((o.terms, o.axes, o.low.tobytes()) for o in operands)
        return self._term(form, key)

    def _term(self, form: Form, key: Any) -> Form:
        number = self._known.get(key)
        if number is None:
            number = len(self._terms)
            self._terms.append((form, form.exact))
            if key is not None:
                self._known[key] = number
        return Form(((number, 1.0),), (), _ZERO, _ZERO)

    def _settled(self, form: Form, *, grow: bool = True) -> Form:
        """The form with its small terms whose values are known in its tables.

        Args:
            form: Any.
            grow: Whether tables may get more axes, while there is room for them.
        """
        for number, coefficient in form.terms:
            term, exact = self._terms[number]
            if not exact or term.low.size > _SMALL:
                continue
            union = {*form.axes, *term.axes}
            if self._cells(union) <= _CELLS if grow else len(union) == len(form.axes):
                axes, (own, value) = self._aligned([form, term], expand=False)
                rest = tuple(t for t in form.terms if t[0] != number)
                form = self._reduced(rest, axes, *add(own, times(value, coefficient)))
        return form

    def _expanded(self, form: Form) -> Form:
        """The form with the bounds of its terms in their place."""
        if not form.terms:
            return form
        parts = [form, *(self._terms[term][0] for term, _ in form.terms)]
        axes, ranges = self._aligned(parts, expand=False)
        total = ranges[0]
        for (_, coefficient), part in zip(form.terms, ranges[1:], strict=True):
            total = add(total, times(part, coefficient))
        return self._reduced((), axes, *total)

    def _aligned(self, forms: Sequence[Form], *, expand: bool = True) -> tuple[tuple[int, ...], list[Range]]:
        """Tables of forms over common axes, as many as there is room for; terms are expanded or ignored."""
        if expand:
            forms = [self._expanded(form) for form in forms]
        axes = forms[0].axes
        if all(form.axes == axes for form in forms):
            return axes, [(form.low, form.high) for form in forms]
        union = sorted({axis for form in forms for axis in form.axes})
        if self._cells(union) > _CELLS:
            # What several operands depend on is kept as long as possible, then what was met last.
            uses = {axis: sum(axis in form.axes for form in forms) for axis in union}
            for axis in sorted(union, key=lambda axis: (uses[axis], axis)):
                union.remove(axis)
                if self._cells(union) <= _CELLS:
                    break
        ranges: list[Range] = []
        for form in forms:
            low, high = form.low, form.high
            lost = tuple(index for index, axis in enumerate(form.axes) if axis not in union)
            if lost:
                low, high = low.min(axis=lost), high.max(axis=lost)
            shape = [self._sizes[axis] if axis in form.axes else 1 for axis in union]
            ranges.append((low.reshape(shape), high.reshape(shape)))
        return tuple(union), ranges

    def _cells(self, axes: Iterable[int]) -> int:
        return math.prod(self._sizes[axis] for axis in axes)

    @staticmethod
    def _reduced(terms: Terms, axes: tuple[int, ...], low: Array, high: Array) -> Form:
        """A form without the axes that make no difference, so that equal values are equal forms."""
        if low.shape != high.shape:
            low, high = np.broadcast_arrays(low, high)
        low, high = widened(low, high)
        exact = low is high
        kept: list[int] = []
        for axis in axes:
            position = len(kept)
            if _constant(low, position) and (exact or _constant(high, position)):
                low = np.asarray(low.take(0, position))
                high = low if exact else np.asarray(high.take(0, position))
            else:
                kept.append(axis)
        low = np.asarray(low)
        return Form(terms, tuple(kept), low, low if exact else np.asarray(high))


def _constant(table: Array, axis: int) -> bool:
    return table.shape[axis] == 1 or bool((table == table.take([0], axis)).all())
