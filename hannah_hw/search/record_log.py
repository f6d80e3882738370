"""Files of records that only grow: one JSON object a line, flushed to the disk as soon as it is known.

A kill can tear only the last line; opening the file again drops a torn line. Records are not kept in memory: what was
written is read again when somebody asks for it, so that a run of a hundred thousand candidates needs no more than a
few bytes for each.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final, overload

from hannah_hw.errors import RunError

#: (index of a record, the record) -> what is wrong with it, or None.
Check = Callable[[int, Mapping[str, Any]], str | None]

#: Bytes of a search without a folder that are kept in memory before they go to a temporary file.
_IN_MEMORY: Final = 1 << 20


class Records(Sequence[dict[str, Any]]):
    """The records of a file in their order, each read when it is asked for; it grows with the file.

    Args:
        source: The file: a path, which is opened for every access, or an open file, which is closed with this object.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self._source = source
        #: 8 bytes a record: where its line ends.
        self._ends = array("Q")
        if not isinstance(source, Path):
            weakref.finalize(self, source.close)

    def grown(self, size: int) -> None:
        """The file has a further line of `size` bytes."""
        self._ends.append(self._start(len(self._ends)) + size)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number = range(len(self))[index]
        start = self._start(number)
        with self._open() as stream:
            stream.seek(start)
            return _parsed(stream.read(self._ends[number] - start))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        position, number = 0, 0
        while number < len(self):
            # Several lines at a time; the position is kept here, as others may read the same file meanwhile.
            last = min(len(self), number + 256)
            with self._open() as stream:
                stream.seek(position)
                lines = stream.read(self._ends[last - 1] - position).splitlines()
            yield from map(_parsed, lines)
            position, number = self._ends[last - 1], last

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} records>"

    def _start(self, index: int) -> int:
        return self._ends[index - 1] if index else 0

    def _open(self) -> BinaryIO | nullcontext[BinaryIO]:
        return self._source.open("rb") if isinstance(self._source, Path) else nullcontext(self._source)


class RecordLog:
    """An append-only file of records, open for one writer.

    Args:
        path: The file; it is made where it does not exist.
        check: What every record must be.

    Attributes:
        path: The file.
        records: What it holds.

    Raises:
        RunError: It cannot be opened, or is damaged before its last line.
    """

    def __init__(self, path: Path, check: Check) -> None:
        self.path = path
        self.records = Records(path)
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._read(check)
        except OSError as error:
            self.close()
            raise RunError(f"cannot open {path}: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _read(self, check: Check) -> None:
        """Check the lines, and drop a last one that was torn."""
        end = 0
        with self.path.open("rb") as stream:
            for index, line in enumerate(stream):
                if not line.endswith(b"\n"):
                    break
                _check(line, index, self.path, check)
                self.records.grown(len(line))
                end += len(line)
        if self._file is not None and os.fstat(self._file).st_size > end:
            os.ftruncate(self._file, end)
            os.fsync(self._file)

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write records and wait until the disk has them all.

        Raises:
            RunError: They cannot be written (disk full, ...); the file is left as it was.
        """
        if self._file is None:
            raise RunError(f"{self.path.parent} is closed")
        if not records:
            return
        lines = [_line(record) for record in records]
        size = os.fstat(self._file).st_size
        try:
            view = memoryview(b"".join(lines))
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, size)
            raise RunError(
                f"cannot write to {self.path}: {error.strerror}; "
                "everything up to here is kept: make room, then continue with --resume"
            ) from error
        for line in lines:
            self.records.grown(len(line))

    def close(self) -> None:
        """Close the file; its records can still be read."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


class ScratchLog:
    """Records of a search that has no folder: in memory while they are few, then in a temporary file of no name.

    Attributes:
        records: What it holds; the file is gone with them.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by its records
        self.records = Records(self._file)  # type: ignore[arg-type]

    def append(self, *records: Mapping[str, Any]) -> None:
        """Keep records."""
        self._file.seek(0, io.SEEK_END)
        for record in records:
            line = _line(record)
            self._file.write(line)
            self.records.grown(len(line))


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(line)
    return record


def _check(line: bytes, index: int, path: Path, check: Check) -> None:
    try:
        record = json.loads(line)
        problem = check(index, record) if isinstance(record, dict) else "not an object"
        if problem is not None:
            raise ValueError(problem)
    except ValueError as error:
        raise RunError(
            f"{path}:{index + 1} is damaged ({error}); delete this line and what follows, then --resume"
        ) from error
