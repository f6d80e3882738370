"""The run directory: ``config.yaml``, ``candidates.jsonl``, ``state.json`` and ``artifacts/``.

``candidates.jsonl`` is the truth: one record a line, appended by one writer, flushed to the disk line by line.
A kill can tear only its last line; opening the directory again drops a torn line. ``state.json`` is a summary
that is replaced atomically after every generation. A run resumes by replaying the log: the algorithm is asked
again from the same seed and told what the log says, so the state never has to be trusted, only compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hannah_hw.errors import RunError

CONFIG: Final = "config.yaml"
LOG: Final = "candidates.jsonl"
STATE: Final = "state.json"
ARTIFACTS: Final = "artifacts"
LOCK: Final = ".lock"


class RunDirectory:
    """A run directory, locked for this process while it is open.

    Args:
        path: The folder.
        resume: Continue the run that it holds; otherwise it must not hold one.

    Attributes:
        path: The folder.
        records: What the log held when it was opened; not kept up to date.

    Raises:
        RunError: It holds a run (without `resume`) or none (with it), another process uses it, it cannot be
            written, or its log is damaged before the last line.
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self._log: int | None = None
        holds_run = (self.path / CONFIG).exists() or _size(self.path / LOG) > 0
        if holds_run and not resume:
            raise RunError(
                f"{self.path} already holds a run; continue it with --resume or choose another folder"
            )
        if resume and not (self.path / CONFIG).exists():
            raise RunError(f"{self.path} holds no run to resume; start one without --resume")
        if not resume and self.path.is_dir() and not all(map(_is_leftover, self.path.iterdir())):
            raise RunError(f"{self.path} is not empty; choose another folder")
        try:
            (self.path / ARTIFACTS).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot use {self.path} as a run directory: {error.strerror}") from error
        try:
            _lock(self._lock, self.path)
            self.records = self._open_log()
        except BaseException:
            self.close()
            raise

    def _open_log(self) -> list[dict[str, Any]]:
        """Read the log, drop a torn last line, and open it for appending."""
        path = self.path / LOG
        try:
            self._log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            data = path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                os.ftruncate(self._log, end)
                os.fsync(self._log)
        except OSError as error:
            raise RunError(f"cannot open {path}: {error.strerror}") from error
        records = []
        for number, line in enumerate(data[:end].splitlines(), 1):
            try:
                record = json.loads(line)
                if not isinstance(record, dict) or record["index"] != number - 1:
                    raise ValueError(f"expected the record of index {number - 1}")
            except (ValueError, KeyError) as error:
                raise RunError(
                    f"{path}:{number} is damaged ({error}); delete this line and what follows, then --resume"
                ) from error
            records.append(record)
        return records

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and wait until the disk has it.

        Raises:
            RunError: It cannot be written (disk full, ...); the log is left without a partial line.
        """
        if self._log is None:
            raise RunError(f"{self.path} is closed")
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._log).st_size
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._log, view) :]
            os.fsync(self._log)
        except OSError as error:
            os.ftruncate(self._log, size)
            raise RunError(
                f"cannot write to {self.path / LOG}: {error.strerror}; "
                "everything up to here is kept: make room, then continue with --resume"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Replace a file of the directory atomically.

        Raises:
            RunError: It cannot be written; the old file is left as it was.
        """
        path = self.path / name
        temporary = path.with_name(f".{name}.part")
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RunError(
                f"cannot write {path}: {error.strerror}; "
                "everything up to here is kept: make room, then continue with --resume"
            ) from error

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace ``state.json``; see `write`."""
        self.write(STATE, json.dumps(state, indent=1, allow_nan=False) + "\n")

    def read_state(self) -> dict[str, Any] | None:
        """The last ``state.json``; None where there is none or it is not readable."""
        try:
            state = json.loads((self.path / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return state if isinstance(state, dict) else None

    def close(self) -> None:
        """Release the lock."""
        for descriptor in (self._log, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._log = self._lock = None  # type: ignore[assignment]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _is_leftover(path: Path) -> bool:
    """Whether a file or folder is what a run leaves that was killed before its first record."""
    if path.is_dir():
        return path.name == ARTIFACTS and not any(path.iterdir())
    return path.name == LOCK or path.suffix == ".part" or (path.name == LOG and _size(path) == 0)


def _lock(descriptor: int, path: Path) -> None:
    """Lock the directory for this process; the system releases it however the process ends.

    Systems without ``flock`` (Windows) are not protected.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise RunError(
            f"another process is running in {path}; wait for it or choose another folder"
        ) from error
