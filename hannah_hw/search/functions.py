"""A function as the expensive part of an evaluation, for searches from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hannah_hw.search.pipeline import load_space
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.protocols import Evaluator, Problem

if TYPE_CHECKING:
    from hannah_hw.search.tasks import Task
    from hannah_hw.spaces import SearchSpace

#: ``score(candidate, budget) -> dict``; see `hannah_hw.scoring.own`.
ScoreFunction = Callable[[Any, float], Mapping[str, Any]]


@dataclass
class FunctionEvaluator:
    """Calls a function for a candidate; see `hannah_hw.scoring.own` and `hannah_hw.search.protocols.Evaluator`.

    Attributes:
        function: In worker processes one that they can import.
        space: The space of the networks, and its options, by which a worker loads it; None where there are none.
        seed: Of the search.
        artifacts: Where candidates have their folders.
    """

    function: ScoreFunction
    space: tuple[str, Mapping[str, Any]] | None
    seed: int
    artifacts: Path
    loaded: SearchSpace | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the space itself: its graph holds functions, which no other process takes."""
        return {**vars(self), "loaded": None}

    def start(self) -> None:
        """Load the space, in another process."""
        if self.space is not None and self.loaded is None:
            self.loaded = load_space(*self.space)

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """Score one candidate with the share of the effort that the task asks for."""
        from hannah_hw.scoring.own import score_assignment

        candidate = None if self.loaded is None else self.loaded.candidate(task.assignment)
        return score_assignment(
            self.function,
            task.identifier,
            task.assignment,
            candidate,
            seed=self.seed,
            folder=self.artifacts,
            budget=task.share,
        )

    @property
    def folder(self) -> Path:
        """What files are named from; see `hannah_hw.search.protocols.Portable`."""
        return self.artifacts.parent

    def moved(self, folder: Path, /) -> FunctionEvaluator:
        """The same with the candidates' folders in another one."""
        return replace(self, artifacts=folder / self.artifacts.name, loaded=None)

    def reads(self, task: Task, /) -> list[str]:
        """The candidate's own folder."""
        return [f"{self.artifacts.name}/{task.identifier}"]


def as_evaluator(
    given: Evaluator | ScoreFunction, problem: Problem, seed: int, folder: Path | None
) -> Evaluator:
    """An evaluator as it is, a function as an evaluator.

    Args:
        given: What the caller gave.
        problem: What is searched. Where it is a space of networks, and hardware is not searched with it, the function
            is given the network.
        seed: Of the search.
        folder: Where candidates have their folders; None: a new one for temporary files, which remains.
    """
    if hasattr(given, "evaluate"):
        return cast(Evaluator, given)
    function: ScoreFunction = given
    where = Path(tempfile.mkdtemp(prefix="hannah_hw_")) if folder is None else folder
    if type(problem) is not SpaceProblem:
        return FunctionEvaluator(function, None, seed, where)
    space = problem.space
    return FunctionEvaluator(function, (space.name, dict(space.options)), seed, where, space)
