"""How differently a network maps the neighbourhoods of the samples of a batch.

Mellor et al., "Neural Architecture Search without Training", first version (arXiv 2006.04647v1, 2020).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from hannah_hw.scoring.proxies.probing import Probe

#: The paper's k, which keeps logarithm and inverse finite.
_K: Final = 1e-5


def jacob_cov(probe: Probe) -> float:
    """``-sum_i (log(s_i + k) + 1 / (s_i + k))`` over the eigenvalues s of the correlations of the samples' gradients.

    The gradient of a sample is that of the sum of the outputs with respect to it.

    Returns:
        Minus infinity where a gradient is the same everywhere: it correlates with none.
    """
    samples = probe.samples.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(probe.network(samples).sum(), samples)
    correlations = torch.corrcoef(slopes.flatten(1).double())
    if not bool(torch.isfinite(correlations).all()):
        return -math.inf
    eigenvalues = torch.linalg.eigvalsh(correlations).clamp_(min=0.0) + _K
    return -float((eigenvalues.log() + 1.0 / eigenvalues).sum())
