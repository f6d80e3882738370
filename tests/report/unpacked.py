"""Tables of columns back to records, as the page's script does it; written from their description."""

from __future__ import annotations

import json
from typing import Any

from hannah_hw.report.columns import ALPHABET

MISSING = object()


def document_of(page: str) -> dict[str, Any]:
    """What a page carries for its script, with the candidates as records."""
    text = page.partition('id="run-data">')[2].partition("</script>")[0]
    document: dict[str, Any] = json.loads(text)
    return document | {"candidates": unpack(document["candidates"])}


def unpack(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a table."""
    columns = {key: _values(column, table["rows"]) for key, column in table["columns"].items()}
    return [
        {key: values[row] for key, values in columns.items() if values[row] is not MISSING}
        for row in range(table["rows"])
    ]


def _values(column: Any, count: int) -> list[Any]:
    if isinstance(column, list):
        return column
    if "columns" in column:
        return unpack(column)
    if "codes" in column:
        places = [ALPHABET.find(code) if isinstance(code, str) else code for code in column["codes"]]
        return [MISSING if place < 0 else column["values"][place] for place in places]
    if "at" in column:
        some = dict(zip(column["at"], _values(column["is"], len(column["at"])), strict=True))
        return [some.get(row, MISSING) for row in range(count)]
    items = iter(_values(column["items"], sum(column["lengths"])))
    return [[next(items) for _ in range(length)] for length in column["lengths"]]
