"""What the search needs from its surroundings, said as protocols.

The engine works on rows of numbers; spaces, cost models and trainers are handed to it. The protocols exist so
that a search over anything else (a table, a formula, a remote service) needs no adapter class hierarchy, and so
that the tests can drive the engine with real functions instead of networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hannah_hw.search.tasks import Task

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class Encoding(Protocol):
    """A conditional mixed parameter space seen as D numeric columns.

    Attributes:
        ids: D parameter names.
        levels: (D,) number of levels of a column; 0 marks a continuous one, which holds a position in [0, 1].
        ordered: (D,) False for unordered categories.
        default: (D,) declared default, as a level index or a position.
        groups: (D,) sub-tree of a column; crossover keeps sub-trees together.
    """

    @property
    def ids(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def levels(self) -> IntArray: ...  # noqa: D102
    @property
    def ordered(self) -> BoolArray: ...  # noqa: D102
    @property
    def default(self) -> FloatArray: ...  # noqa: D102
    @property
    def groups(self) -> IntArray: ...  # noqa: D102

    def active(self, rows: FloatArray, /) -> BoolArray:
        """(P, D) which columns mean something in each row."""
        ...

    def canonical(self, rows: FloatArray, /) -> FloatArray:
        """(P, D) rows clipped and rounded, inactive columns at their default: equal rows are one candidate."""
        ...

    def sample(self, n: int, rng: np.random.Generator, /) -> FloatArray:
        """(n, D) random canonical rows."""
        ...


class Estimates(Protocol):
    """What is known about P candidates before anything is trained.

    Attributes:
        columns: Metric key (``latency_s``, ``energy_j``, ``ram_bytes``, ``flash_bytes``, ``macs``,
            ``parameters``) -> (P,) values; NaN where the target has no figure.
        supported: (P,) False where the target cannot run the candidate.
    """

    @property
    def columns(self) -> Mapping[str, FloatArray]: ...  # noqa: D102
    @property
    def supported(self) -> BoolArray: ...  # noqa: D102

    def report(self, index: int, /) -> dict[str, Any] | None:
        """The full cost report of one candidate, ready for JSON; None where there is none."""
        ...

    def unsupported(self, index: int, /) -> str:
        """Why the target cannot run a candidate."""
        ...


@runtime_checkable
class BandedEstimates(Protocol):
    """Estimates that say how far they may be off.

    Attributes:
        bands: Metric key -> (P,) relative half width of the 90 % interval; NaN where none is known: the value then
            counts as it stands.
    """

    @property
    def bands(self) -> Mapping[str, FloatArray]: ...  # noqa: D102


def half_widths(estimates: Estimates, key: str) -> FloatArray:
    """(P,) relative half widths of the interval of a metric; 0 where none is known."""
    bands = estimates.bands if isinstance(estimates, BandedEstimates) else {}
    return np.nan_to_num(bands[key]) if key in bands else np.zeros(len(estimates.supported))


@dataclass(frozen=True)
class Known:
    """What costs nothing to know of P rows of an encoding.

    A row with a violation may hold NaN anywhere in its objectives: there may be no figures for what a target
    cannot run.

    Attributes:
        objectives: (P, M) minimised; NaN columns are those that only an evaluation tells.
        violation: (P,) total violation of the constraints that are known, 0 where all are kept.
        features: (P, F) further free figures that a model of the expensive ones may use (logarithms of metrics,
            for example); finite.
    """

    objectives: FloatArray
    violation: FloatArray
    features: FloatArray


class Outlook(Protocol):
    """What an algorithm can learn about rows without evaluating them."""

    def known(self, rows: FloatArray, /) -> Known:
        """What costs nothing to know of (P, D) canonical rows."""
        ...

    def expected(self, rows: FloatArray, /) -> FloatArray | None:
        """(P, M) objectives, minimised, with the expensive ones predicted by a learned predictor.

        None while no predictor is good enough.
        """
        ...


class Problem(Protocol):
    """A space together with a way to price it."""

    @property
    def encoding(self) -> Encoding: ...  # noqa: D102

    def describe(self, rows: FloatArray, /) -> Sequence[tuple[str, dict[str, Any]]]:
        """Identifier and assignment (active parameters only, ready for JSON) of each row."""
        ...

    def estimate(self, rows: FloatArray, /) -> Estimates:
        """Price a whole batch at once."""
        ...


class Evaluator(Protocol):
    """The expensive part of an evaluation. It must be picklable: it is sent to the worker processes.

    A worker calls `start` once and then `evaluate` for one candidate after another.
    """

    def start(self) -> None:
        """Load what every evaluation shares."""
        ...

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """Score one candidate; the result may depend on nothing but the evaluator and the task.

        Args:
            task: The candidate, and how much is to be done for it.

        Returns:
            Metric key -> number (``error`` at least, where an objective or a constraint needs it); the key
            ``artifact`` may hold a path relative to the run directory.

        Raises:
            EvaluationError: The candidate failed; recorded with its ``kind``.
        """
        ...


@runtime_checkable
class Portable(Protocol):
    """An evaluator with files in the folder of the run, which a worker on another machine does not have.

    There it works in a folder that has what the task reads, and what it writes or changes is sent back.

    Attributes:
        folder: That of the run; `evaluate` reads and writes no files of the run outside of it.
    """

    @property
    def folder(self) -> Path: ...  # noqa: D102

    def moved(self, folder: Path, /) -> Evaluator:
        """The same evaluator, not started, for another folder, which exists and is empty."""
        ...

    def reads(self, task: Task, /) -> Iterable[str]:
        """What the task reads where it exists: glob patterns of files in `folder`, or of folders with all in them."""
        ...
