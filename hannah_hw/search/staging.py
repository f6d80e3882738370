"""Puts together what runs the stages of trainings, halving and warm starts, and says whose weights are still needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hannah_hw.search.cosearch import CoSearchProblem
from hannah_hw.search.fidelity import FidelitySection, Halving, discard
from hannah_hw.search.inheriting import Inheriting, Weights
from hannah_hw.search.metrics import Goals
from hannah_hw.search.observers import Record
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.tasks import Executor
from hannah_hw.spaces.space import assignment_id


def staged(
    executor: Executor, goals: Goals, section: FidelitySection, problem: SpaceProblem, folder: Path
) -> Executor:
    """What runs the tasks of a run in stages.

    Args:
        executor: Runs one stage.
        goals: Objectives and constraints.
        section: How.
        problem: The networks.
        folder: Of the weights of the run.
    """
    if section.inherit:
        from hannah_hw.scoring.inheritance import common_share
        from hannah_hw.scoring.weights import weights_file

        executor = Inheriting(
            executor,
            lambda assignment: weights_of(problem, assignment),
            common_share,
            limit=section.weights,
            discard=lambda identifier: discard(weights_file(folder, identifier)),
        )
    return Halving(executor, goals, section, lambda name: discard(folder / name))


def keep_weights(folder: Path, problem: SpaceProblem, front: Iterable[Record]) -> None:
    """Remove the weights of all candidates that are not on a front, when no training begins with them any more.

    Those of the front are what other options of fine-tuning would begin with. Without them it trains again, to the same
    weights, so that nothing depends on a file that is removed.

    Args:
        folder: Of the weights of the run; it need not exist.
        problem: The networks.
        front: Records.
    """
    kept = {assignment_id(_network(problem, record["assignment"])) for record in front}
    for file in sorted(folder.glob("*.npz")):
        if file.name.partition(".")[0] not in kept:
            discard(file)


def weights_of(problem: SpaceProblem, assignment: Mapping[str, Any]) -> Weights:
    """What is known of the weights of a network; hardware that is searched with it is no part of it."""
    values = problem.space.candidate(assignment).plan.weights.values()
    return Weights(
        assignment_id(_network(problem, assignment)),
        {value.id: value.shape() for value in values},
        frozenset(value.id for value in values if value.grad),
    )


def _network(problem: SpaceProblem, assignment: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a candidate's network."""
    hardware = problem.axes.ids if isinstance(problem, CoSearchProblem) else ()
    return {name: value for name, value in assignment.items() if name not in hardware}
