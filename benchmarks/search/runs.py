"""One run of one engine, kept in a file of its own, so that a comparison can be interrupted and widened."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.search.accounting import Ledger, Spent
from benchmarks.search.own import OWN, run_own, version
from benchmarks.search.peers import PEERS
from benchmarks.search.problems import Problem
from hannah_hw.search.protocols import BoolArray, FloatArray

#: Engines are asked for no more than this many candidates an evaluation, where they name no limit of their own.
REQUESTS: Final = 30
#: The same in mode ``all``, where only repeats are free.
REPEATS: Final = 5


@dataclass(frozen=True)
class Run:
    """What a finished run leaves.

    Attributes:
        budget: Charged evaluations that it was allowed.
        objectives: (N, M) charged candidates in their order, N at most the budget.
        feasible: (N,) whether they keep all constraints.
        seconds: CPU time of the engine, evaluations excluded.
        requests: Candidates it asked for, charged or not.
        version: Of our engines, a hash of their source code; empty for peers.
    """

    budget: int
    objectives: FloatArray
    feasible: BoolArray
    seconds: float
    requests: int
    version: str


@dataclass(frozen=True)
class Job:
    """One engine on one problem with one seed."""

    problem: str
    mode: str
    engine: str
    seed: int
    budget: int

    def path(self, folder: Path) -> Path:
        """Where its run is kept."""
        return folder / f"{self.problem}_{self.mode}_{self.engine}_{self.seed}.npz"

    def done(self, folder: Path) -> bool:
        """Whether a run of at least this budget, of the present source code, is kept."""
        path = self.path(folder)
        if not path.exists():
            return False
        run = read(path)
        return run.budget >= self.budget and run.version == version_of(self.engine)


def engines() -> list[str]:
    """Names of all engines, ours first."""
    return [*OWN, *PEERS]


def limit(engine: str) -> int:
    """The most evaluations that an engine is run for."""
    return OWN[engine].evaluations if engine in OWN else PEERS[engine][1]


def execute(job: Job, problem: Problem, folder: Path) -> Run:
    """Run a job and keep what it leaves."""
    own = job.engine in OWN
    patience = REQUESTS if own else PEERS[job.engine][2]
    if job.mode == "all":
        patience = min(patience, REPEATS)
    ledger = Ledger(problem, job.mode, job.budget, patience)
    engine: Callable[[Ledger, int], None] = (
        (lambda book, seed: run_own(job.engine, book, seed)) if own else PEERS[job.engine][0]
    )
    clock = time.process_time()
    with contextlib.suppress(Spent):
        engine(ledger, job.seed)
    seconds = time.process_time() - clock - ledger.seconds
    width = len(problem.reference)
    run = Run(
        job.budget,
        np.array(ledger.objectives, float).reshape(-1, width),
        np.array(ledger.feasible, bool),
        seconds,
        ledger.requests,
        version_of(job.engine),
    )
    _write(run, job.path(folder))
    return run


def version_of(engine: str) -> str:
    """A hash of the source of one of our engines; empty for peers."""
    return version(engine) if engine in OWN else ""


def _write(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    np.savez_compressed(part, **vars(run))
    part.replace(path)


def read(path: Path) -> Run:
    """A run that was kept."""
    with np.load(path, allow_pickle=False) as data:
        return Run(
            int(data["budget"]),
            data["objectives"],
            data["feasible"],
            float(data["seconds"]),
            int(data["requests"]),
            str(data["version"]),
        )
