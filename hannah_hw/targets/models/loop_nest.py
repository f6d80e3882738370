"""Model kind ``loop_nest``: a memory hierarchy around an array of multipliers, and loops that are ordered best."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hannah_hw.targets.fields import Strict


class LoopNestModel(Strict):
    """How mappings are searched and counted.

    Attributes:
        kind: ``loop_nest``.
        objective: What the chosen mapping of a layer has least of; ``edp`` is energy x cycles.
        factors: Most loop factors of a layer. Up to 6 all their orderings are tried; with more, those and a
            sample of the orderings of so many.
        half_full: Mappings that leave half of a memory empty are tried too; they may overlap loading with computation.
        tiles: ``whole``: partial tiles are rounded up and always fit; ``fractional``: as zigzag-dse 3.9.1 counts them.
    """

    kind: Literal["loop_nest"]
    objective: Literal["cycles", "energy", "edp"] = "cycles"
    factors: Annotated[int, Field(ge=1, le=9)] = 6
    half_full: bool = True
    tiles: Literal["whole", "fractional"] = "whole"
