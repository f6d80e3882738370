"""Candidates of a search space as the models that a host runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hannah_hw.lowering import to_onnx
from hannah_hw.lowering.quantise import quantise_without_data

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.spaces import Candidate
    from hannah_hw.targets.models.learned import Precision


def candidate_model(candidate: Candidate, precision: Precision, *, seed: int = 0) -> ModelProto:
    """A candidate as a host runs it, with random weights: its time depends on neither weights nor ranges.

    Args:
        candidate: The candidate.
        precision: ``float32``, with batch normalisations folded, or ``int8`` in the QDQ form.
        seed: Of the weights.

    Raises:
        UnsupportedError: An operator has no ONNX form.
        SpaceError: The candidate describes no network.
    """
    model = to_onnx(candidate, seed=seed)
    return model if precision == "float32" else quantise_without_data(model)
