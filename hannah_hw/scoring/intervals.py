"""How far a share that was counted on few samples may be from the true one."""

from __future__ import annotations

import math
from typing import Final

#: Standard deviations of a normal distribution within which 95 % of it lie.
_Z: Final = 1.959964


def share_interval(share: float, samples: int) -> tuple[float, float]:
    """The 95 % interval of a share, such as an error, after Wilson (JASA 22, 1927).

    It assumes that the samples are independent: windows that overlap, or many clips of one recording, are worth fewer.

    Args:
        share: That was counted, 0 to 1.
        samples: On how many samples, at least 1.

    Returns:
        Its lower and its upper end, within 0 and 1.
    """
    spread = _Z * _Z / samples
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / samples + spread / (4 * samples)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
