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

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hannah_hw.expressions import Expression
from hannah_hw.spaces.declarative.forms import Choice, Code, FloatRange, IntRange, ListChoice, base_types
from hannah_hw.spaces.declarative.limits import MAX_BLOCKS, MAX_SIZE
from hannah_hw.spaces.declarative.numbers import Numbers, number_reader
from hannah_hw.spaces.declarative.problems import FORMS

T = TypeVar("T")


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
        element: Any = Annotated[plain, Numbers(bases)]
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
Positive = Annotated[int, Field(ge=1, le=MAX_SIZE)]

#: How many blocks there are.
Count = Annotated[int, Field(ge=1, le=MAX_BLOCKS)]
