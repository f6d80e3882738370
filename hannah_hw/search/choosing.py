"""What a configuration leaves to the search: which algorithm suits a problem, and how far results may lag behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from hannah_hw.search.algorithms import Algorithm
from hannah_hw.search.algorithms.exact import count_rows, refusal
from hannah_hw.search.metrics import Goals
from hannah_hw.search.outlook import EstimateOutlook
from hannah_hw.search.protocols import Problem

#: The algorithm of a configuration that names none.
AUTO: Final = "auto"
#: Lag where something is trained: workers go on while up to so many of the others are not done.
TRAINED_LAG: Final = 4


@dataclass(frozen=True)
class Choice:
    """An algorithm, and why it is that one.

    Attributes:
        algorithm: Its name or class.
        reason: In words; empty where it was named.
    """

    algorithm: str | type[Algorithm]
    reason: str = ""

    def __str__(self) -> str:
        name = self.algorithm if isinstance(self.algorithm, str) else self.algorithm.name
        return f"{name} ({self.reason})" if self.reason else name


@runtime_checkable
class ChoiceObserver(Protocol):
    """An observer of a run that is told, before the search begins, which algorithm was chosen."""

    def on_choice(self, text: str, /) -> None:
        """The algorithm, and why."""
        ...


def choose(algorithm: str | type[Algorithm], goals: Goals, problem: Problem) -> Choice:
    """The algorithm of a run.

    Args:
        algorithm: As configured; `AUTO` leaves the choice to this function.
        goals: Objectives and constraints.
        problem: The space and its prices.
    """
    if algorithm != AUTO:
        return Choice(algorithm)
    if goals.trained:
        return Choice("surrogate", "something is trained, so every evaluation counts")
    why_not = refusal(problem.encoding, EstimateOutlook(problem, goals))
    if why_not is None:
        size = round(count_rows(problem.encoding))
        return Choice("exact", f"nothing is trained, and all {size} combinations of parameters can be priced")
    return Choice("adaptive", f"nothing is trained; {why_not}")


def choose_lag(lag: int | None, goals: Goals) -> int:
    """The lag of a run; None leaves it to this function. Where nothing is trained, nobody waits for results."""
    if lag is not None:
        return lag
    return TRAINED_LAG if goals.trained else 0
