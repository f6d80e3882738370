"""The expensive part of an evaluation: training a network here, or calling the user's own trainer.

They run in worker processes, which load what they name; see `hannah_hw.search.protocols.Evaluator`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from hannah_hw.errors import EvaluationError
from hannah_hw.search.sections import DataChoice, Strict
from hannah_hw.spaces.space import assignment_id

if TYPE_CHECKING:
    from hannah_hw.scoring import Dataset, Training
    from hannah_hw.scoring.weights import State
    from hannah_hw.search.tasks import Task
    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets.models.learned import Precision


class ScoreSection(Strict):
    """The user's own trainer; see `hannah_hw.scoring.own`.

    Attributes:
        function: ``file.py:function``.
        allow_code: Whether the file may be executed.
    """

    function: str
    allow_code: bool = False


@dataclass(kw_only=True)
class SpaceEvaluator:
    """What evaluators of the networks of a space share.

    Attributes:
        space: Name or path of the space.
        options: Options of the space.
        offered: Options that are passed if the space has them.
        seed: Seed of the run: of the split of the data, and with a candidate's id of its training.
        artifacts: Folder of the trained models.
        hardware: Ids of parameters that are no part of a network; its model is named by the network alone.
    """

    space: str
    options: Mapping[str, Any]
    offered: Mapping[str, Any]
    seed: int
    artifacts: Path
    hardware: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The run's; see `hannah_hw.search.protocols.Portable`."""
        return self.artifacts.parent

    def _load_space(self) -> SearchSpace:
        from hannah_hw.search.pipeline import load_space
        from hannah_hw.spaces.declarative.problems import SpaceWarning

        with warnings.catch_warnings():
            # The search has loaded it before, and warned of what is odd.
            warnings.simplefilter("ignore", SpaceWarning)
            return load_space(self.space, self.options, self.offered)

    def _network(self, task: Task) -> dict[str, Any]:
        return {name: value for name, value in task.assignment.items() if name not in self.hardware}


@dataclass(kw_only=True)
class ScoringEvaluator(SpaceEvaluator):
    """Trains a candidate and measures the accuracy of its model; see `hannah_hw.search.protocols.Evaluator`.

    Of a task that asks for a share of the training, the error is that of the float network on the validation part:
    there is no model yet.

    Attributes:
        data: The data set.
        training: Options of `hannah_hw.scoring.Training`.
        precision: Of the models, as the target runs them.
        shares: Of the training that are done after each of its stages.
        weights: Folder of the weights between stages; None: none are kept.
        keep: Whether the weights of whole trainings are kept there, too.
        balanced: Whether a goal is about a figure that counts every class alike.
    """

    data: DataChoice
    training: Mapping[str, Any]
    precision: Precision = "int8"
    shares: tuple[float, ...] = (1.0,)
    weights: Path | None = None
    keep: bool = False
    balanced: bool = False
    _loaded: tuple[SearchSpace, Dataset, Training] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Load the space and the data, and train on one thread."""
        import torch

        from hannah_hw.scoring import load_data

        torch.set_num_threads(1)
        self._loaded = (
            self._load_space(),
            load_data(self.data, seed=self.seed),
            training_model()(**self.training),
        )

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """Train, quantise and test one candidate; or train it for a while."""
        from hannah_hw.scoring import score_candidate
        from hannah_hw.scoring.candidate import train_candidate
        from hannah_hw.scoring.stages import Stages

        if self._loaded is None:
            raise RuntimeError("start() was not called")
        space, data, training = self._loaded
        network = self._network(task)
        stages = Stages(self.shares, self.weights, self.keep)
        parent = self._parent(task)
        if task.share < 1.0:
            candidate = space.candidate(network)
            _, result, _ = train_candidate(
                candidate, data, training, self.seed, share=task.share, stages=stages, parent=parent
            )
            kept = stages.file(candidate.id, stages.count(task.share))
            metrics: dict[str, Any] = {"error": 1.0 - result.accuracy}
            return metrics if kept is None else {**metrics, "weights": kept.name}
        score = score_candidate(
            space,
            network,
            data,
            training,
            self.seed,
            self.artifacts,
            precision=self.precision,
            stages=stages,
            parent=parent,
            balanced=self.balanced,
        )
        metrics = dict(score.metrics())
        if metrics.get("error") is None:
            raise EvaluationError(f"{task.identifier} has no accuracy", kind="diverged")
        metrics["artifact"] = f"{self.artifacts.name}/{score.artifact.name}"
        return metrics

    def _parent(self, task: Task) -> State | None:
        """The weights that a task begins with; None: random ones."""
        if task.parent is None or self.weights is None:
            return None
        from hannah_hw.scoring.weights import load_weights, weights_file

        file = weights_file(self.weights, task.parent)
        state = load_weights(file)
        if state is None:
            raise EvaluationError(
                f"the weights of the parent, {file}, are missing or damaged", kind="weights"
            )
        return state

    def moved(self, folder: Path, /) -> ScoringEvaluator:
        """The same with its models and weights in another folder."""
        weights = None if self.weights is None else folder / self.weights.name
        return replace(self, artifacts=folder / self.artifacts.name, weights=weights, _loaded=None)

    def reads(self, task: Task, /) -> list[str]:
        """Weights of earlier stages and of the parent."""
        if self.weights is None:
            return []
        names = (assignment_id(self._network(task)), task.parent)
        return [f"{self.weights.name}/{name}.*" for name in names if name is not None]


@dataclass(kw_only=True)
class OwnEvaluator(SpaceEvaluator):
    """Calls the user's trainer for a candidate of a space; see `hannah_hw.scoring.own`.

    Attributes:
        function: ``file.py:function``; the file may be executed.
    """

    function: str
    _loaded: tuple[SearchSpace, Callable[..., Any]] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Load the space and execute the user's file."""
        from hannah_hw.scoring.own import find_score

        self._loaded = self._load_space(), find_score(self.function, allow_code=True)

    def evaluate(self, task: Task, /) -> dict[str, Any]:
        """Score one candidate with the share of the effort that the task asks for."""
        from hannah_hw.scoring.own import score_assignment

        if self._loaded is None:
            raise RuntimeError("start() was not called")
        space, function = self._loaded
        return score_assignment(
            function,
            task.identifier,
            task.assignment,
            space.candidate(self._network(task)),
            seed=self.seed,
            folder=self.artifacts,
            budget=task.share,
        )

    def moved(self, folder: Path, /) -> OwnEvaluator:
        """The same with its files in another folder."""
        return replace(self, artifacts=folder / self.artifacts.name, _loaded=None)

    def reads(self, task: Task, /) -> list[str]:
        """The candidate's own folder."""
        return [f"{self.artifacts.name}/{assignment_id(self._network(task))}"]


def training_model() -> type[Training]:
    """The model of the configuration's section ``training``."""
    from hannah_hw.scoring import Training

    return Training


def training_models() -> dict[str, type[BaseModel]]:
    """Sections of the configuration that `hannah_hw.scoring` has models of."""
    from hannah_hw.scoring.finetune import Finalists
    from hannah_hw.scoring.supernet import Supernet

    return {"training": training_model(), "supernet": Supernet, "finalists": Finalists}
