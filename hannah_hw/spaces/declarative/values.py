"""What a field of a block may be: a plain value, a parameter of the space, or several of them.

In the signature of a block (see `hannah_hw.spaces.declarative.registry`)

* ``Value[int]`` is an integer, or a parameter: ``{choice: [16, 32]}``, ``{int: {min: 8, max: 64, step: 8}}``;
* ``Values[int]`` is that, or a list of such, or a ``{code: {default: [0, 1, 1], choices: [0, 1]}}``, or a choice of
  lists ``{choice: [[1, 1], [1, 2]]}``;
* a plain type is a value that cannot be searched.

The function receives an expression (or the plain number) for a ``Value``, and for ``Values`` one of them or a list.
The id of a parameter is its path in the document: ``layer.doublechannel.2``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from hannah_hw.documents import Path_
from hannah_hw.expressions import Expression, If, Int, Scalar, Select
from hannah_hw.parameters import CategoricalParameter, FloatScalarParameter, IntScalarParameter, Parameter
from hannah_hw.spaces.declarative.problems import FORMS, problem

T = TypeVar("T")

#: A number with an exponent that YAML 1.1 takes for text: no point, or no sign of the exponent.
_EXPONENT: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


@dataclass
class Binder:
    """Makes the parameters of one graph.

    Attributes:
        places: Id of a parameter -> its place in the document.
        conditions: What candidates must satisfy, each with what it says.
    """

    places: dict[str, Path_] = field(default_factory=dict)
    conditions: list[tuple[Scalar, str]] = field(default_factory=list)

    def bind(self, value: Any, path: Path_) -> Any:
        """A validated value with parameters in the places of their descriptions.

        Args:
            value: Plain values, `Bindable` ones, and lists and mappings of them.
            path: Where it is in the document; becomes the id of a parameter.
        """
        if isinstance(value, Bindable):
            return value.bind(self, path)
        if isinstance(value, list | tuple):
            return [self.bind(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, Mapping):
            return {key: self.bind(item, (*path, key)) for key, item in value.items()}
        return value

    def add(self, parameter: Parameter, path: Path_) -> Parameter:
        """Give a parameter the id of its place."""
        parameter.id = parameter_id(path)
        self.places[parameter.id] = path
        return parameter


def parameter_id(path: Path_) -> str:
    """The id of the parameter at a place of a document; the section ``modules`` is not named."""
    return ".".join(map(str, path[1:] if len(path) > 1 and path[0] == "modules" else path))


class Bindable:
    """Something in a validated document that becomes something else in a graph."""

    def bind(self, binder: Binder, path: Path_) -> Any:
        """What a block's function receives for it."""
        raise NotImplementedError


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
                raise problem(
                    "E_FIELD", f"unknown field {key!r}", loc=(str(key),), allowed=names, given=str(key)
                )
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
                f"the lists have the lengths {sorted({len(o) for o in self.choice})}; give one length"
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

    min: float
    max: float
    log: bool = False
    default: float | None = None

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

    length: int | None = Field(default=None, ge=1)
    default: list[T] | None = Field(default=None, min_length=1)
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
            raise ValueError(f"ones: {self.ones} needs the choices [0, 1] (given: {self.choices})")
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
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} is there twice")


def _among(value: Any, values: Sequence[Any]) -> None:
    if value is not None and value not in values:
        raise ValueError(f"the default {value!r} is none of {', '.join(map(repr, values))}")


class Searchable:
    """Annotation of a value that may be a parameter; see `Value` and `Values`.

    Args:
        several: Whether lists and codes are allowed too.
    """

    def __init__(self, several: bool) -> None:
        self.several = several

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A schema that knows from the form of the input what it is, so that messages are about that alone."""
        plain = Union[tuple(a for a in get_args(source) if a is not Expression and get_origin(a) is not list)]  # type: ignore[valid-type]  # noqa: UP007
        bases = base_types(plain)
        numbers = core_schema.no_info_before_validator_function(
            number_reader(bases), handler.generate_schema(plain)
        )
        element: Any = Annotated[plain, _Numbers(bases)]
        schemas: dict[Any, CoreSchema] = {
            "<value>": numbers,
            "<choice>": handler.generate_schema(Choice[element]),
        }
        literal = get_origin(plain) is Literal
        bound: Any = plain if bases == {int} else int
        if bases & {int, float} and not literal:
            schemas["<int>"] = handler.generate_schema(IntRange[bound])
        if float in bases and not literal:
            schemas["<float>"] = handler.generate_schema(FloatRange)
        if self.several:
            item = core_schema.tagged_union_schema(dict(schemas), _tag, **_no_form(schemas))
            schemas["<list>"] = core_schema.list_schema(item)
            schemas["<lists>"] = handler.generate_schema(ListChoice[element])
            schemas["<code>"] = handler.generate_schema(Code[element])
        return core_schema.tagged_union_schema(schemas, _tag, **_no_form(schemas))


@dataclass(frozen=True)
class _Numbers:
    """Annotation: reads numbers as `number_reader` does."""

    bases: frozenset[type]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(number_reader(self.bases), handler(source))


def number_reader(bases: frozenset[type]) -> Callable[[Any], Any]:
    """A function that repairs what YAML 1.1 makes of numbers, and says what it makes of ``on`` and ``no``."""

    def read(value: Any) -> Any:
        if isinstance(value, bool) and bool not in bases and bases & {int, float}:
            raise PydanticCustomError(
                "boolean", "must be a number; on, off, yes, no, true and false are truth values in YAML"
            )
        if isinstance(value, str) and float in bases and str not in bases and _EXPONENT.fullmatch(value):
            return float(value)
        return value

    return read


def _tag(value: Any) -> str:
    """What an input is, by its form; in pointed brackets, which no field's name has."""
    if isinstance(value, list | tuple):
        return "<list>"
    if isinstance(value, Choice):
        return "<lists>" if isinstance(value, ListChoice) else "<choice>"
    if isinstance(value, Mapping):
        form = next((key for key in FORMS if key in value), "mapping")
        options = value.get("choice")
        if form == "choice" and isinstance(options, list) and options and isinstance(options[0], list):
            form = "lists"
        return f"<{form}>"
    return "<value>"


def _no_form(schemas: Mapping[Any, CoreSchema]) -> dict[str, Any]:
    """The message for an input of another form."""
    examples = {
        "<value>": "a plain value",
        "<choice>": "{choice: [...]}",
        "<int>": "{int: {min: ..., max: ...}}",
        "<float>": "{float: {min: ..., max: ...}}",
        "<list>": "a list of these",
        "<code>": "{code: {default: [...], choices: [...]}}",
    }
    allowed = ", ".join(text for form, text in examples.items() if form in schemas)
    return {"custom_error_type": "form", "custom_error_message": f"must be one of: {allowed}"}


#: A plain value, or a parameter. The function of the block receives a number or an expression.
Value = Annotated[Union[Expression, T], Searchable(several=False)]  # noqa: UP007

#: A `Value`, or a list of them. The function of the block receives a list where a list or a code is given.
Values = Annotated[Union[Expression, T, list[Union[Expression, T]]], Searchable(several=True)]  # noqa: UP007

#: An integer of at least 1.
Positive = Annotated[int, Field(ge=1)]
