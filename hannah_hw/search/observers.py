"""Following a run: the numbers that a progress display shows, observers of every kind, and stopping early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np

from hannah_hw.search.protocols import FloatArray

Record = dict[str, Any]
#: Why a run ended.
Ending = Literal["budget", "exhausted", "stopped"]


@dataclass(frozen=True)
class Front:
    """The front of a run so far, N candidates.

    Attributes:
        objectives: Objective -> ``min`` or ``max``, in order.
        ids: N ids, oldest first.
        points: (N, M) objectives, minimised: the sign is turned where one is maximised.
    """

    objectives: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    points: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.ids)

    def values(self, name: str) -> list[float]:
        """The N values of an objective, as they are."""
        sign = 1.0 if self.objectives[name] == "min" else -1.0
        column = self.points[:, list(self.objectives).index(name)]
        return [float(value) for value in sign * column]


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        generation: Number of the current generation, from 0.
        evaluations: Candidates charged so far.
        budget: Candidates that may be charged.
        failed: Of the charged ones, those that failed.
        stopped: Of the charged ones, those whose training ended before it was whole; see `hannah_hw.search.fidelity`.
        infeasible: Records of infeasible candidates.
        estimated: Candidates priced, screened offspring included.
        feasible_share: Share of the priced ones that keep every constraint known before training.
        hypervolume: `relative_hypervolume` of the front; None until the reference point is fixed. While a run goes
            on it may lag behind the front where that is large, so that showing it costs little; at the end it is exact.
        front_size: Candidates on the front.
        elapsed_s: Seconds since this process started the run.
        left_s: Estimated seconds to the end; None while nothing was evaluated by this process.
        hardware: Of a search for hardware too: param of the target -> its values on the front, as a person reads them.
        predictor: Where a learned predictor stands; see `hannah_hw.search.foresight.Foresight.summary`.
        front: The front itself.
    """

    generation: int
    evaluations: int
    budget: int
    failed: int
    infeasible: int
    estimated: int
    feasible_share: float
    hypervolume: float | None
    front_size: int
    elapsed_s: float
    left_s: float | None
    stopped: int = 0
    hardware: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    predictor: Mapping[str, Any] | None = None
    front: Front = field(default_factory=Front)


class StopSearch(Exception):  # noqa: N818 - a request, as StopIteration is
    """Raised by an observer to end the run: what was recorded is kept, and the run can be continued."""


class Observer(Protocol):
    """Follows a run. Every method is called in the process that runs the search, between evaluations.

    Any of them but `on_end` may raise `StopSearch`.
    """

    def on_start(self, progress: Progress, /) -> None:
        """The run begins or continues."""
        ...

    def on_record(self, record: Record, progress: Progress, /) -> None:
        """A record was written; not called for records read back from the log."""
        ...

    def on_generation(self, progress: Progress, /) -> None:
        """The algorithm was told a whole batch."""
        ...

    def on_end(self, progress: Progress, ending: Ending | None, /) -> None:
        """The run is over; `ending` is None if an error or an interrupt ended it."""
        ...


@runtime_checkable
class DataObserver(Protocol):
    """An observer of a run that is told, before it begins, what is wrong with its data."""

    def on_data(self, text: str, /) -> None:
        """One thing that is wrong, and what helps."""
        ...


@runtime_checkable
class LegalizationObserver(Protocol):
    """An observer of a run that is also told what narrowing the space to the target did, before the run begins."""

    def on_legalized(self, text: str, /) -> None:
        """The space was narrowed; the text says by what."""
        ...


@runtime_checkable
class OrderObserver(Protocol):
    """An observer of a run that is told, before the search begins, that no other run will be like it."""

    def on_order(self, text: str, /) -> None:
        """Why that is so."""
        ...


#: A function in an observer's place: called with every record as `Observer.on_record` is; True stops the search.
Callback = Callable[[Record, Progress], bool | None]


@dataclass(frozen=True)
class FunctionObserver:
    """A function as an observer.

    Attributes:
        function: Called with every record that is written.
    """

    function: Callback

    def on_start(self, progress: Progress, /) -> None:
        """See `Observer`."""

    def on_record(self, record: Record, progress: Progress, /) -> None:
        """See `Observer`."""
        if self.function(record, progress):
            raise StopSearch

    def on_generation(self, progress: Progress, /) -> None:
        """See `Observer`."""

    def on_end(self, progress: Progress, ending: Ending | None, /) -> None:
        """See `Observer`."""


def as_observers(given: Sequence[Observer | Callback]) -> list[Observer]:
    """Observers, those that are functions wrapped."""
    return [cast(Observer, one) if hasattr(one, "on_record") else FunctionObserver(one) for one in given]
