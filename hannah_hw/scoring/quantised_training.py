"""Quantisation-aware training: a trained candidate goes on being trained with the rounding of its int8 model.

What is trained is what is exported: the executor rounds where the int8 file rounds, with the ranges that the file gets.
The file and the module compute the same but where sums in another order round to the other side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hannah_hw.errors import require
from hannah_hw.lowering import to_onnx
from hannah_hw.lowering.folding import foldable
from hannah_hw.lowering.grids import grids_of
from hannah_hw.lowering.quantise import calibrated_ranges, quantise_with_ranges
from hannah_hw.scoring.dataset import Dataset, Floats
from hannah_hw.scoring.training import Training, TrainingResult, train

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.executors import BasicExecutor
    from hannah_hw.executors.rounding import RoundingExecutor
    from hannah_hw.lowering.ranges import Ranges

#: Training samples that the ranges begin with.
CALIBRATION_SAMPLES = 128


@dataclass(frozen=True)
class QuantisedNetwork:
    """A candidate with the rounding of its int8 model.

    Attributes:
        module: What is trained.
        ranges: Of all values of the float32 model, as they were calibrated.
    """

    module: RoundingExecutor
    ranges: Ranges

    def model(self) -> ModelProto:
        """The int8 QDQ model that computes what the module computes.

        Raises:
            HannahError: The candidate cannot be exported.
        """
        exported = to_onnx(self.module.candidate, module=self.module, fold_batch_norm=True)
        return quantise_with_ranges(exported, {**self.ranges, **self.module.ranges})


def with_rounding(module: BasicExecutor, samples: Floats, *, momentum: float = 0.01) -> QuantisedNetwork:
    """A trained candidate with the rounding of its int8 model, ranges calibrated.

    Args:
        module: The candidate; it is not changed.
        samples: (N, ...) inputs, float32; from the training data.
        momentum: Share of a batch of training in the ranges; 0 keeps those that were calibrated.

    Raises:
        HannahError: The candidate cannot be exported or quantised.
    """
    require("torch", "train")
    from hannah_hw.executors.rounding import RoundingExecutor

    exported = to_onnx(module.candidate, module=module, fold_batch_norm=True)
    grids = grids_of(exported)
    ranges = calibrated_ranges(exported, np.asarray(samples, np.float32))
    steps = {step.op.id for step in module.plan.steps} | {value.id for value in module.plan.inputs}
    folded = {name: producer.op.id for name, producer in foldable(module.plan).items()}
    network = RoundingExecutor(
        module,
        {name: source for name, source in grids.values.items() if name in steps},
        {name: (float(low), float(high)) for name, (low, high) in ranges.items()},
        {name: own for name, own in grids.weights.items() if name in steps},
        folded,
        momentum=momentum,
    )
    return QuantisedNetwork(network, ranges)


def train_quantised(
    module: BasicExecutor, data: Dataset, training: Training, seed: int, device: str = "cpu"
) -> tuple[QuantisedNetwork, TrainingResult]:
    """Go on training a candidate with the rounding of its int8 model.

    Args:
        module: The trained candidate; it is not changed.
        data: Trained on its training part, which also calibrates the ranges.
        training: How; the learning rate of a fine-tuning is a fraction of that of a training.
        seed: Decides the order of the samples and the shifts.
        device: Where it is trained.

    Returns:
        The network, and what `train` says of it: its accuracy is that of the module with rounding.

    Raises:
        EvaluationError: Training diverged.
        HannahError: The candidate cannot be exported or quantised.
    """
    network = with_rounding(module, data.x_train[:CALIBRATION_SAMPLES])
    return network, train(network.module, data, training, seed, device)
