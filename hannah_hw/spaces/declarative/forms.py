"""The forms in which a document describes parameters, as strict models that become parameters of a graph."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hannah_hw.documents import Path_
from hannah_hw.expressions import If, Int, Scalar, Select
from hannah_hw.parameters import CategoricalParameter, FloatScalarParameter, IntScalarParameter, Parameter
from hannah_hw.spaces.declarative.binding import Bindable, Binder, parameter_id
from hannah_hw.spaces.declarative.limits import MAX_LEVELS, MAX_POSITIONS
from hannah_hw.spaces.declarative.numbers import Numbers
from hannah_hw.spaces.declarative.problems import problem
from hannah_hw.wording import listing, shortened

T = TypeVar("T")
Real = Annotated[float, Numbers(frozenset({float}))]


def base_types(annotation: Any) -> frozenset[type]:
    """The classes that an annotation consists of; those of its values for a ``Literal``."""
    if get_origin(annotation) is Literal:
        return frozenset(type(value) for value in get_args(annotation))
    if isinstance(annotation, type) and not get_args(annotation):
        return frozenset({annotation})
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        arguments = arguments[:1]
    return frozenset().union(*map(base_types, arguments))


class Form(BaseModel):
    """A mapping of a document: no other fields than its own, and no conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        names = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data if isinstance(data, Mapping) else ():
            if key not in names:
                text = f"unknown field {shortened(key)}"
                raise problem("E_FIELD", text, loc=(str(key),), allowed=names, given=str(key))
        return data

    @classmethod
    def model_parametrized_name(cls, params: Any) -> str:
        """What editors call it."""
        return f"{cls.__name__}[{' | '.join(sorted(t.__name__ for p in params for t in base_types(p)))}]"


class Choice(Form, Bindable, Generic[T]):
    """One of some values.

    Attributes:
        choice: The values; they are different.
        default: The starting point; the first otherwise.
    """

    choice: list[T] = Field(min_length=1)
    default: T | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _distinct(self.choice)
        _among(self.default, self.choice)
        return self

    def bind(self, binder: Binder, path: Path_) -> Parameter:
        """A categorical parameter."""
        return binder.add(CategoricalParameter(self.choice, str(path[-1]), default=self.default), path)


