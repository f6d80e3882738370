"""How differently the samples of a batch switch a network's activations.

Mellor et al., "Neural Architecture Search without Training", ICML 2021 (NASWOT).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from hannah_hw.operators import HardSwish, Relu, Relu6

if TYPE_CHECKING:
    from hannah_hw.graph import Op
    from hannah_hw.scoring.proxies.probing import Probe

#: Activations that are off below 0.
_SWITCHES: Final = (Relu, Relu6, HardSwish)


def naswot(probe: Probe) -> float:
    """``log |det K|``, with K (N, N) the number of activations that two samples have both on or both off.

    Returns:
        Minus infinity where two samples switch alike, or where nothing switches.
    """
    count = len(probe.samples)
    kernel = torch.zeros((count, count), dtype=torch.float64)

    def add(op: Op, operands: list[torch.Tensor], _value: torch.Tensor) -> None:
        if isinstance(op, _SWITCHES):
            # With +1 for on and -1 for off, a product is the number of agreements less that of differences.
            signs = (operands[0].reshape(count, -1) > 0).to(torch.float32).mul_(2).sub_(1)
            kernel.add_((signs @ signs.T).double().add_(signs.shape[1]).div_(2))

    with torch.no_grad(), probe.network.watched(add):
        probe.network(probe.samples)
    value = float(torch.linalg.slogdet(kernel).logabsdet)
    return value if math.isfinite(value) else -math.inf
