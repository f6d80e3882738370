"""What verbs write: one JSON document or text on stdout, messages on stderr."""

from __future__ import annotations

import errno
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hannah_hw.cli.tables import layout, wrapped
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
    """Lines of a verb's result, on stdout; a name in a file of somebody else's cannot control the terminal.

    Raises:
        OSError: It is closed, or cannot take more.
    """
    _put(printable(text))


def _put(text: str) -> None:
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
        _put(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False))
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


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[int] = (),
    spare: Sequence[str] = (),
) -> None:
    """A table: fitted to the width of a terminal, with whole lines elsewhere.

    Args:
        headers: Titles of the columns.
        rows: Cells; None is a dash.
        right: Columns that are aligned to the right, as numbers are.
        spare: Titles of columns that a narrow terminal does not show, the first to go first.
    """
    cells = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    width = terminal_width()
    head, body = layout(headers, cells, right=set(right), spare=spare, width=width)
    rule = [] if width is None else ["\u2500" * max(map(len, [*head, *body]))]
    for line in [*head, *rule, *body]:
        write(line)


def paragraph(text: str, indent: str = "") -> None:
    """A text of any length, in lines that fit a terminal; whole elsewhere."""
    width = terminal_width()
    lines = [text] if width is None else wrapped(text, width - len(indent))
    for line in lines:
        write(indent + line)


def terminal_width() -> int | None:
    """Columns of the terminal that results are written to; None where it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size().columns, 40)
