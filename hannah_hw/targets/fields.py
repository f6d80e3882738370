"""Building blocks of the target schema: strict models, quantities with units, figures with a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from hannah_hw.errors import InputError
from hannah_hw.quantities import format_bytes, parse_quantity

#: Where a figure comes from. ``document``: a data sheet or manual; ``published``: somebody's measurement;
#: ``measured``: our own; ``fitted``: adjusted to published or measured figures; ``assumed``: nobody's.
Source = Literal["document", "published", "measured", "fitted", "assumed"]

_TextsT = TypeVar("_TextsT", bound=str | tuple[str, ...] | dict[str, str])


class Strict(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@contextmanager
def reported() -> Iterator[None]:
    """Within it, an `InputError` becomes the `ValueError` that pydantic reports with the field."""
    try:
        yield
    except InputError as failure:
        raise ValueError(str(failure)) from failure


def parsed_by(parse: Callable[[str], object]) -> AfterValidator:
    """The check that a text, all of several, or all of a mapping by name can be parsed.

    Args:
        parse: Raises an `InputError` where it cannot.
    """

    def check(texts: _TextsT) -> _TextsT:
        one_by_one = (texts,) if isinstance(texts, str) else texts
        with reported():
            for text in texts.values() if isinstance(texts, dict) else one_by_one:
                parse(text)
        return texts

    return AfterValidator(check)


def _quantity(dimension: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not isinstance(value, str | int | float):
            return value
        with reported():
            return parse_quantity(value, dimension)

    return parse


def _schema(example: str) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": [example]})


#: A whole number of bytes; files may write ``64 KiB``.
Bytes = Annotated[int, BeforeValidator(_quantity("bytes")), Field(ge=0), _schema("64 KiB")]


def _with_unit(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(
            f"{value} has no unit, and some tools count bits: write {format_bytes(value)!r} if it is bytes, "
            f"{format_bytes(value / 8)!r} if it is bits"
        )
    return _quantity("bytes")(value)


#: Bytes of a memory. Files of other tools count bits, so a number needs its unit: ``64 KiB``.
Size = Annotated[
    int, BeforeValidator(_with_unit), Field(ge=1), WithJsonSchema({"type": "string", "examples": ["64 KiB"]})
]
#: Hertz; files may write ``120 MHz``.
Hertz = Annotated[float, BeforeValidator(_quantity("hertz")), Field(gt=0), _schema("120 MHz")]
#: Watts; files may write ``52 mW``.
Watts = Annotated[float, BeforeValidator(_quantity("watts")), Field(gt=0), _schema("52 mW")]
#: A ratio; files may write ``5 %``.
Ratio = Annotated[float, BeforeValidator(_quantity("ratio")), Field(ge=0), _schema("5 %")]


class Sourced(Strict):
    """A figure that says where it comes from.

    Attributes:
        source: Kind of origin.
        reference: The document, log or reasoning, precise enough to find it again.
        error: Relative half width of the figure's uncertainty, or None when unknown.
    """

    source: Source
    reference: str = Field(min_length=1)
    error: Ratio | None = None


class SourcedWatts(Sourced):
    """Power in watts."""

    value: Watts


class SourcedNumber(Sourced):
    """A number without a unit."""

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
