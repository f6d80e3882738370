"""Numbers as people write them in YAML, where YAML 1.1 reads something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

#: A number with an exponent that YAML 1.1 takes for text: no point, or no sign of the exponent.
_EXPONENT: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def number_reader(bases: frozenset[type]) -> Callable[[Any], Any]:
    """A function that repairs what YAML 1.1 makes of numbers, and says what it makes of ``on`` and ``no``.

    Args:
        bases: The classes that are wanted.
    """

    def read(value: Any) -> Any:
        if isinstance(value, bool) and bool not in bases and bases & {int, float}:
            raise PydanticCustomError(
                "boolean", "must be a number; on, off, yes, no, true and false are truth values in YAML"
            )
        if isinstance(value, str) and float in bases and str not in bases and _EXPONENT.fullmatch(value):
            return float(value)
        return value

    return read


@dataclass(frozen=True)
class Numbers:
    """Annotation: reads numbers as `number_reader` does."""

    bases: frozenset[type]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(number_reader(self.bases), handler(source))
