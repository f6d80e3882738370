"""The score of one candidate: train it, quantise it, and measure the quantised model's accuracy.

For a machine that runs float32 it is not quantised, and the float32 model's accuracy counts. A space that says with how
many bits values are kept is trained with them, and what is scored has exactly these; what it leaves open becomes int8
after training, as in any other space.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import require
from hannah_hw.files import write_atomically
from hannah_hw.lowering.mixed import has_own_bits
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.scoring.answers import balanced_figures, error_of, is_uneven, model_answers
from hannah_hw.scoring.dataset import Dataset, Labels
from hannah_hw.scoring.folds import folds, seen
from hannah_hw.scoring.inheritance import inherit
from hannah_hw.scoring.nominal import within_budget
from hannah_hw.scoring.stages import WHOLE, Stages, train_stages
from hannah_hw.scoring.training import Training, TrainingResult
from hannah_hw.scoring.weights import State

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.executors import BasicExecutor
    from hannah_hw.spaces import Candidate, SearchSpace
    from hannah_hw.targets.models.learned import Precision

#: Training samples that the quantisation ranges are taken from.
CALIBRATION_SAMPLES: Final = 128


@dataclass(frozen=True)
class Score:
    """What training and quantising one candidate gave.

    Attributes:
        error: Share of the validation part that the model gets wrong; what a search minimises.
        test_error: The same on the test part, which no search decision may read.
        float_error: Share of the validation part that the float network gets wrong, by torch.
        train_s: Wall time of training.
        score_s: Wall time of everything.
        losses: Mean training loss of each epoch.
        artifact: The ONNX file.
        provenance: How each figure was obtained.
        balanced: ``balanced_error`` and ``macro_f1``, and the same of the test part; see
            `hannah_hw.scoring.answers.balanced_figures`. Empty where they were not asked for and classes are of about
            one size.
    """

    error: float
    test_error: float
    float_error: float
    train_s: float
    score_s: float
    losses: tuple[float, ...]
    artifact: Path
    provenance: dict[str, str]
    balanced: Mapping[str, float] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """The figures that a run records; JSON-able."""
        plain = {"error": self.error, "test_error": self.test_error, "float_error": self.float_error}
        return {**plain, **self.balanced}


def candidate_seed(seed: int, identifier: str) -> int:
    """Seed of one candidate, which depends on nothing but the run's seed and the candidate.

    Args:
        seed: Seed of the run.
        identifier: ``candidate.id``.

    Returns:
        63 bits of a SHA-256.
    """
    digest = hashlib.sha256(f"{seed}:{identifier}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def score_candidate(
    space: SearchSpace,
    assignment: Mapping[str, Any],
    data: Dataset,
    training: Training,
    seed: int,
    artifact_dir: str | Path,
    *,
    precision: Precision = "int8",
    device: str = "cpu",
    stages: Stages = WHOLE,
    parent: State | None = None,
    balanced: bool = False,
) -> Score:
    """Train a candidate, write its model as it is deployed and measure that model's accuracy.

    The same space, assignment, data, training, stages and seed give the same score and the same file, whichever
    worker it runs in and whatever ran before.

    Args:
        space: Where the assignment belongs.
        assignment: Values of the active parameters.
        data: Trained on its training part, which also calibrates the quantisation.
        training: How.
        seed: Seed of the run; the candidate's own is derived from it by `candidate_seed`.
        artifact_dir: Folder of the model, ``ID.onnx``; it is made if needed.
        precision: Of the model: ``int8``, in the QDQ form, or ``float32``.
        device: Where it is trained.
        stages: How its training is cut.
        parent: Weights of another candidate that it begins with; see `train_candidate`.
        balanced: Whether figures that count every class alike are wanted whatever the sizes of the classes.

    Raises:
        EvaluationError: Training diverged.
        HannahError: The candidate cannot be built, exported or quantised.
        OSError: The file cannot be written.
    """
    started = time.perf_counter()
    candidate = space.candidate(assignment)
    held: tuple[Labels, Labels, float] | None = None
    if training.folds is not None:
        held, training = _cross_validated(candidate, data, training, seed, precision, device)
        data = seen(data)
    module, result, training = train_candidate(
        candidate, data, training, seed, device=device, stages=stages, parent=parent
    )
    own_seed = candidate_seed(seed, candidate.id)
    folder = Path(artifact_dir)
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / f"{candidate.id}.onnx"
    model = _write_model(module, data, artifact, precision)
    answers, test_answers = model_answers(artifact, data.x_val, data.x_test)
    truth, answers, float_error = held or (data.y_val, answers, 1.0 - result.accuracy)
    figures: dict[str, float] = {}
    if balanced or is_uneven(data):
        figures = balanced_figures(truth, answers)
        unseen = balanced_figures(data.y_test, test_answers)
        figures.update((f"test_{name}", value) for name, value in unseen.items())
    return Score(
        error=error_of(truth, answers),
        test_error=error_of(data.y_test, test_answers),
        float_error=float_error,
        train_s=result.seconds,
        score_s=time.perf_counter() - started,
        losses=result.losses,
        artifact=artifact,
        provenance=_provenance(data, training, own_seed, result.device, _arithmetic(model, precision)),
        balanced=figures,
    )


def _cross_validated(
    candidate: Candidate,
    data: Dataset,
    training: Training,
    seed: int,
    precision: Precision,
    device: str,
) -> tuple[tuple[Labels, Labels, float], Training]:
    """Classes and answers of all held-out samples, the float networks' error, and what is left of the training."""
    count = training.folds or 1
    if training.budget_s is not None:
        training = training.model_copy(update={"budget_s": training.budget_s / (count + 1)})
    truth: list[Labels] = []
    answers: list[Labels] = []
    wrong = 0.0
    with TemporaryDirectory() as scratch:
        for number, fold in enumerate(folds(data, count)):
            module, result, _ = train_candidate(candidate, fold, training, seed, device=device)
            path = Path(scratch) / f"{number}.onnx"
            _write_model(module, fold, path, precision)
            truth.append(fold.y_val)
            answers += model_answers(path, fold.x_val)
            wrong += (1.0 - result.accuracy) * len(fold.y_val)
    labels = np.concatenate(truth)
    return (labels, np.concatenate(answers), wrong / len(labels)), training


