"""Constants of the depthwise kernels for cores with the DSP extension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hannah_hw.firmware.implementation import Implementation

DEPTHWISE: Final[Mapping[str, tuple[Implementation, ...]]] = {}
