"""Work on chosen candidates after a search, each once, with records of its own.

The search does not learn from it, so that it can be asked for later, by resuming a finished run. Records are appended
in the order of asking, whatever the order in which workers finish, and one that exists is kept, so that a run that was
killed here ends with the same file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hannah_hw.errors import RunError
from hannah_hw.search.observers import Record
from hannah_hw.search.record_log import RecordLog
from hannah_hw.search.tasks import Executor, Outcome, Task, run_all


class FollowUp(ABC):
    """Does something with candidates that have no record of it yet, and keeps the records.

    Args:
        log: Where they are kept.
        executor: Does it.

    Attributes:
        known: Candidate id -> its record: ``id``, ``status`` (``ok`` or ``failed``), ``reason`` (``kind`` and
            ``message``, or None) and what it gave.
        path: File of the records.
    """

    #: What is left where it is interrupted: so many of so many.
    left: ClassVar[str]

    def __init__(self, log: RecordLog, executor: Executor) -> None:
        self.known: dict[str, Record] = {r["id"]: r for r in log.records if self._counts(r)}
        self.path = log.path
        self._log = log
        self._executor = executor
        self._asked: set[str] = set()

    @abstractmethod
    def _counts(self, record: Record) -> bool:
        """Whether a record of an earlier run counts, or its candidate is to be done again."""

    @abstractmethod
    def _given(self, metrics: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The further fields of a record, from what the work gave; None after a failure."""

    @abstractmethod
    def _told(self, done: int, total: int) -> None:
        """So many of the candidates that were asked for have a record; also called before the first."""

    def run(self, records: Sequence[Record]) -> list[Record]:
        """Do it with those of some candidates that have no record yet.

        Args:
            records: Of the search.

        Returns:
            Their records.

        Raises:
            RunError: It was interrupted, it fails for all candidates for the same reason, or a record cannot be
                written.
        """
        tasks = [Task(r["id"], r["assignment"]) for r in records if r["id"] not in self.known]
        self._asked |= {record["id"] for record in records}
        self._tell()
        finished: dict[int, Outcome] = {}
        written = 0
        try:
            for position, outcome in run_all(self._executor, tasks):
                finished[position] = outcome
                while written in finished:
                    self._keep(tasks[written], finished.pop(written))
                    written += 1
                    self._tell()
        except KeyboardInterrupt as interrupt:
            number = f"{len(tasks) - written} of {len(self._asked)}"
            raise RunError(
                f"the search is done; interrupted with {number} {self.left}; continue with --resume"
            ) from interrupt
        return [self.known[record["id"]] for record in records]

    def _tell(self) -> None:
        self._told(len(self._asked & self.known.keys()), len(self._asked))

    def _keep(self, task: Task, outcome: Outcome) -> None:
        record: Record = {
            "id": task.identifier,
            "status": "ok" if outcome.reason is None else "failed",
            "reason": None if outcome.reason is None else dict(outcome.reason),
            **self._given(outcome.metrics if outcome.reason is None else None),
        }
        self._log.append(record)
        self.known[record["id"]] = record
