"""What costs most of a network on a chip, and what would help, by pricing the networks that it could be changed to."""

from __future__ import annotations

from hannah_hw.advice.advising import advise
from hannah_hw.advice.choosing import Advice
from hannah_hw.advice.insight import Insight, largest
from hannah_hw.advice.profiled import advise_profile

__all__ = ["Advice", "Insight", "advise", "advise_profile", "largest"]
