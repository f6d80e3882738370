"""Runs in which nothing but failures is evaluated end early."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hannah_hw.errors import RunError
from hannah_hw.search.observers import Record

#: Failed evaluations, without a single success, after which a run gives up.
FAILURES: Final = 8


class Failures:
    """Counts the reasons of failures."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()

    def add(self, record: Record, failed: int, evaluations: int) -> RunError | None:
        """The error that ends a run in which nothing but failures was evaluated.

        Args:
            record: A new record of any status.
            failed: Failures so far, this one included.
            evaluations: Candidates charged so far, this one included.
        """
        if record["status"] != "failed" or failed < evaluations:
            return None
        self._reasons[f"{record['reason']['kind']}: {record['reason']['message']}"] += 1
        if failed < FAILURES:
            return None
        text, times = self._reasons.most_common(1)[0]
        return RunError(f"all of the first {failed} evaluations failed; {times} times {text}")
