"""The score of one candidate: train it, quantise it, and measure the quantised model's accuracy.

For a machine that runs float32 it is not quantised, and the float32 model's accuracy counts. A space that says with how
many bits values are kept is trained with them, and what is scored has exactly these; what it leaves open becomes int8
after training, as in any other space.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import require
from hannah_hw.files import write_atomically
from hannah_hw.host.session import open_session
from hannah_hw.lowering.mixed import has_own_bits
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.scoring.dataset import Dataset, Floats, Labels
from hannah_hw.scoring.inheritance import inherit
from hannah_hw.scoring.stages import WHOLE, Stages, train_stages
from hannah_hw.scoring.training import Training, TrainingResult
from hannah_hw.scoring.weights import State

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.executors import BasicExecutor
    from hannah_hw.spaces import Candidate, SearchSpace
    from hannah_hw.targets.models.learned import Precision
    from hannah_hw.workload import Workload

#: Nominal seconds of training (forward and backward, one core) a sample: for each convolution or fully
#: connected layer at a batch of 32, for each multiply-accumulate, and for each element that a kernel writes.
#: Non-negative least squares on 26 random ds_cnn networks of 0.3 to 21 MMAC, torch 2.13, one core with AVX2
#: (at a batch of 64, a layer's share doubled for 32); mean error 16 %, largest 45 %.
#: Normalisation and activations, bound by memory, are most of it.
_LAYER_S: Final = 2.6e-5
_MAC_S: Final = 1.35e-10
_ELEMENT_S: Final = 8.6e-9

#: Fewest epochs that a budget leaves.
_LEAST_EPOCHS: Final = 0.5

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
    """

    error: float
    test_error: float
    float_error: float
    train_s: float
    score_s: float
    losses: tuple[float, ...]
    artifact: Path
    provenance: dict[str, str]

    def metrics(self) -> dict[str, float]:
        """The figures that a run records; JSON-able."""
        return {"error": self.error, "test_error": self.test_error, "float_error": self.float_error}


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


def nominal_seconds(workload: Workload) -> float:
    """Nominal CPU seconds of training a network on one sample once.

    Args:
        workload: Of one candidate.
    """
    kernels = workload.kernels
    active = kernels.active[0]
    products = active & np.isin(kernels.kinds, ("conv", "conv_transpose", "linear", "matmul"))
    elements = (kernels["out_channels"] * kernels["out_h"] * kernels["out_w"])[0]
    macs = int(workload.macs[0])
    return float(products.sum() * _LAYER_S + macs * _MAC_S + elements[active].sum() * _ELEMENT_S)


def within_budget(training: Training, workload: Workload, samples: int) -> Training:
    """The training with its epochs cut to its budget.

    Args:
        training: How.
        workload: Of the candidate.
        samples: Size of the training part.
    """
    if training.budget_s is None:
        return training
    affordable = training.budget_s / (nominal_seconds(workload) * samples)
    epochs = min(training.epochs, max(_LEAST_EPOCHS, affordable))
    return training.model_copy(update={"epochs": epochs})


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

    Raises:
        EvaluationError: Training diverged.
        HannahError: The candidate cannot be built, exported or quantised.
        OSError: The file cannot be written.
    """
    from hannah_hw.lowering import to_onnx

    started = time.perf_counter()
    candidate = space.candidate(assignment)
    module, result, training = train_candidate(
        candidate, data, training, seed, device=device, stages=stages, parent=parent
    )
    own_seed = candidate_seed(seed, candidate.id)
    folder = Path(artifact_dir)
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / f"{candidate.id}.onnx"
    model = to_onnx(candidate, module=module, fold_batch_norm=True)
    if precision == "int8":
        quantise_int8(model.SerializeToString(), artifact, data.x_train[:CALIBRATION_SAMPLES])
    else:
        write_atomically(artifact, model.SerializeToString())
    error, test_error = model_errors(artifact, (data.x_val, data.y_val), (data.x_test, data.y_test))
    return Score(
        error=error,
        test_error=test_error,
        float_error=1.0 - result.accuracy,
        train_s=result.seconds,
        score_s=time.perf_counter() - started,
        losses=result.losses,
        artifact=artifact,
        provenance=_provenance(data, training, own_seed, result.device, _arithmetic(model, precision)),
    )


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


def model_errors(path: str | Path, *parts: tuple[Floats, Labels]) -> tuple[float, ...]:
    """Share of the samples of each part that a model gets wrong, run by ONNX Runtime, on integers where it is int8.

    A batch of one takes about as long a sample as any other.

    Args:
        path: An ONNX classifier with one input; its batch may be symbolic or fixed.
        parts: Samples (N, ...) and labels (N,).

    Raises:
        ModelError: The file cannot be run.
    """
    session = open_session(path)
    value = session.get_inputs()[0]
    batch = value.shape[0] if isinstance(value.shape[0], int) else 64
    errors = []
    for samples, labels in parts:
        wrong = 0
        for start in range(0, len(labels), batch):
            chunk, truth = samples[start : start + batch], labels[start : start + batch]
            padded = np.resize(chunk, (batch, *chunk.shape[1:])) if len(chunk) < batch else chunk
            logits = session.run(None, {value.name: padded})[0].reshape(batch, -1)[: len(truth)]
            wrong += int((logits.argmax(axis=1) != truth).sum())
        errors.append(wrong / len(labels))
    return tuple(errors)


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
    return {
        "error": f"{arithmetic}, {len(data.y_val)} validation samples",
        "test_error": f"{arithmetic}, {len(data.y_test)} test samples that the search does not see",
        "float_error": f"{trained}, seed {seed}, {len(data.y_val)} validation samples",
    }
