"""A first search for somebody's samples and chip: which space, which bounds, how long to train."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hannah_hw.onboarding.chip import Chip
from hannah_hw.onboarding.fitting import Fit, Samples, choose_space, price

#: Optimiser steps that a candidate is trained for, whatever the number of samples; see `hannah_hw.scoring.Training`,
#: whose defaults were chosen at about as many.
STEPS: Final = 600
#: Fewest and most epochs for that.
EPOCHS: Final = (3, 50)
#: Candidates that are trained.
EVALUATIONS: Final = 96
#: Most processes that a first configuration asks for.
MOST_WORKERS: Final = 8
#: Nominal seconds of training that a first search may take altogether, which sets the budget of a candidate.
SEARCH_S: Final = 600.0
#: Random candidates whose training is timed by the formula.
_TIMED: Final = 40


@dataclass(frozen=True)
class Draft:
    """A first configuration, and what was found out for it.

    Attributes:
        data: A name or a path that `hannah_hw.scoring.load_data` takes.
        reading: Fields of the section ``data`` beside the path: how files are read.
        facts: Of the data: `hannah_hw.scoring.describing.describe_data`.
        chip: The target.
        fit: The space, and what its random candidates cost.
        training: The section ``training``.
        workers: Processes.
        minutes: Nominal minutes of training of the whole search on so many processes.
    """

    data: str
    reading: Mapping[str, Any]
    facts: Mapping[str, Any]
    chip: Chip
    fit: Fit
    training: Mapping[str, float]
    workers: int
    minutes: float

    @property
    def objectives(self) -> dict[str, str]:
        """Objective -> direction."""
        return self.chip.objectives(self.fit.priced.quartiles)

    @property
    def duration(self) -> str:
        """The nominal minutes in words."""
        whole = max(round(self.minutes), 1)
        return f"{whole} minute{'' if whole == 1 else 's'}"

    @property
    def samples(self) -> Samples:
        """What the space takes."""
        return _samples(self.facts)


def draft_config(
    data: str, chip: Chip, *, space: str | None = None, reading: Mapping[str, Any] | None = None
) -> Draft:
    """A first search for some data and a chip.

    Args:
        data: A name or a path that `hannah_hw.scoring.load_data` takes.
        chip: The target.
        space: A space, by name or path; by default one of the catalogue's for such samples.
        reading: How files are read; see `hannah_hw.sources`.

    Raises:
        DataError: The data cannot be used, and why.
        InputError: No space can run on the chip, and why.
        MissingExtraError: A package that reads the data is not installed.
    """
    from hannah_hw.scoring.describing import describe_data
    from hannah_hw.sources import as_source

    reading = dict(reading or {})
    if reading:
        # A configuration says the kind, which a description of the data may leave to its files.
        reading = {"kind": as_source({"path": data, **reading}).kind, **reading}
    facts = describe_data({"path": data, **reading} if reading else data)
    samples = _samples(facts)
    if space is not None:
        fit = Fit(space, price(space, samples, chip, chip.bounds), {})
    else:
        fit = choose_space(samples, chip, chip.bounds)
    workers = min(_cores(), MOST_WORKERS)
    trained = int(facts["samples"]["train"])
    training = _training(trained, workers)
    return Draft(
        data=data,
        reading=reading,
        facts=facts,
        chip=chip,
        fit=fit,
        training=training,
        workers=workers,
        minutes=_minutes(fit, samples, training, trained, workers),
    )


def _samples(facts: Mapping[str, Any]) -> Samples:
    return Samples(tuple(facts["input_shape"]), len(facts["classes"]))


def _cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _training(samples: int, workers: int) -> dict[str, float]:
    """Epochs for as many steps whatever the number of samples, and a budget that ends the search in time."""
    from hannah_hw.scoring import Training

    epochs = round(STEPS * Training().batch_size / samples)
    budget = SEARCH_S * workers / EVALUATIONS
    return {"epochs": min(max(epochs, EPOCHS[0]), EPOCHS[1]), "budget_s": max(1, round(budget))}


def _minutes(fit: Fit, samples: Samples, training: Mapping[str, float], trained: int, workers: int) -> float:
    """Nominal minutes of training, from random candidates of the space; see `hannah_hw.scoring.candidate`."""
    from hannah_hw.scoring import Training
    from hannah_hw.scoring.nominal import nominal_seconds, within_budget
    from hannah_hw.search.pipeline import load_space

    space = load_space(fit.space, offered={"input_shape": samples.shape, "classes": samples.classes})
    seconds = []
    for row in space.sample_population(_TIMED, seed=0):
        workload = space.candidate_of(row).workload()
        epochs = within_budget(Training.model_validate(training), workload, trained).epochs
        seconds.append(epochs * trained * nominal_seconds(workload))
    return float(np.mean(seconds)) * EVALUATIONS / workers / 60.0
