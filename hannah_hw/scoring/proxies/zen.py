"""How sensitive a network's features are to its input (Lin et al., "Zen-NAS", ICCV 2021)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from hannah_hw.operators import BatchNorm

if TYPE_CHECKING:
    from hannah_hw.graph import Op
    from hannah_hw.scoring.proxies.probing import Probe

#: Size of the disturbance of the input; that of the authors' code.
_ALPHA: Final = 0.01


def zen(probe: Probe) -> float:
    """``log E ||f(x) - f(x + alpha e)|| + sum log sigma``: algorithm 1 of the paper.

    x and e are normal noise, f the features before the classifier's pooling, weights of products are normal with
    variance 1, and sigma of a batch normalisation is the root of the mean variance of its channels: what it divides by
    is multiplied back, for otherwise it would hide how expressive a network is. The paper removes residual
    connections first; here, where nothing tells them from other sums, they stay.

    Returns:
        Minus infinity where the features do not depend on the input.
    """
    network = probe.network
    with torch.no_grad():
        for weight in network.products:
            weight.normal_()
        wanted = network.feature_op().id
        spread: list[float] = []
        features: list[torch.Tensor] = []

        def keep(op: Op, operands: list[torch.Tensor], value: torch.Tensor) -> None:
            if isinstance(op, BatchNorm):
                axes = [axis for axis in range(operands[0].ndim) if axis != 1]
                spread.append(float(operands[0].var(axes).mean()))
            if op.id == wanted:
                features.append(value)

        clean = torch.randn_like(probe.samples)
        with network.watched(keep):
            network(clean)
            scales = tuple(spread)
            network(clean + _ALPHA * torch.randn_like(clean))
        difference = float((features[0] - features[1]).flatten(1).norm(dim=1).mean())
    if not difference > 0 or not all(scale > 0 for scale in scales):
        return -math.inf
    return math.log(difference) + 0.5 * sum(map(math.log, scales))
