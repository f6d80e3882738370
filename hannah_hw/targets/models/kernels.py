"""Model kind ``kernels``: a microcontroller that runs a library of kernels, one after the other."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from hannah_hw.targets.fields import Ratio, SourcedNumber, Strict


class ArenaChoice(Strict):
    """How activations share memory.

    Attributes:
        planner: Name of a planner of `hannah_hw.workload.arena`.
        alignment: Bytes; every buffer starts at a multiple.
    """

    planner: Literal["greedy_best_fit", "greedy_first_fit"] = "greedy_best_fit"
    alignment: Literal[1, 2, 4, 8, 16, 32, 64] = 16


class KernelsModel(Strict):
    """Cycles of a kernel = scale × cycles without wait states + wait cycles × flash reads.

    Attributes:
        kind: ``kernels``.
        coefficients: A cost model of the catalogue, or a path: cycles of each kernel class as a linear
            function of its features, and the bytes of the runtime.
        cycle_scale: Factor from the core the coefficients were taken on to this one.
        flash_wait_cycles: Cycles lost per data read from flash.
        device_error: Relative half width of what the device layer (scale and wait cycles) leaves open on
            whole networks, from leaving one network out.
        arena: Memory planner of the runtime.
    """

    kind: Literal["kernels"]
    coefficients: str = Field(min_length=1)
    cycle_scale: SourcedNumber
    flash_wait_cycles: SourcedNumber
    device_error: Ratio | None = None
    arena: ArenaChoice = ArenaChoice()

    @field_validator("cycle_scale")
    @classmethod
    def _takes_time(cls, scale: SourcedNumber) -> SourcedNumber:
        if scale.value == 0:
            raise ValueError("a cycle scale of 0 makes every kernel free; it must be positive")
        return scale
