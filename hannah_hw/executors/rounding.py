"""One candidate that computes as its int8 model does, so that training knows what rounding does to it.

Weights are rounded with a scale an output channel, values to 256 steps of their range, biases to the steps of the sums,
and gradients pass rounding straight through (Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, CVPR 2018). Batch normalisations that the int8 model folds into a weight are folded
here too, with the running statistics that they have: these are frozen, scale and offset go on being trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from hannah_hw.errors import SpaceError
from hannah_hw.executors.basic import BasicExecutor
from hannah_hw.executors.fake_quantise import quantised
from hannah_hw.graph import Op, PlanStep

#: Bits of weights and values.
_BITS: Final = 8
_LOWEST, _HIGHEST, _STEPS = -128, 127, 255.0

#: Smallest and largest value, by name.
Limits = Mapping[str, tuple[float, float]]


class RoundingExecutor(BasicExecutor):
    """A trained candidate with the rounding of its int8 model.

    While it is trained the ranges follow the values: each batch moves both ends by `momentum` towards its own
    smallest and largest value.

    Args:
        module: The trained candidate; it is not changed.
        values: Id of an input or a step whose value is rounded -> name of the range that it has.
        ranges: Name -> smallest and largest value, to begin with.
        weights: Id of a step whose weight is rounded -> whether every output channel has a scale of its own.
        folded: Id of a batch normalisation -> id of the step into whose weight it is folded.
        momentum: Share of a batch in the ranges; 0 keeps them.

    Raises:
        SpaceError: Two normalisations are folded into one weight.
    """

    def __init__(
        self,
        module: BasicExecutor,
        values: Mapping[str, str],
        ranges: Limits,
        weights: Mapping[str, bool],
        folded: Mapping[str, str],
        *,
        momentum: float = 0.01,
    ) -> None:
        super().__init__(module.candidate)
        copies = {name: module.weight(name).detach().clone() for name in self.plan.weights}
        self.load_state_dict(copies, assign=True)
        self.momentum = momentum
        steps = {step.op.id: step for step in self.plan.steps}
        self._per_channel = dict(weights)
        self._folded = {name: steps[name] for name in folded}
        self._into = {producer: steps[name] for name, producer in folded.items()}
        if len(self._into) < len(folded):
            raise SpaceError(
                "two normalisations follow one weight, which is not supported; remove one of them"
            )
        # What is folded is rounded behind the normalisation, whichever of the two names the file gives it.
        behind = {producer: name for name, producer in folded.items()}
        self._range_of = {behind.get(name, name): source for name, source in values.items()}
        self._observed = {behind.get(name, name) for name, source in values.items() if name == source}
        self._names = sorted(set(self._range_of.values()))
        self._rows = {name: row for row, name in enumerate(self._names)}
        #: (R, 2) smallest and largest value of every range.
        self._limits: torch.Tensor
        first = torch.tensor([ranges[name] for name in self._names], dtype=torch.float64).reshape(-1, 2)
        self.register_buffer("_limits", first, persistent=False)
        self._channels = {name: _channel_index(steps[name]) for name in self._into}
        self._now: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        #: Id of a value -> the range on whose grid it is; what rounds nothing is on that of what it takes.
        self._source_of: dict[str, str | None] = {v.id: self._range_of.get(v.id) for v in self.plan.inputs}
        for step in self.plan.steps:
            taken = self._source_of.get(step.data[0]) if step.data else None
            self._source_of[step.op.id] = self._range_of.get(step.op.id, taken)

    @property
    def ranges(self) -> dict[str, tuple[np.float32, np.float32]]:
        """Name -> smallest and largest value."""
        pairs = self._limits.numpy(force=True).astype(np.float32)
        return {name: (low, high) for name, (low, high) in zip(self._names, pairs, strict=True)}

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs for a batch; see `PlanModule.forward`."""
        self._now = {name: self._affine(step) for name, step in self._folded.items()}
        used = [value.id for value in self.plan.inputs]
        if len(inputs) == len(used):
            inputs = tuple(self._rounded(name, value) for name, value in zip(used, inputs, strict=True))
        try:
            return super().forward(*inputs)
        finally:
            self._now = {}

    def _trains(self, op: Op) -> bool:
        """Running statistics are not trained."""
        return super()._trains(op) and not hasattr(op, "momentum")

    def _run(self, step: PlanStep, operands: list[torch.Tensor]) -> torch.Tensor:
        name = step.op.id
        result = (
            operands[0] if name in self._folded else super()._run(step, self._with_weight(step, operands))
        )
        return self._rounded(name, result)

    def _with_weight(self, step: PlanStep, operands: list[torch.Tensor]) -> list[torch.Tensor]:
        """The operands of a step with what is folded into its weight and bias, both rounded."""
        name = step.op.id
        if name in self._into:
            factor, offset = self._now[self._into[name].op.id]
            kept = operands[1].dtype
            scaled = operands[1] * factor[self._channels[name]].to(kept)
            bias = offset if len(operands) < 3 else operands[2].double() * factor + offset
            operands = [operands[0], scaled, bias.to(kept)]
        if name in self._per_channel:
            axis = step.op.output_axis if self._per_channel[name] else None
            weight = quantised(operands[1], _BITS, axis)
            biases = [self._on_sums(step.data[0], value, operands[1], axis) for value in operands[2:]]
            operands = [operands[0], weight, *biases]
        return operands

    def _on_sums(
        self, source: str, bias: torch.Tensor, weight: torch.Tensor, axis: int | None
    ) -> torch.Tensor:
        """A bias in steps of the sums: the step of the input times those of the weight."""
        stored = self._source_of[source]
        if stored is None:
            return bias
        sizes = weight.detach().abs()
        others = [dim for dim in range(sizes.ndim) if dim != axis]
        steps = sizes.amax(others) / _HIGHEST
        steps = torch.where(steps > 0, steps, torch.ones_like(steps)) * self._grid(stored)[0]
        values = bias.detach()
        rounded: torch.Tensor = (values / steps).round() * steps + (bias - values)
        return rounded

    def _affine(self, step: PlanStep) -> tuple[torch.Tensor, torch.Tensor]:
        """(C,) factor and offset of a normalisation, in double precision: its values at 1 and at 0."""
        weights = [self.weight(name).double() for name in step.operands[1:]]
        channels = step.shape[1]
        probe = torch.stack([weights[0].new_zeros(channels), weights[0].new_ones(channels)])
        step.op._training = False
        at = step.op._forward_implementation(
            probe.reshape(2, channels, *[1] * (len(step.shape) - 2)), *weights
        )
        offset, one = at.reshape(2, channels)
        return one - offset, offset

    def _rounded(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """A value on its grid, which training moves."""
        source = self._range_of.get(name)
        if source is None:
            return value
        if self.training and self.momentum and name in self._observed:
            limits = self._limits[self._rows[source]]
            with torch.no_grad():
                seen = torch.stack([value.amin(), value.amax()]).to(limits.dtype)
                limits.lerp_(seen, self.momentum)
        rounded: torch.Tensor = torch.fake_quantize_per_tensor_affine(
            value, *self._grid(source), _LOWEST, _HIGHEST
        )
        return rounded

    def _grid(self, source: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point of a range; its grid includes 0."""
        limits = self._limits[self._rows[source]]
        low, high = limits[0].clamp_max(0.0), limits[1].clamp_min(0.0)
        width = high - low
        scale = torch.where(width > 0, width / _STEPS, torch.ones_like(width)).float()
        zero = (_LOWEST - low.float() / scale).round().clamp(_LOWEST, _HIGHEST)
        return scale, zero.to(torch.int32)


def _channel_index(step: PlanStep) -> torch.Tensor:
    """Of each value of the weight of a step its output channel; of size 1 along axes that say nothing of it."""
    weight = np.ones([int(size) for size in step.op.operands[1].shape()])  # type: ignore[arg-type]
    index = step.op.scaled(weight, np.arange(step.shape[1])).astype(np.int64)
    for axis in range(index.ndim):
        first = index.take([0], axis)
        index = first if np.array_equal(np.broadcast_to(first, index.shape), index) else index
    return torch.from_numpy(np.ascontiguousarray(index))
