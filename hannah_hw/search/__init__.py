"""Searching a space for the Pareto front: configuration, algorithms, workers, run directory.

`run_search` runs a configuration in a folder and can be killed and resumed at any moment; `Search` does the
same in memory, from Python.
"""

from __future__ import annotations

from hannah_hw.search.algorithms import ALGORITHMS, Algorithm
from hannah_hw.search.config import SearchConfig, load_config
from hannah_hw.search.dryrun import DryRun, dry_run
from hannah_hw.search.live import LiveDisplay, display
from hannah_hw.search.loop import Search
from hannah_hw.search.observers import Observer, Progress, StopSearch
from hannah_hw.search.progress import PlainLines
from hannah_hw.search.running import RunResult, run_search

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "DryRun",
    "LiveDisplay",
    "Observer",
    "PlainLines",
    "Progress",
    "RunResult",
    "Search",
    "SearchConfig",
    "StopSearch",
    "display",
    "dry_run",
    "load_config",
    "run_search",
]
