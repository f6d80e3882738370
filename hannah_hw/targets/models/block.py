"""Model kind ``block``: a neural processor that computes the output block by block, such as Arm's Ethos-U."""

from __future__ import annotations

from typing import Literal

from hannah_hw.targets.fields import Strict


class BlockModel(Strict):
    """Which processor.

    Attributes:
        kind: ``block``.
        accelerator: Its name.
    """

    kind: Literal["block"]
    accelerator: str
