"""An untrained network that can be looked into while it runs; needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch

from hannah_hw.executors import BasicExecutor
from hannah_hw.graph import Op, PlanStep
from hannah_hw.operators import (
    AdaptiveAvgPooling,
    Dropout,
    Flatten,
    Identity,
    Linear,
    Reshape,
    Softmax,
)

#: What stands between the features of a classifier and its output.
_HEAD: Final = (AdaptiveAvgPooling, Dropout, Flatten, Identity, Linear, Reshape, Softmax)

#: Called with an operator, its operands and its value, whenever one is computed.
Watcher = Callable[[Op, list[torch.Tensor], torch.Tensor], None]


class ProbedNetwork(BasicExecutor):
    """A candidate's network, every value of which can be watched."""

    _watcher: Watcher | None = None

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Call `watcher` for every operator that is computed meanwhile."""
        self._watcher = watcher
        try:
            yield
        finally:
            self._watcher = None

    def _run(self, step: PlanStep, operands: list[torch.Tensor]) -> torch.Tensor:
        value = super()._run(step, operands)
        if self._watcher is not None:
            self._watcher(step.op, operands, value)
        return value

    @property
    def products(self) -> list[torch.nn.Parameter]:
        """Weights of convolutions and fully connected layers: trained tensors of two or more dimensions."""
        return [weight for weight in self.parameters() if weight.ndim > 1]

    def feature_op(self) -> Op:
        """The last operator before the classifier's pooling and its fully connected layers."""
        steps = {step.op.id: step for step in self.plan.steps}
        step = steps[self.plan.outputs[0]]
        while isinstance(step.op, _HEAD) and step.data and step.data[0] in steps:
            step = steps[step.data[0]]
        return step.op


@dataclass(frozen=True)
class Probe:
    """What a proxy is computed of.

    Attributes:
        network: With fresh weights, in training mode: batch normalisation uses the statistics of the batch.
        samples: (N, ...) float32.
        labels: (N,) int64.
    """

    network: ProbedNetwork
    samples: torch.Tensor
    labels: torch.Tensor
