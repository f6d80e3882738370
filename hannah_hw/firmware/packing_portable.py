"""Constants of the kernels with weights in portable C, for Cortex-M0+, M3, RV32IMC and the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hannah_hw.firmware.implementation import Implementation

#: Kernel class -> implementations, best first; the last never refuses.
IMPLEMENTATIONS: Final[Mapping[str, tuple[Implementation, ...]]] = {}
