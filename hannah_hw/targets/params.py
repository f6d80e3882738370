"""Axes of a target, from which a search over hardware chooses: the section ``params`` of its file.

::

    params:
      pe: {choice: [4, 8, 16], default: 8}
      wmem: {range: [16 KiB, 256 KiB], step: 16 KiB, default: 64 KiB}

What follows from them elsewhere in the file is resolved by `hannah_hw.targets.resolution`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from hannah_hw.documents import Document
from hannah_hw.errors import TargetError
from hannah_hw.targets.amounts import Amount, amount, parsed
from hannah_hw.targets.fields import Strict

__all__ = ["Param", "ParamName", "Params", "Value", "assigned", "params_of"]

#: What a parameter can be: a number in the base unit of its dimension, or a word.
Value = float | str

#: Most values that a message lists.
_LISTED: Final = 20

#: Most values of one parameter.
_MOST: Final = 10_000

_Amount = Annotated[
    Amount,
    BeforeValidator(parsed),
    PlainSerializer(lambda given: given.written, return_type=int | float | str),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": [8, "64 KiB"]}),
]
#: What a parameter may be called.
ParamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Param(Strict):
    """One axis; either a list of values or a range.

    Attributes:
        choice: Its values.
        range: Its least and its greatest value.
        step: From one value of a range to the next.
        factor: From one value of a range to the next, as a factor, such as 2.
        default: Its value unless another one is asked for.
        title: What it is, for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    choice: Annotated[tuple[_Amount, ...], Field(min_length=1, max_length=_MOST)] | None = None
    range: tuple[_Amount, _Amount] | None = None
    step: _Amount | None = None
    factor: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    default: _Amount
    title: str = ""

    _found: tuple[Amount, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _consistent(self) -> Param:
        if (self.choice is None) == (self.range is None):
            raise ValueError(
                "give either 'choice: [4, 8, 16]' or 'range: [4, 16]' with 'step: 4' or 'factor: 2'"
            )
        if self.range is None and (self.step is not None or self.factor is not None):
            raise ValueError("'step' and 'factor' belong to 'range', not to 'choice'")
        if self.range is not None and (self.step is None) == (self.factor is None):
            raise ValueError("a 'range' needs either 'step', such as 4 KiB, or 'factor', such as 2")
        levels = self._levels()
        if len({level.dimension for level in (*levels, self.default)}) > 1:
            raise ValueError(f"the values differ in their units: {_list((*levels, self.default))}")
        if len(set(levels)) < len(levels):
            raise ValueError("a value occurs twice")
        if self.default not in levels:
            raise ValueError(f"the default {self.default} is none of the values; allowed: {_list(levels)}")
        self._found = levels
        return self

    def _levels(self) -> tuple[Amount, ...]:
        if self.choice is not None:
            return self.choice
        low, high = self.range or (Amount(0), Amount(0))
        if isinstance(low.value, str) or isinstance(high.value, str):
            raise ValueError("a range is one of numbers; list words under 'choice'")
        if low.dimension != high.dimension or (
            self.step is not None and self.step.dimension != low.dimension
        ):
            raise ValueError("the ends and the step of a range need the same unit")
        if not low.value < high.value:
            raise ValueError(f"the range ends at {high}, which is not above its begin {low}")
        if self.step is not None:
            return self._steps(low, low.value, high.value, self.step.value)
        return self._factors(low, low.value, high.value)

    def _steps(self, low: Amount, first: float, last: float, step: Value) -> tuple[Amount, ...]:
        if isinstance(step, str) or not step > 0:
            raise ValueError("the step must be greater than 0")
        count = _count((last - first) / step, "step")
        return tuple(Amount(_tidy(first + step * i), low.dimension) for i in range(count))

    def _factors(self, low: Amount, first: float, last: float) -> tuple[Amount, ...]:
        if self.factor is None or not first > 0:
            raise ValueError("a range with a factor begins above 0")
        count = _count((math.log(last) - math.log(first)) / math.log(self.factor), "factor")
        return tuple(Amount(_tidy(first * self.factor**i), low.dimension) for i in range(count))

    @property
    def levels(self) -> tuple[Amount, ...]:
        """Its values with their units, in the order of the file; those of a range ascend."""
        return self._found

    @property
    def values(self) -> tuple[Value, ...]:
        """Its values in base units."""
        return tuple(level.value for level in self._found)

    @property
    def dimension(self) -> str:
        """``count``, ``bytes``, ``hertz``, ..., or ``word``."""
        return self.default.dimension


def _count(steps: float, field: str) -> int:
    """Values of a range of some steps, which need not be whole and may be infinitely many."""
    most = steps + 1e-9
    if not most < _MOST:
        raise ValueError(
            f"the range has {most + 1:.6g} values; it may have up to {_MOST}: give a larger {field}"
        )
    return math.floor(most) + 1


def _tidy(value: float) -> float:
    """A number as people would write it: whole ones without a point, fractions without what rounding left."""
    return int(value) if float(value).is_integer() else float(f"{value:.12g}")


def _list(levels: tuple[Amount, ...]) -> str:
    shown = [str(level) for level in levels]
    return ", ".join(shown if len(shown) <= _LISTED else [*shown[: _LISTED - 1], "...", shown[-1]])


Params = Mapping[str, Param]


class _Section(BaseModel):
    """The section ``params`` of a target; all others are read once it is known."""

    model_config = ConfigDict(extra="ignore")

    params: dict[ParamName, Param] = {}


def params_of(document: Document) -> dict[str, Param]:
    """The section ``params`` of a target file.

    Raises:
        TargetError: A parameter is wrong.
    """
    return document.validate(_Section, TargetError).params


def assigned(params: Params, given: Mapping[str, Any], where: str) -> dict[str, Amount]:
    """The value of each parameter: the one that is given, or its default.

    Args:
        params: The parameters.
        given: Name -> a value as a file or Python writes it, such as 8, ``64 KiB`` or 65536.
        where: Place of the parameters, for messages.

    Raises:
        TargetError: An unknown name, or a value that the parameter does not have.
    """
    for name in given:
        if name not in params:
            raise TargetError(
                f"the target has no param {name!r}" + ("" if params else "; its file declares none"),
                where=where,
                allowed=params,
                given=name,
            )
    chosen = {}
    for name, param in params.items():
        wanted = amount(given[name]) if name in given else param.default
        if wanted.dimension == "count":
            # Values in base units, as `Param.values` has them, need no unit.
            wanted = Amount(wanted.value, param.dimension)
        if wanted not in param.levels:
            raise TargetError(
                f"the param {name!r} cannot be {wanted}; allowed: {_list(param.levels)}",
                where=where,
            )
        chosen[name] = wanted
    return chosen