def _write_model(module: BasicExecutor, data: Dataset, path: Path, precision: Precision) -> ModelProto:
    """Write a trained candidate as it is deployed; the model before it was quantised."""
    from hannah_hw.lowering import to_onnx

    model = to_onnx(module.candidate, module=module, fold_batch_norm=True)
    if precision == "int8":
        quantise_int8(model.SerializeToString(), path, data.x_train[:CALIBRATION_SAMPLES])
    else:
        write_atomically(path, model.SerializeToString())
    return model


def train_candidate(
    candidate: Candidate,
    data: Dataset,
    training: Training,
    seed: int,
    *,
    share: float = 1.0,
    device: str = "cpu",
    stages: Stages = WHOLE,
    parent: State | None = None,
) -> tuple[BasicExecutor, TrainingResult, Training]:
    """Train a candidate up to a share of its training, as `score_candidate` trains it.

    Args:
        candidate: What is trained.
        data: See `score_candidate`.
        training: How, before its budget cuts the epochs.
        seed: Seed of the run.
        share: Where to stop: the end of a stage.
        device: Where it is trained.
        stages: How its training is cut.
        parent: Weights of another candidate that it begins with as far as they fit; see
            `hannah_hw.scoring.inheritance`. None: random weights.

    Returns:
        The trained module, what training gave, and the whole training within its budget.

    Raises:
        EvaluationError: Training diverged.
        HannahError: The candidate cannot be built.
        OSError: Weights cannot be kept.
    """
    own_seed = candidate_seed(seed, candidate.id)
    module = fresh_module(candidate, own_seed)
    if parent is not None:
        inherit(module, parent)
    training = within_budget(training, candidate.workload(), len(data.y_train))
    return (
        module,
        train_stages(module, candidate.id, data, training, own_seed, stages, share, device),
        training,
    )


def fresh_module(candidate: Candidate, seed: int) -> BasicExecutor:
    """A candidate as a torch module whose first weights the seed alone decides.

    Raises:
        MissingExtraError: torch is not installed.
    """
    torch = require("torch", "train")
    from hannah_hw.executors import to_torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return to_torch(candidate)


def _arithmetic(model: ModelProto, precision: Precision) -> str:
    """What computes the errors of a model that was made of a float32 one."""
    runtime = f"on ONNX Runtime {require('onnxruntime', 'train').__version__}"
    mixed = has_own_bits(model)
    if precision == "float32":
        return f"model {runtime}, in float32" + (", with values on their grids" if mixed else "")
    if mixed:
        grids = "values that have bits of their own on their grids in float32"
        return f"model {runtime}, {grids}, all others rounded to int8"
    return f"int8 model {runtime}, integer kernels (session.qdqisint8allowed=1)"


def _provenance(data: Dataset, training: Training, seed: int, device: str, arithmetic: str) -> dict[str, str]:
    torch = require("torch", "train")
    trained = (
        f"{training.epochs:.3g} epochs on {len(data.y_train)} samples, torch {torch.__version__} on {device}"
    )
    held = f"{len(data.y_val)} validation samples"
    if training.folds is not None:
        held = f"{training.folds} models, each on samples it was not trained with, {len(data.y_train)} in all"
    return {
        "error": f"{arithmetic}, {held}",
        "test_error": f"{arithmetic}, {len(data.y_test)} test samples that the search does not see",
        "float_error": f"{trained}, seed {seed}, {held}",
    }
