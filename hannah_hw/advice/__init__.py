"""What costs most of a network on a chip, and what would help, by pricing the networks that it could be changed to."""

from __future__ import annotations

from hannah_hw.advice.advising import Insight, advise
from hannah_hw.advice.choosing import Advice

__all__ = ["Advice", "Insight", "advise"]
