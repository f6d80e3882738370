"""CPU time of calls, as the benchmarks of this folder take it."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_seconds(function: Callable[[], object], repetitions: int) -> float:
    """The least CPU time of several calls."""
    best = float("inf")
    for _ in range(repetitions):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best
