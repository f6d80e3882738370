"""How messages say things: mistakes of values in the words of the files that people write, long texts shortened."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

#: Kind of a mistake -> what is said of the field; the names are those of its context.
_SAYINGS: Final = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a mapping",
    "model_type": "must be a mapping",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_type": "must be text",
    "too_long": "has {actual_length} entries; it may have up to {max_length}",
    "too_short": "has {actual_length} entries; it needs {min_length} or more",
}
#: Longest text that a message repeats whole.
_SHOWN: Final = 60
#: Most values that a message lists.
_LISTED: Final = 20


def saying(error: Mapping[str, Any]) -> str:
    """What is wrong with a field, and what was given, if that is short.

    Args:
        error: One of ``ValidationError.errors()``.
    """
    words = _SAYINGS.get(error["type"])
    own = str(error["msg"]).removeprefix("Value error, ")
    text = own if words is None else words.format_map(error.get("ctx", {}))
    given = error.get("input")
    return f"{text} (given: {shortened(given)})" if isinstance(given, str | int | float | bool) else text


def shortened(value: object) -> str:
    """A value as a message shows it; of a long one, the beginning."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def printable(text: str) -> str:
    """A text that a terminal and an XML file can show: characters that control them are written as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def dotted(path: Iterable[object]) -> str:
    """A path in a document as a message shows it: ``layers.0.stride``."""
    parts = map(str, path)
    return ".".join(part if len(part) <= _SHOWN else f"{part[:_SHOWN]}..." for part in parts)


def listing(values: Iterable[object]) -> str:
    """Values as a message lists them; of many, the first."""
    texts = [shortened(value) for value in itertools.islice(values, _LISTED + 1)]
    return ", ".join([*texts[:_LISTED], "..."] if len(texts) > _LISTED else texts)
