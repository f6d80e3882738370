"""How much flows through a network's weights: synaptic flow.

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS 2020; as a
proxy by Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from hannah_hw.scoring.proxies.probing import Probe


def synflow(probe: Probe) -> float:
    """``log sum_w w * dR/dw`` over all products' weights, with R the sum of the outputs for an input of ones.

    All weights are taken by their magnitude, and batch normalisation does nothing (its statistics are 0 and 1), so
    that R is the sum over all paths of the product of the weights along it. Computed in float64: R grows with the
    number of paths. The logarithm keeps the order.

    Returns:
        Minus infinity where no path leads through the network.
    """
    network = probe.network.double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()
    outputs = network(torch.ones_like(probe.samples[:1], dtype=torch.float64)).sum()
    weights = network.products
    slopes = torch.autograd.grad(outputs, weights, allow_unused=True)
    flow = sum(float((w.detach() * s).sum()) for w, s in zip(weights, slopes, strict=True) if s is not None)
    return math.log(flow) if flow > 0 else -math.inf
