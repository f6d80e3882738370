"""A search by a supernet: its networks are those within the bounds, and an evaluation is a look at its weights.

The supernet is trained before the search, into the file ``supernet.npz`` of the run; see `hannah_hw.scoring.supernet`.
The error that the search sees is that of a network with shared weights, in float32: it orders networks, and is not what
the network reaches on its own. That is what finalists are trained for; see `hannah_hw.search.finalists`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from hannah_hw.errors import DataError, EvaluationError, RunError
from hannah_hw.search.evaluators import ScoringEvaluator, SpaceEvaluator
from hannah_hw.search.metrics import Goals
from hannah_hw.search.protocols import FloatArray, Problem

if TYPE_CHECKING:
    from torch import Tensor

    from hannah_hw.executors import WeightSharingExecutor
    from hannah_hw.scoring import Dataset
    from hannah_hw.scoring.supernet import Pool
    from hannah_hw.search.sections import DataChoice
    from hannah_hw.search.tasks import Task

#: File of a run directory.
SUPERNET: Final = "supernet.npz"
#: Rows that are priced at once, and most of them in all.
_CHUNK, _MOST = 2_048, 262_144


@runtime_checkable
class SupernetObserver(Protocol):
    """An observer of a run that also follows the training of its supernet."""

    def on_supernet(self, epoch: int, epochs: int, loss: float, /) -> None:
        """So many epochs of so many are done; the mean loss of the largest network in the last of them."""
        ...


def feasible_pool(
    problem: Problem, goals: Goals, count: int, seed: int, hardware: Iterable[str] = ()
) -> Pool:
    """Random networks that keep all constraints that are known before training, ordered by their MACs.

    Args:
        problem: The space and its prices.
        goals: Whose constraints.
        count: How many networks; fewer where no more are found.
        seed: Of the sample.
        hardware: Ids of parameters that are no part of a network.

    Raises:
        RunError: Fewer than two are found among 262,144 samples.
    """
    from hannah_hw.scoring.supernet import Pool

    rng = np.random.default_rng([seed, 0x5A3D])
    aside = frozenset(hardware)
    found: dict[str, tuple[float, Mapping[str, Any]]] = {}
    for _ in range(_MOST // _CHUNK):
        rows: FloatArray = np.unique(problem.encoding.sample(_CHUNK, rng), axis=0)
        rows = rows[rng.permutation(len(rows))]
        estimates = problem.estimate(rows)
        kept = np.flatnonzero(goals.free_violations(estimates)[1] == 0)[: count - len(found)]
        if len(kept):
            macs = np.asarray(estimates.columns["macs"], float)[kept]
            for size, (name, assignment) in zip(macs, problem.describe(rows[kept]), strict=True):
                network = {key: value for key, value in assignment.items() if key not in aside}
                found[name] = (float(size), network)
        if len(found) >= count:
            break
    if len(found) < 2:
        raise RunError(
            f"of {_MOST} random candidates {len(found)} keep the constraints, too few to train a supernet; "
            "relax a constraint, or leave the section supernet out"
        )
    ordered = sorted(found.items(), key=lambda item: (item[1][0], item[0]))
    return Pool([network for _, (_, network) in ordered])


@dataclass(kw_only=True)
class SharedEvaluator(SpaceEvaluator):
    """The error of a network with its parts of a supernet's weights; see `hannah_hw.search.protocols.Evaluator`.

    Attributes:
        data: The data set.
        supernet: The supernet's file.
        statistics: Training samples from which running statistics are computed.
    """

    data: DataChoice
    supernet: Path
    statistics: int
    _loaded: tuple[WeightSharingExecutor, Dataset, list[Tensor]] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Load the supernet and the data."""
        import torch

        from hannah_hw.scoring import load_data
        from hannah_hw.scoring.shared_weights import load_supernet, statistics_batches

        torch.set_num_threads(1)
        data = load_data(self.data, seed=self.seed)
        supernet = load_supernet(self._load_space(), self.supernet)
        self._loaded = supernet, data, statistics_batches(data, self.statistics)

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """The error on the validation part."""
        from hannah_hw.scoring.shared_weights import shared_error

        if self._loaded is None:
            raise RuntimeError("start() was not called")
        supernet, data, batches = self._loaded
        return {"error": shared_error(supernet, self._network(task), data, batches)}

    def moved(self, folder: Path, /) -> SharedEvaluator:
        """The same with its supernet in another folder."""
        supernet, artifacts = folder / self.supernet.name, folder / self.artifacts.name
        return replace(self, artifacts=artifacts, supernet=supernet, _loaded=None)

    def reads(self, task: Task, /) -> list[str]:
        """The supernet."""
        return [self.supernet.name]


def by_supernet(
    evaluator: ScoringEvaluator,
    options: Mapping[str, Any],
    problem: Problem,
    goals: Goals,
    observers: Sequence[object] = (),
) -> SharedEvaluator:
    """Train the supernet of a run, or go on with it; what evaluates its networks.

    Args:
        evaluator: What would train candidates.
        options: Of `hannah_hw.scoring.supernet.Supernet`.
        problem: The space and its prices.
        goals: Whose constraints bound the networks that it is trained with.
        observers: Of the run; those that are a `SupernetObserver` are told.

    Raises:
        RunError: It was interrupted, its training diverged, too few networks keep the constraints, or its file cannot
            be used.
    """
    from hannah_hw.scoring import load_data
    from hannah_hw.scoring.supernet import Supernet, train_supernet
    from hannah_hw.search.pipeline import load_space

    section, path = Supernet(**options), evaluator.folder / SUPERNET
    following = [observer for observer in observers if isinstance(observer, SupernetObserver)]

    def progress(epoch: int, loss: float) -> None:
        for observer in following:
            observer.on_supernet(epoch, section.epochs, loss)

    pool = feasible_pool(problem, goals, section.pool, evaluator.seed, evaluator.hardware)
    space = load_space(evaluator.space, evaluator.options, evaluator.offered)
    data = load_data(evaluator.data, seed=evaluator.seed)
    try:
        train_supernet(space, pool, data, section, evaluator.seed, path, progress)
    except KeyboardInterrupt as interrupt:
        raise RunError(
            "interrupted while the supernet was trained; continue with --resume: nothing but the epoch that was "
            "going on is done again"
        ) from interrupt
    except (EvaluationError, DataError) as failure:
        raise RunError(f"the supernet cannot be trained: {failure}") from failure
    except OSError as failure:
        raise RunError(f"cannot write {path}: {failure.strerror}; make room, then --resume") from failure
    return SharedEvaluator(
        space=evaluator.space,
        options=evaluator.options,
        offered=evaluator.offered,
        seed=evaluator.seed,
        artifacts=evaluator.artifacts,
        hardware=evaluator.hardware,
        data=evaluator.data,
        supernet=path,
        statistics=section.statistics,
    )
