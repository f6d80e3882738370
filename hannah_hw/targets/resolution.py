"""Values in place of ``${...}`` in a target file, before anything else reads it.

::

    array:
      dims:
        D1: ${pe}
        D2: ${pe * pe / 4}

A field that is nothing but ``${...}`` takes the value with its unit; within longer text, such as a condition, the
number in the base unit is written. What may stand between the braces is in `hannah_hw.targets.amounts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hannah_hw.documents import Document
from hannah_hw.errors import TargetError
from hannah_hw.targets.amounts import Amount, compute
from hannah_hw.targets.params import Params

#: An expression in a text, and the names in it.
_EXPRESSION: Final = re.compile(r"\$\{([^}]*)\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def resolved(document: Document, names: Mapping[str, Amount]) -> Document:
    """The document with values in place of every ``${...}``.

    Raises:
        TargetError: An expression is wrong or never closed, stands in a key, or a parameter is never read.
    """
    read: set[str] = set()
    data = {
        key: value if key == "params" else _resolve(document, (key,), value, names, read)
        for key, value in document.data.items()
    }
    for name in names:
        if name not in read:
            raise TargetError(
                f"no field reads the param {name!r}; write ${{{name}}} where it belongs, or remove it",
                where=document.where(("params", name)),
            )
    return document.replaced(data)


def resolved_value(
    document: Document, path: tuple[str | int, ...], value: Any, names: Mapping[str, Amount]
) -> Any:
    """A value of a document with values in place of every ``${...}``.

    Args:
        document: The document.
        path: Where the value stands in it, for messages.
        value: The value, as written.
        names: Name -> value.

    Raises:
        TargetError: An expression is wrong or never closed.
    """
    return _resolve(document, path, value, names, set())


def params_read(value: Any, params: Params) -> frozenset[str]:
    """The parameters that a text, or the texts in a section, follow.

    Args:
        value: A value of a document, with its ``${...}``.
        params: The parameters that there are.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return frozenset().union(*(params_read(item, params) for item in value))
    if not isinstance(value, str):
        return frozenset()
    words = {word for text in _EXPRESSION.findall(value) for word in _NAME.findall(text)}
    return frozenset(words & set(params))


def _resolve(
    document: Document, path: tuple[str | int, ...], value: Any, names: Mapping[str, Amount], read: set[str]
) -> Any:
    if isinstance(value, dict):
        for key in value:
            if "${" in str(key):
                raise TargetError(
                    f"the key {key!r} contains ${{; only values can follow params",
                    where=document.where((*path, str(key))),
                )
        return {key: _resolve(document, (*path, str(key)), item, names, read) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(document, (*path, i), item, names, read) for i, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    try:
        return _filled(value, names, read)
    except TargetError as failure:
        raise TargetError(
            failure.message, where=document.where(path), allowed=failure.allowed, given=failure.given
        ) from failure


def _filled(text: str, names: Mapping[str, Amount], read: set[str]) -> Any:
    """A text with its ``${...}`` resolved."""
    before, rest = text.split("${", 1)
    parts = [before]
    results = []
    for piece in rest.split("${"):
        inner, closed, after = piece.partition("}")
        if not closed:
            raise TargetError(f"in {text!r}, ${{ is never closed; write ${{{inner.strip() or 'name'}}}")
        result, used = compute(inner, names)
        read |= used
        results.append(result)
        parts += [str(result.value), after]
    if len(results) == 1 and not before.strip() and not parts[-1].strip():
        return results[0].written
    return "".join(parts)
