"""Reading a CSV file of numbers, with a column or two of names."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.wording import shortened

if TYPE_CHECKING:
    from _csv import Reader

#: Largest CSV file, longest line in characters, and most columns.
MAX_FILE_BYTES: Final = 512 << 20
MAX_LINE: Final = 1 << 20
MAX_COLUMNS: Final = 4_096
#: What may stand between two columns.
_SEPARATORS: Final = ",;\t"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """Columns of a CSV file.

    Attributes:
        values: (rows, columns) numbers.
        names: Columns of `values`.
        texts: Column -> its texts, of those that were asked for as names.
    """

    values: Floats
    names: tuple[str, ...]
    texts: dict[str, list[str]]


def header(path: Path) -> list[str]:
    """Names of the columns of a CSV file.

    Raises:
        DataError: The file cannot be read, has no header, or names two columns alike.
    """
    with _opened(path) as (names, _):
        return names


def read_table(
    path: Path, texts: Sequence[str], columns: Sequence[str] | None, left_out: Sequence[str]
) -> Table:
    """Columns of a CSV file.

    Args:
        path: The file: UTF-8, one header, columns parted by ``,``, ``;`` or tabulators.
        texts: Columns that are names.
        columns: Columns that are numbers; None: all others whose first value is one.
        left_out: Columns that are neither.

    Raises:
        DataError: A column is missing, or a value is no finite number, with its line.
    """
    with _opened(path) as (names, reader):
        for name in (*texts, *(columns or ()), *left_out):
            if name not in names:
                raise DataError(f"there is no column {name!r}", where=str(path), allowed=names, given=name)
        at = None if columns is None else [names.index(name) for name in columns]
        aside = {names.index(name) for name in (*texts, *left_out)}
        words: dict[str, list[str]] = {name: [] for name in texts}
        # Arrays and one object a name: a list of Python's numbers takes ten times the memory of the file.
        values, lines = array("f"), array("q")
        known: dict[str, str] = {}
        for row in reader:
            if not row:
                continue
            where = f"{path}:{reader.line_num}"
            if len(row) != len(names):
                raise DataError(
                    f"{len(row)} values, where the header names {len(names)} columns", where=where
                )
            if at is None:
                at = [i for i, text in enumerate(row) if i not in aside and _is_number(text)]
                if not at:
                    raise DataError("no column holds numbers", where=where)
            try:
                values.extend([float(row[i]) for i in at])
            except ValueError as error:
                wrong = next(i for i in at if not _is_number(row[i]))
                raise DataError(
                    f"{shortened(row[wrong])} in the column {names[wrong]!r} is no number; remove or fill in such rows",
                    where=where,
                ) from error
            lines.append(reader.line_num)
            for name in texts:
                text = row[names.index(name)].strip()
                words[name].append(known.setdefault(text, text))
    if at is None:
        raise DataError("the table has no rows", where=str(path))
    table = np.frombuffer(values, np.float32).reshape(len(lines), len(at))
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        line, column = lines[int(bad[0][0])], names[at[int(bad[0][1])]]
        raise DataError(
            f"the column {column!r} holds NaN, infinity or a value beyond float32; remove or fill in such rows",
            where=f"{path}:{line}",
        )
    return Table(table, tuple(names[i] for i in at), words)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Reader]]:
    """The names of the columns, and what reads the rows after them; what goes wrong meanwhile is a `DataError`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"the file is larger than {MAX_FILE_BYTES} bytes", where=str(path))
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline(MAX_LINE)
            separator = max(_SEPARATORS, key=first.count)
            stream.seek(0)
            reader = csv.reader(_lines(stream), delimiter=separator, strict=True)
            names = [name.strip() for name in next(reader, [])]
            if not names or len(names) > MAX_COLUMNS or len(set(names)) < len(names) or "" in names:
                raise DataError(
                    f"the first line must name every column, each once, of at most {MAX_COLUMNS}",
                    where=f"{path}:1",
                )
            if all(map(_is_number, names)):
                raise DataError("the first line holds numbers; it must name the columns", where=f"{path}:1")
            yield names, reader
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"not a CSV file in UTF-8: {error}", where=str(path)) from error


def _lines(stream: IO[str]) -> Iterator[str]:
    """The lines of a file, of which none may be so long that it fills the memory.

    Raises:
        csv.Error: One is longer than `MAX_LINE`.
    """
    while line := stream.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise csv.Error(f"a line has more than {MAX_LINE} characters")
        yield line


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