class ListChoice(Choice[list[T]], Generic[T]):
    """One of some lists of one length."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if len({len(option) for option in self.choice}) != 1:
            raise ValueError(
                f"the lists have the lengths {listing(sorted({len(o) for o in self.choice}))}; give one length"
            )
        return self

    def bind(self, binder: Binder, path: Path_) -> Any:
        """A list; each of its values depends on one parameter, whose values are tuples."""
        options = [tuple(option) for option in self.choice]
        default = options[0] if self.default is None else tuple(self.default)
        parameter = binder.add(CategoricalParameter(options, str(path[-1]), default=default), path)
        position: Scalar = 0
        for index, option in enumerate(options):
            position = position + If(parameter == option, index, 0)
        return [Select(position, *column) for column in zip(*options, strict=True)]


class IntBounds(Form, Generic[T]):
    """Integers ``min, min + step, ...`` up to ``max``; with ``log``, all magnitudes are drawn as often."""

    min: T
    max: T
    step: int = Field(default=1, ge=1)
    log: bool = False
    default: T | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = int(self.min), int(self.max)  # type: ignore[call-overload]
        if high < low:
            raise ValueError(f"there is no integer from {low} to {high}")
        if (high - low) // self.step >= MAX_LEVELS:
            raise ValueError(
                f"there are {(high - low) // self.step + 1} values; a parameter has up to {MAX_LEVELS}, "
                "give a larger step"
            )
        if self.log and low < 1:
            raise ValueError(f"log: true needs a min of at least 1 (given: {low})")
        if self.default is not None and self.default not in range(low, high + 1, self.step):
            raise ValueError(
                f"the default {self.default} is not one of {self.min}, {self.min} + {self.step}, ..."
            )
        return self


class IntRange(Form, Bindable, Generic[T]):
    """``{int: {min: 8, max: 64, step: 8, default: 16}}``."""

    bounds: IntBounds[T] = Field(alias="int")

    def bind(self, binder: Binder, path: Path_) -> Parameter:
        """An integer parameter."""
        b: Any = self.bounds
        options: dict[str, Any] = {"log": True} if b.log else {}
        parameter = IntScalarParameter(b.min, b.max, b.step, str(path[-1]), default=b.default, **options)
        return binder.add(parameter, path)


class FloatBounds(Form):
    """Real numbers from ``min`` to ``max``; with ``log``, all magnitudes are drawn as often."""

    min: Real
    max: Real
    log: bool = False
    default: Real | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.min <= self.max:
            raise ValueError(f"there is no number from {self.min} to {self.max}")
        if self.log and self.min <= 0:
            raise ValueError(f"log: true needs a min above 0 (given: {self.min})")
        if self.default is not None and not self.min <= self.default <= self.max:
            raise ValueError(f"the default {self.default} is not from {self.min} to {self.max}")
        return self


class FloatRange(Form, Bindable):
    """``{float: {min: 0.0, max: 0.5}}``."""

    bounds: FloatBounds = Field(alias="float")

    def bind(self, binder: Binder, path: Path_) -> Parameter:
        """A continuous parameter."""
        b = self.bounds
        options: dict[str, Any] = {"log": True} if b.log else {}
        return binder.add(
            FloatScalarParameter(b.min, b.max, str(path[-1]), default=b.default, **options), path
        )


class CodeBody(Form, Generic[T]):
    """A list each position of which is a parameter.

    Attributes:
        length: How many positions; that of ``default`` otherwise.
        default: The starting point; the first choice everywhere otherwise.
        choices: What each position can be.
        ones: With the choices 0 and 1: how many ones every candidate has. ``keep``: as many as the default;
            ``free``: any number.
    """

    length: int | None = Field(default=None, ge=1, le=MAX_POSITIONS)
    default: list[T] | None = Field(default=None, min_length=1, max_length=MAX_POSITIONS)
    choices: list[T] = Field(min_length=1)
    ones: Literal["keep", "free"] | int = "free"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _distinct(self.choices)
        if self.default is None and self.length is None:
            raise ValueError("give 'default', or 'length'")
        if self.default is not None and self.length not in (None, len(self.default)):
            raise ValueError(f"the default has {len(self.default)} positions, length is {self.length}")
        for value in self.default or ():
            _among(value, self.choices)
        if self.ones == "free":
            return self
        if sorted(self.choices, key=repr) != [0, 1]:
            raise ValueError(f"ones: {self.ones} needs the choices [0, 1] (given: {listing(self.choices)})")
        if self.ones == "keep" and self.default is None:
            raise ValueError("ones: keep needs a default, whose ones are kept")
        if isinstance(self.ones, int) and not 0 <= self.ones <= self.size:
            raise ValueError(f"there cannot be {self.ones} ones in {self.size} positions")
        if (
            isinstance(self.ones, int)
            and self.default is not None
            and sum(map(_one, self.default)) != self.ones
        ):
            raise ValueError(f"the default has {sum(map(_one, self.default))} ones, not {self.ones}")
        return self

    @property
    def size(self) -> int:
        """Number of positions."""
        return len(self.default) if self.default is not None else self.length or 0

    def start(self) -> list[T]:
        """The value of each position in the default candidate."""
        if self.default is not None:
            return self.default
        if isinstance(self.ones, int):
            zero, one = sorted(self.choices, key=_one)
            return [one] * self.ones + [zero] * (self.size - self.ones)
        return [self.choices[0]] * self.size


class Code(Form, Bindable, Generic[T]):
    """``{code: {default: [0, 1, 1, 0], choices: [0, 1], ones: keep}}``."""

    code: CodeBody[T]

    def bind(self, binder: Binder, path: Path_) -> list[Scalar]:
        """One categorical parameter a position; a fixed number of ones is a condition."""
        start = self.code.start()
        bits: list[Scalar] = [
            binder.add(CategoricalParameter(self.code.choices, str(index), default=value), (*path, index))
            for index, value in enumerate(start)
        ]
        if self.code.ones != "free":
            wanted = sum(map(_one, start))
            total: Scalar = 0
            for bit in bits:
                total = total + Int(bit)
            text = f"{parameter_id(path)} has {wanted} ones"
            binder.conditions.append((total == wanted, text))
        return bits


def _one(value: Any) -> int:
    return int(value == 1)


def _distinct(values: Sequence[Any]) -> None:
    seen: set[Any] = set()
    for value in values:
        key = tuple(value) if isinstance(value, list) else value
        if not isinstance(key, Hashable):
            raise ValueError(f"{shortened(value)} cannot be chosen; list plain values")
        if key in seen:
            raise ValueError(f"{value!r} is there twice")
        seen.add(key)


def _among(value: Any, values: Sequence[Any]) -> None:
    if value is not None and value not in values:
        raise ValueError(f"the default {value!r} is none of {listing(values)}")
