"""The run directory: ``config.yaml``, ``candidates.jsonl``, ``state.json``, ``artifacts/``, and what was asked for.

``candidates.jsonl`` is the truth, a `hannah_hw.search.record_log.RecordLog`. ``state.json`` is a summary that is
replaced atomically as the run goes on. A run resumes by replaying the log: the algorithm is asked again from
the same seed and told what the log says, so the state never has to be trusted, only compared.
``finished.jsonl`` holds records that wait for an earlier one, so that a kill loses nothing that was evaluated; it is
there only while there are some.
``measurements.jsonl`` holds what the upper rung measured, ``finalists.jsonl`` what fine-tuning made of the front, where
they were asked for; the search does not read them.
``proxies.jsonl`` holds zero-cost proxies of networks, ``supernet.npz`` the weights of a supernet, ``weights/`` those of
candidates that are trained further, that others may begin with when the run is continued, or that are finalists.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hannah_hw.errors import RunError
from hannah_hw.files import remove_unfinished
from hannah_hw.search.record_log import RecordLog

CONFIG: Final = "config.yaml"
LOG: Final = "candidates.jsonl"
MEASUREMENTS: Final = "measurements.jsonl"
FINALISTS: Final = "finalists.jsonl"
FINISHED: Final = "finished.jsonl"
STATE: Final = "state.json"
ARTIFACTS: Final = "artifacts"
WEIGHTS: Final = "weights"
LOCK: Final = ".lock"


class RunDirectory:
    """A run directory, locked for this process while it is open.

    Args:
        path: The folder.
        resume: Continue the run that it holds; otherwise it must not hold one.

    Attributes:
        path: The folder.
        records: What the log holds, each record read when it is asked for.

    Raises:
        RunError: It holds a run (without `resume`) or none (with it), another process uses it, it cannot be
            written, or its log is damaged before the last line.
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self._log: RecordLog | None = None
        self._others: dict[str, RecordLog] = {}
        self._finished: RecordLog | None = None
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
            self._lock: int | None = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot use {self.path} as a run directory: {error.strerror}") from error
        try:
            _lock(self._lock, self.path)
            self._sweep()
            self._log = RecordLog(self.path / LOG, _in_order)
            self.records = self._log.records
        except BaseException:
            self.close()
            raise

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write the next records of candidates; see `RecordLog.append`."""
        if self._log is None:
            raise RunError(f"{self.path} is closed")
        self._log.append(*records)

    def keep(self, record: Mapping[str, Any]) -> None:
        """Keep a finished record that waits for an earlier one; see `RecordLog.append`."""
        if self._finished is None:
            self._finished = RecordLog(self.path / FINISHED, _numbered)
        self._finished.append(record)

    def kept(self) -> dict[int, dict[str, Any]]:
        """Index -> finished record of those that wait for an earlier one.

        Raises:
            RunError: Their file is damaged before its last line.
        """
        if not (self.path / FINISHED).is_file():
            return {}
        if self._finished is None:
            self._finished = RecordLog(self.path / FINISHED, _numbered)
        return {r["index"]: r for r in self._finished.records if r["index"] >= len(self.records)}

    def release(self) -> None:
        """No record waits any more: all that were kept are in the log."""
        if self._finished is not None:
            self._finished.close()
            self._finished = None
            (self.path / FINISHED).unlink(missing_ok=True)

    def open_measurements(self) -> RecordLog:
        """The records of measured candidates, open until the directory is closed; see `RecordLog`.

        Raises:
            RunError: The file cannot be opened, or is damaged before its last line.
        """
        return self._opened(MEASUREMENTS)

    def open_finalists(self) -> RecordLog:
        """The records of fine-tuned candidates; see `open_measurements`."""
        return self._opened(FINALISTS)

    def _opened(self, name: str) -> RecordLog:
        if name not in self._others:
            self._others[name] = RecordLog(self.path / name, _named)
        return self._others[name]

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
        """Close the files and release the lock."""
        for log in (self._log, *self._others.values(), self._finished):
            if log is not None:
                log.close()
        if self._lock is not None:
            self._sweep()
            os.close(self._lock)
        self._others.clear()
        self._log = self._finished = self._lock = None

    def _sweep(self) -> None:
        """Remove what killed processes were writing; workers are killed where they take too long."""
        for folder in (self.path, self.path / ARTIFACTS, self.path / WEIGHTS):
            remove_unfinished(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _in_order(index: int, record: Mapping[str, Any]) -> str | None:
    """Candidates carry their number."""
    if "index" not in record:
        return "'index'"
    return None if record["index"] == index else f"expected the record of index {index}"


def _numbered(_index: int, record: Mapping[str, Any]) -> str | None:
    """Records that wait carry the number that they will have."""
    return (
        None
        if isinstance(record.get("index"), int) and isinstance(record.get("id"), str)
        else "no 'index' and 'id'"
    )


def _named(_index: int, record: Mapping[str, Any]) -> str | None:
    """Measurements carry the id of their candidate and how they went."""
    return None if isinstance(record.get("id"), str) and "status" in record else "no 'id' and 'status'"


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
