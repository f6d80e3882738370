"""Whether a run that is continued leads to the same states as the run that wrote its log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hannah_hw.errors import RunError
from hannah_hw.search.algorithms import Algorithm


def digest(algorithm: Algorithm, told: int) -> dict[str, Any]:
    """What an algorithm knows, ready for JSON.

    Args:
        algorithm: The algorithm.
        told: Records that it was told.
    """
    population = hashlib.blake2b(digest_size=16)
    for array in (algorithm.rows, algorithm.objectives, algorithm.violation):
        population.update(np.ascontiguousarray(array + 0.0).tobytes())
    state = algorithm.rng.bit_generator.state
    return {"told": told, "generator": state, "population": population.hexdigest()}


def check_state(state: Mapping[str, Any] | None, algorithm: Algorithm, *, asked: int, told: int) -> None:
    """When a replay asks as the old run last did, both must be in the same state.

    Args:
        state: What the old run last wrote; None: nothing.
        algorithm: It has just been asked.
        asked: Candidates asked for.
        told: Records that it was told.

    Raises:
        RunError: The states differ.
    """
    if state is None or state.get("asked") != asked or state.get("told") != told:
        return
    now = digest(algorithm, told)
    if any(state.get(key) != now[key] for key in ("population", "generator")):
        raise other_run(told - 1)


def other_run(index: int) -> RunError:
    """The error where a log is not that of the run that is replayed.

    Args:
        index: Of the first record that does not fit.
    """
    return RunError(
        f"the log does not continue at record {index}: the same seed now leads elsewhere, so the space, the "
        "target, the data or the installed versions are not those of the run; start a new one"
    )
