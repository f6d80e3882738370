"""What costs most of a network, and what would help, as one document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hannah_hw.advice.choosing import Advice
from hannah_hw.cost.peak import Peak

#: Kernels that are named.
_NAMED: Final = 3


@dataclass(frozen=True)
class Insight:
    """What costs most, and what would help.

    Attributes:
        largest: The kernels that take most of the time: name, seconds, share of the network's latency.
        peak: Where the RAM goes; None where it is not known.
        advice: Changes that lower figures; see `hannah_hw.advice.Advice`.
        note: What the advice rests on, or why there is none.
    """

    largest: tuple[tuple[str, float, float], ...]
    peak: Peak | None
    advice: tuple[Advice, ...]
    note: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        return {
            "largest": [
                {"kernel": name, "latency_s": latency, "share": share}
                for name, latency, share in self.largest
            ],
            "peak": None if self.peak is None else self.peak.to_dict(),
            "changes": [advice.to_dict() for advice in self.advice],
            "note": self.note,
        }


def largest(timed: Sequence[tuple[str, float]]) -> tuple[tuple[str, float, float], ...]:
    """The three kernels that take most of the time: name, seconds, share of all.

    Args:
        timed: Name and seconds of each kernel.
    """
    total = sum(latency for _, latency in timed)
    most = sorted((item for item in timed if item[1] > 0), key=lambda item: -item[1])[:_NAMED]
    return tuple((name, latency, latency / total) for name, latency in most)
