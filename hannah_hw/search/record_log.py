"""Files of records that only grow: one JSON object a line, flushed to the disk line by line.

A kill can tear only the last line; opening the file again drops a torn line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hannah_hw.errors import RunError

#: (index of a record, the record) -> what is wrong with it, or None.
Check = Callable[[int, Mapping[str, Any]], str | None]


class RecordLog:
    """An append-only file of records, open for one writer.

    Args:
        path: The file; it is made where it does not exist.
        check: What every record must be.

    Attributes:
        path: The file.
        records: What it held when it was opened; not kept up to date.

    Raises:
        RunError: It cannot be opened, or is damaged before its last line.
    """

    def __init__(self, path: Path, check: Check) -> None:
        self.path = path
        try:
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            data = path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                os.ftruncate(self._file, end)
                os.fsync(self._file)
        except OSError as error:
            raise RunError(f"cannot open {path}: {error.strerror}") from error
        try:
            lines = data[:end].splitlines()
            self.records = [_record(line, index, path, check) for index, line in enumerate(lines)]
        except BaseException:
            self.close()
            raise

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and wait until the disk has it.

        Raises:
            RunError: It cannot be written (disk full, ...); the file is left without a partial line.
        """
        if self._file is None:
            raise RunError(f"{self.path.parent} is closed")
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, size)
            raise RunError(
                f"cannot write to {self.path}: {error.strerror}; "
                "everything up to here is kept: make room, then continue with --resume"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _record(line: bytes, index: int, path: Path, check: Check) -> dict[str, Any]:
    try:
        record = json.loads(line)
        problem = check(index, record) if isinstance(record, dict) else "not an object"
        if problem is not None:
            raise ValueError(problem)
    except ValueError as error:
        raise RunError(
            f"{path}:{index + 1} is damaged ({error}); delete this line and what follows, then --resume"
        ) from error
    found: dict[str, Any] = record
    return found
