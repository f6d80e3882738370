"""What a configuration leaves to the search: which algorithm suits a problem, and when it is told results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from hannah_hw.search.algorithms import Algorithm
from hannah_hw.search.algorithms._rows import count_rows
from hannah_hw.search.algorithms.exact import refusal
from hannah_hw.search.metrics import Goals
from hannah_hw.search.outlook import EstimateOutlook
from hannah_hw.search.protocols import Problem

if TYPE_CHECKING:
    from hannah_hw.spaces.declarative import AskedSearch

#: The algorithm of a configuration that names none.
AUTO: Final = "auto"
#: Size of the population where nobody says one.
POPULATION: Final = 32
#: Lag where something is trained: workers go on while up to so many of the others are not done.
TRAINED_LAG: Final = 4

#: In which order the algorithm is told: see `hannah_hw.search.unordered`.
Order = Literal["asked", "finished"]

#: What a user must know of the order of finishing.
NOT_REPRODUCIBLE: Final = (
    "results are told in the order of finishing, which depends on the speed of workers: another run of the same "
    "configuration finds other candidates"
)


@dataclass(frozen=True)
class Choice:
    """An algorithm, and why it is that one.

    Attributes:
        algorithm: Its name or class.
        reason: In words; empty where it was named.
        resumed: Whether it is the choice of a run that goes on.
        options: Of the algorithm.
        population: Size of the population.
    """

    algorithm: str | type[Algorithm]
    reason: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    population: int = POPULATION
    resumed: bool = False

    def facts(self) -> dict[str, Any]:
        """What a run keeps, so that it goes on with the same choice; see `recalled`."""
        facts = {"algorithm": self._name, "options": dict(self.options), "population": self.population}
        return {**facts, "reason": self.reason} if self.reason else facts

    @property
    def _name(self) -> str:
        return self.algorithm if isinstance(self.algorithm, str) else self.algorithm.name

    def __str__(self) -> str:
        notes = [note for note in ("as when the run began" if self.resumed else "", self.reason) if note]
        return f"{self._name} ({': '.join(notes)})" if notes else self._name


@runtime_checkable
class ChoiceObserver(Protocol):
    """An observer of a run that is told, before the search begins, which algorithm was chosen."""

    def on_choice(self, text: str, /) -> None:
        """The algorithm, and why."""
        ...


@runtime_checkable
class AskingProblem(Protocol):
    """A problem whose space may ask to be searched in some way."""

    @property
    def asked_search(self) -> AskedSearch | None:
        """That way, if it has one."""
        ...


def choose(
    algorithm: str | type[Algorithm],
    goals: Goals,
    problem: Problem,
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    population: int | None = None,
) -> Choice:
    """The algorithm of a run.

    Args:
        algorithm: As configured; `AUTO` leaves the choice to the document of the space, or to this function.
        goals: Objectives and constraints.
        problem: The space and its prices.
        options: As configured; without any, those of the document, where that chooses.
        population: As configured; None: likewise.
    """
    asked = problem.asked_search if algorithm == AUTO and isinstance(problem, AskingProblem) else None
    if asked is None:
        name, reason = (algorithm, "") if algorithm != AUTO else _suited(goals, problem)
        return Choice(name, reason, options, population or POPULATION)
    reason = "the document of the space asks for it"
    if asked.left:
        reason += f"; not read: {', '.join(asked.left)}"
    size = population or asked.population or POPULATION
    return Choice(asked.algorithm, reason, options or asked.options, size)


def recalled(facts: Mapping[str, Any]) -> Choice | None:
    """The choice of a run that goes on, from its `Choice.facts`; None where they are not there."""
    name, options, population = (facts.get(key) for key in ("algorithm", "options", "population"))
    if not isinstance(name, str) or not isinstance(options, Mapping) or not isinstance(population, int):
        return None
    return Choice(name, str(facts.get("reason", "")), options, population, resumed=True)


def _suited(goals: Goals, problem: Problem) -> tuple[str, str]:
    """The algorithm that suits a problem, and why."""
    if goals.trained:
        return "surrogate", "something is trained, so every evaluation counts"
    why_not = refusal(problem.encoding, EstimateOutlook(problem, goals))
    if why_not is None:
        size = round(count_rows(problem.encoding))
        return "exact", f"nothing is trained, and all {size} combinations of parameters can be priced"
    return "adaptive", f"nothing is trained; {why_not}"


def choose_lag(lag: int | None, goals: Goals) -> int:
    """The lag of a run; None leaves it to this function. Where nothing is trained, nobody waits for results."""
    if lag is not None:
        return lag
    return TRAINED_LAG if goals.trained else 0


def choose_order(order: Order, goals: Goals) -> Order:
    """The order of a run. Where nothing is trained everything finishes at once, in the order of asking."""
    return order if goals.trained else "asked"
