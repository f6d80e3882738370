"""What reading a source gives: arrays by part, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hannah_hw.sources.log_mel import LogMel


@dataclass(frozen=True)
class Reading:
    """Arrays of a source, before they are split and normalised.

    Attributes:
        arrays: ``x_train`` and ``y_train``; the same of ``val`` and ``test`` where the source has these parts. Samples
            are (N, C, H, W) or (N, C, L), labels (N,).
        class_names: In the order of the labels.
        facts: How it was read, for people and for who builds the device's side; JSON-able.
        groups: (N,) recording that each training sample belongs to, where samples of one must stay in one part.
        front_end: What turns a waveform into a sample; None where samples are what the source holds.
        series: Whether samples are (C, L).
    """

    arrays: Mapping[str, NDArray[Any]]
    class_names: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    groups: NDArray[np.int64] | None = None
    front_end: LogMel | None = None
    series: bool = False
