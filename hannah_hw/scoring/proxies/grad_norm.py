"""Norm of the gradients of one batch (Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from hannah_hw.scoring.proxies.probing import Probe


def grad_norm(probe: Probe) -> float:
    """Sum over the products' weights of the Euclidean norm of the gradient of the mean cross-entropy."""
    loss = torch.nn.functional.cross_entropy(probe.network(probe.samples), probe.labels)
    slopes = torch.autograd.grad(loss, probe.network.products, allow_unused=True)
    return sum(float(slope.norm()) for slope in slopes if slope is not None)
