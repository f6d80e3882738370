"""Fine-tuning one candidate after a search, in the form in which it is deployed.

It begins with the weights that the search trained, or with its parts of a supernet's, which are first trained on their
own. What fine-tuning gives is kept only where it is better on the validation part; the test part is only reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from hannah_hw.errors import EvaluationError
from hannah_hw.files import write_atomically
from hannah_hw.scoring.answers import model_errors
from hannah_hw.scoring.candidate import CALIBRATION_SAMPLES, candidate_seed, train_candidate
from hannah_hw.scoring.dataset import Dataset
from hannah_hw.scoring.quantised_training import train_quantised
from hannah_hw.scoring.stages import WHOLE, Stages
from hannah_hw.scoring.training import Training, train

if TYPE_CHECKING:
    import torch

    from hannah_hw.executors import BasicExecutor, WeightSharingExecutor
    from hannah_hw.spaces import Candidate, SearchSpace
    from hannah_hw.targets.models.learned import Precision

#: Share of the validation samples by which the exported model may differ from what was trained.
MOST_APART: Final = 0.02
#: What the name of a fine-tuned model ends in.
SUFFIX: Final = ".tuned.onnx"


class Finalists(BaseModel):
    """What becomes of the best candidates after a search.

    On 14 ds_cnn networks of 40 to 237 kMAC, trained on mnist5k for 3 epochs, 2 epochs with rounding at 0.03 of the
    learning rate took 0.81 ± 0.23 points off the int8 error of the validation part and 0.64 ± 0.29 off that of the test
    part (mean over the networks, standard error), 0.49 ± 0.37 and 0.51 ± 0.38 at a tenth of it. As many epochs without
    rounding, at a tenth, took off 0.85 ± 0.24 and 0.73 ± 0.24: where rounding to int8 costs nothing, training with it
    gains what any further training gains (``benchmarks/supernet.py``).

    Attributes:
        epochs: Passes over the training part of each; the last may be a part of one.
        quantised: Whether training rounds as the int8 model does; models in float32 are never rounded.
        count: How many: those of the front that are furthest apart. None: all of the front.
        rate: Their peak learning rate, as a share of that of ``training``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[float, Field(gt=0, le=10_000)] = 3.0
    quantised: bool = True
    count: Annotated[int | None, Field(ge=1, le=100_000)] = None
    rate: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 0.03


@dataclass(frozen=True)
class Start:
    """Where the weights of finalists come from.

    Attributes:
        stages: How the search trained, and where it kept the weights; those that are not there are trained again, to
            the same values.
        supernet: In place of that.
        statistics: Batches from which the running statistics of a part of the supernet are computed.
    """

    stages: Stages = WHOLE
    supernet: WeightSharingExecutor | None = None
    statistics: Sequence[torch.Tensor] = ()


def finetune_candidate(
    space: SearchSpace,
    assignment: Mapping[str, Any],
    data: Dataset,
    training: Training,
    options: Finalists,
    seed: int,
    artifacts: Path,
    start: Start,
    precision: Precision = "int8",
) -> dict[str, Any]:
    """Fine-tune a candidate and write its model, ``ID.tuned.onnx``.

    Args:
        space: Where the assignment belongs.
        assignment: Values of the active parameters.
        data: Trained on its training part, which also calibrates the quantisation.
        training: Of the search.
        options: Of the fine-tuning.
        seed: Seed of the run.
        artifacts: Folder of the models.
        start: Where its weights come from.
        precision: Of the model.

    Returns:
        ``error`` and ``test_error`` of the better model by ONNX Runtime, ``trained_error``: that of the validation part
        by torch, ``before`` and ``after``: the errors without and with fine-tuning, ``kept``: whether that was better,
        and ``artifact``: the name of the file, None where the model of the search stays the best.

    Raises:
        EvaluationError: Training diverged, or the exported model is not what was trained (kind ``mismatch``).
        HannahError: The candidate cannot be built, exported or quantised.
        OSError: The file cannot be written.
    """
    candidate = space.candidate(assignment)
    own_seed = candidate_seed(seed, candidate.id)
    module = _started(candidate, data, training, seed, start)
    path = artifacts / f"{candidate.id}{SUFFIX}"
    artifacts.mkdir(parents=True, exist_ok=True)
    parts = (data.x_val, data.y_val), (data.x_test, data.y_test)
    _write(module, path, data, precision)
    before = model_errors(path, *parts)
    plan = training.model_copy(
        update={
            "epochs": options.epochs,
            "learning_rate": training.learning_rate * options.rate,
            "budget_s": None,
            "patience": None,
        }
    )
    plain = path.read_bytes()
    if options.quantised and precision == "int8":
        network, result = train_quantised(module, data, plan, own_seed)
        write_atomically(path, network.model().SerializeToString())
    else:
        result = train(module, data, plan, own_seed)
        _write(module, path, data, precision)
    after = model_errors(path, *parts)
    trained = 1.0 - result.accuracy
    if options.quantised and abs(trained - after[0]) > MOST_APART:
        path.unlink()
        raise EvaluationError(
            f"the exported model has an error of {after[0]:.4f}, what was trained {trained:.4f}; "
            "set finalists.quantised to false for this space",
            kind="mismatch",
        )
    kept = after[0] < before[0]
    if not kept and start.supernet is not None:
        write_atomically(path, plain)
    elif not kept:
        path.unlink()
    error, test_error = after if kept else before
    return {
        "error": error,
        "test_error": test_error,
        "trained_error": trained,
        "before": {"error": before[0], "test_error": before[1]},
        "after": {"error": after[0], "test_error": after[1]},
        "kept": kept,
        "artifact": f"{artifacts.name}/{path.name}" if kept or start.supernet is not None else None,
    }


def _started(
    candidate: Candidate, data: Dataset, training: Training, seed: int, start: Start
) -> BasicExecutor:
    """A candidate as the search left it; its part of a supernet after a training of its own."""
    if start.supernet is not None:
        module = start.supernet.assign(candidate).calibrate(start.statistics).extract()
        train(module, data, training, candidate_seed(seed, candidate.id))
        return module
    return train_candidate(candidate, data, training, seed, stages=start.stages)[0]


def _write(module: BasicExecutor, path: Path, data: Dataset, precision: Precision) -> None:
    """The model of a candidate as the search writes it."""
    from hannah_hw.lowering import to_onnx
    from hannah_hw.lowering.quantise import quantise_int8

    content = to_onnx(module.candidate, module=module, fold_batch_norm=True).SerializeToString()
    if precision == "int8":
        quantise_int8(content, path, data.x_train[:CALIBRATION_SAMPLES])
    else:
        write_atomically(path, content)
