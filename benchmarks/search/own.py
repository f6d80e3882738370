"""This project's algorithms, driven through a `Ledger` as peers are: one batch is told before the next is asked.

In mode ``all`` nothing is known before an evaluation: a black box. In mode ``free`` an algorithm has an outlook: the
free objectives, the constraints that the cost model knows, and its further figures.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.search.accounting import Ledger, violation
from hannah_hw.search.algorithms import ALGORITHMS
from hannah_hw.search.protocols import FloatArray, Known

#: Parts of the package whose change makes kept runs worthless, where an algorithm imports them.
PACKAGE: Final = "hannah_hw.search"
#: A surrogate is run this far; evolution further.
WITH_MODEL: Final = 300
WITHOUT_MODEL: Final = 2000
POPULATION: Final = 50


@dataclass(frozen=True)
class Own:
    """One of our engines.

    Attributes:
        algorithm: Name in the registry.
        evaluations: The most that it is run for.
    """

    algorithm: str
    evaluations: int


_WANTED: Final = {
    "adaptive": WITHOUT_MODEL,
    "surrogate": WITH_MODEL,
    "nsga2": WITHOUT_MODEL,
    "aging": WITHOUT_MODEL,
}
#: Name in tables and file names -> engine.
OWN: Final = {f"own-{name}": Own(name, most) for name, most in _WANTED.items() if name in ALGORITHMS}


class KnownFigures:
    """An `Outlook` on the free figures of a ledger's problem, whose time is the problem's; it predicts nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def known(self, rows: FloatArray) -> Known:
        """Free objectives, screened constraints and features of rows."""
        clock = time.process_time()
        problem = self._ledger.problem
        objectives, excess = problem.known(rows)
        figures = Known(objectives, violation(excess), problem.features(rows))
        self._ledger.seconds += time.process_time() - clock
        return figures

    def expected(self, rows: FloatArray) -> FloatArray | None:
        """Nothing."""
        return None


def run_own(engine: str, ledger: Ledger, seed: int) -> None:
    """Ask and tell until the ledger is spent or nothing new is proposed.

    Args:
        engine: A name of `OWN`.
        ledger: Gives values.
        seed: Fixes the run.
    """
    problem = ledger.problem
    known = ledger.mode == "free"
    algorithm = ALGORITHMS[OWN[engine].algorithm](
        problem.columns,
        len(problem.reference),
        population=POPULATION,
        seed=seed,
        outlook=KnownFigures(ledger) if known else None,
    )
    while len(rows := algorithm.ask(algorithm.batch)):
        objectives, excess = ledger(rows)
        hidden = None if (known and problem.screened) or not excess.shape[1] else excess
        algorithm.tell(rows, objectives, violation(excess), excess=hidden)


@functools.cache
def version(engine: str) -> str:
    """A hash of the source code that an engine runs: its module and what that imports of `PACKAGE`."""
    waiting = [inspect.getmodule(ALGORITHMS[OWN[engine].algorithm]).__name__]
    sources: dict[str, bytes] = {}
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        path = Path(str(importlib.import_module(name).__file__))
        if path.name == "__init__.py":
            continue
        sources[name] = path.read_bytes()
        imports = (node for node in ast.walk(ast.parse(sources[name])) if isinstance(node, ast.ImportFrom))
        waiting += [str(node.module) for node in imports if str(node.module).startswith(PACKAGE)]
    return hashlib.sha256(b"".join(sources[name] for name in sorted(sources))).hexdigest()[:12]


# Taken when the source is imported: it may be another one when a run ends.
for _engine in OWN:
    version(_engine)
