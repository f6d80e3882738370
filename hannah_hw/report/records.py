"""Reading the files of records that a run appends to, also while it goes on or after it was killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import InputError

Json = dict[str, Any]

#: Parts of a candidate's record that few readers want, and of a few candidates only.
LARGE: Final = ("assignment", "cost")
#: Whole numbers of JSON may be larger.
_LARGEST: Final = sys.float_info.max


class OnDisk(Mapping[str, Any]):
    """A part of a record that is read again from its file whenever somebody looks into it.

    Args:
        path: The file.
        start: Where the record's line starts in it.
        key: The part.
    """

    __slots__ = ("_key", "_path", "_start")

    def __init__(self, path: Path, start: int, key: str) -> None:
        self._path = path
        self._start = start
        self._key = key

    def _part(self) -> Json:
        with self._path.open("rb") as stream:
            stream.seek(self._start)
            part: Json = json.loads(stream.readline())[self._key]
        return part

    def __getitem__(self, key: str) -> Any:
        return self._part()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._part())

    def __len__(self) -> int:
        return len(self._part())

    def items(self) -> Any:
        """All of it, read once."""
        return self._part().items()

    def get(self, key: str, default: Any = None) -> Any:
        """One field of it."""
        return self._part().get(key, default)


def read_records(
    path: Path, what: str = "a candidate", *, leave: tuple[str, ...] = ()
) -> tuple[list[Json], list[str]]:
    """The records of a file and a warning for every line that is not one.

    A missing file is an empty run. The last line of a killed run may be torn.

    Args:
        path: The file.
        what: What a record describes, for the warnings.
        leave: Mappings in a record that stay on the disk; see `OnDisk`.

    Raises:
        InputError: The file cannot be read.
    """
    if not path.is_file():
        return [], [f"{path.name} is missing: the run has no candidates yet"]
    records: list[Json] = []
    warnings = []
    start = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    record = _record(line, path, start, leave)
                    if isinstance(record, str):
                        warnings.append(f"{path.name}:{number} was left out: {record.format(what=what)}")
                    else:
                        records.append(record)
                start += len(line)
    except OSError as failure:
        raise InputError(f"cannot read the file: {failure}", where=str(path)) from failure
    return records, warnings


def _record(line: bytes, path: Path, start: int, leave: tuple[str, ...]) -> Json | str:
    """The record of a line, or what is wrong with it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        # Only the last line can be without an end.
        return "not valid JSON" if line.endswith(b"\n") else "torn: the run was stopped while writing it"
    if not isinstance(record, dict) or not (
        isinstance(record.get("id"), str) and isinstance(record.get("index", 0), int)
    ):
        return "not {what}'s record"
    for key in leave:
        if isinstance(record.get(key), dict):
            record[key] = OnDisk(path, start, key)
    return record


def finite_numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a mapping."""
    return {
        str(key): float(number)
        for key, number in (value if isinstance(value, dict) else {}).items()
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= _LARGEST
    }
