"""Records as columns: thousands of them that are much alike take a fraction of the text.

A table is ``{"rows": count, "columns": {key: column}}``. A column is one of:

* a list: the values, as they are;
* ``{"values": [...], "codes": "0120."}``: few different values, and for each row which of them: a character of
  `ALPHABET`, or ``.`` where the record lacks the key; of more than 62 values, a list of positions and -1;
* ``{"at": [...], "is": column}``: values of some rows only;
* ``{"lengths": [...], "items": column}``: lists, one after another;
* a table: mappings.

``unpack`` in ``assets/js/columns.js`` reads them.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: What stands for the first 62 values of a column.
ALPHABET: Final = string.digits + string.ascii_letters
#: Significant digits of numbers that are no integers.
DIGITS: Final = 7
#: Of so many equal values in the mean a column is better coded.
_REPEATED: Final = 3
#: Integers up to here are exact in a script.
_EXACT: Final = 2.0**53
_ABSENT: Final = object()


def pack(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Records as a table. Numbers are rounded to `DIGITS` significant digits; those that are not finite become None.

    Args:
        records: With values that JSON has: scalars, lists, mappings with keys of text.
    """
    keys = dict.fromkeys(key for record in records for key in record)
    return {
        "rows": len(records),
        "columns": {key: _column([record.get(key, _ABSENT) for record in records]) for key in keys},
    }


def _column(values: Sequence[Any]) -> Any:
    coded = _coded(values)
    if coded is not None:
        return coded
    present = [value for value in values if value is not _ABSENT]
    if len(present) < len(values):
        places = [place for place, value in enumerate(values) if value is not _ABSENT]
        return {"at": places, "is": _column(present)}
    if present and all(isinstance(value, Mapping) for value in present):
        return pack(present)
    if present and all(isinstance(value, list | tuple) for value in present):
        items = [item for value in present for item in value]
        return {"lengths": [len(value) for value in present], "items": _column(items)}
    return [_plain(value) for value in present]


def _coded(values: Sequence[Any]) -> dict[str, Any] | None:
    """The column by its different values; None where they are many, or no scalars."""
    places: dict[tuple[str, Any], int] = {}
    codes = []
    for value in values:
        if value is _ABSENT:
            codes.append(-1)
        elif isinstance(value, str | int | float | bool) or value is None:
            plain = _plain(value)
            codes.append(places.setdefault((type(plain).__name__, plain), len(places)))
            if _REPEATED * len(places) > len(values):
                return None
        else:
            return None
    if not places:
        return None
    few = len(places) <= len(ALPHABET)
    return {
        "values": [plain for _, plain in places],
        "codes": "".join("." if code < 0 else ALPHABET[code] for code in codes) if few else codes,
    }


def _plain(value: Any) -> Any:
    """A value as it is written: short where it is a number."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < _EXACT else float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
