"""Weights that compute with few bits while they are trained."""

from __future__ import annotations

import torch

from hannah_hw.graph.bits import FLOAT_BITS, LEAST_SCALE, grid


def quantised(weight: torch.Tensor, bits: int, axis: int | None) -> torch.Tensor:
    """A weight rounded to its grid; the gradient passes straight through.

    Args:
        weight: The values as they are trained.
        bits: Bits of a value. 2 to 16: whole multiples of a scale, the largest magnitude over the largest multiple
            (symmetric uniform quantisation). 1: the sign times the mean magnitude (Rastegari et al., XNOR-Net, ECCV
            2016, section 3.1). 32: the weight itself.
        axis: The dimension of which each index has a scale of its own; None: one scale for all.

    Returns:
        A tensor of the weight's shape.
    """
    if bits == FLOAT_BITS:
        return weight
    stored = weight.detach()
    others = [dim for dim in range(stored.ndim) if dim != axis]
    sizes = stored.abs()
    high = grid(bits)[1]
    if bits == 1:
        scale = (sizes.mean(others, keepdim=True) if others else sizes).clamp_min(LEAST_SCALE)
        values = torch.where(stored < 0, -scale, scale)
    else:
        scale = ((sizes.amax(others, keepdim=True) if others else sizes) / high).clamp_min(LEAST_SCALE)
        values = (stored / scale).round() * scale
    # The difference is exactly 0 and carries the gradient.
    return values + (weight - stored)
