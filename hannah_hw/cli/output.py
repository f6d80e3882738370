"""What verbs write: one JSON document or text on stdout, messages on stderr."""

from __future__ import annotations

import errno
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hannah_hw.wording import printable

#: The option that every verb has.
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to stdout; messages go to stderr.")
]


def say(message: str) -> None:
    """A message to the person at the terminal, on stderr if that is open."""
    if sys.stderr is not None:
        sys.stderr.write(printable(message) + "\n")


def write(text: str) -> None:
    """A line of a verb's result, on stdout.

    Raises:
        OSError: It is closed, or cannot take more.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed")
    sys.stdout.write(text + "\n")


def emit(document: Any, as_json: bool, render: Callable[[], None]) -> None:
    """A verb's result: as one JSON document, or rendered for a person.

    Args:
        document: The result; arrays, paths and dataclasses are allowed; NaN and infinities become null.
        as_json: Whether ``--json`` was given.
        render: Writes the same for a person.
    """
    if as_json:
        write(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        render()


def plain(value: Any) -> Any:
    """The value with nothing in it but what JSON has."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    for method in ("tolist", "to_dict", "model_dump"):
        if hasattr(value, method):
            return plain(getattr(value, method)())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> None:
    """A table: ruled on a terminal, aligned plain text elsewhere.

    Args:
        headers: Titles of the columns.
        rows: Cells; None is a dash.
        right: Columns that are aligned to the right, as numbers are.
    """
    cells = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    numeric = set(right)
    if sys.stdout.isatty():
        _ruled(headers, cells, numeric)
        return
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    for row in [list(headers), *cells]:
        line = "  ".join(
            cell.rjust(width) if i in numeric else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        write(line.rstrip())


def _ruled(headers: Sequence[str], cells: Iterable[Sequence[str]], numeric: set[int]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, header in enumerate(headers):
        drawn.add_column(header, justify="right" if i in numeric else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)
