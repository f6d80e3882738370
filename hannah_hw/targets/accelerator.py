"""An accelerator: an array of multipliers, its memories, and how its cycles and energy are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import SourcedNumber
from hannah_hw.targets.hardware import (
    CpuFallback,
    Dataflow,
    Limits,
    MacArray,
    MemoryLevel,
    VectorUnit,
)
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.targets.models.closed_form import ClosedFormModel
from hannah_hw.targets.models.loop_nest import LoopNestModel
from hannah_hw.targets.rules import OperatorRule, Rules
from hannah_hw.targets.schema import Target

AcceleratorModel = Annotated[LoopNestModel | ClosedFormModel | BlockModel, Field(discriminator="kind")]


class Accelerator(Target):
    """An accelerator.

    Attributes:
        params: Hardware axes of a co-search; ``${name}`` elsewhere in the file stands for their values.
        array: The multipliers; None where the model does not ask for them.
        memories: From the array outwards.
        dataflow: How loops are laid out.
        vector: What computes what is no multiply-accumulate; None: such layers cannot run here.
        on_chip: Name of the memory in which activations stay from layer to layer if they fit; None: they go through
            the outermost memory.
        static_w: Power that flows whatever is computed, watts; None: none is counted.
        error: Relative half width of the band of latencies, and what it rests on; None: not known.
        model: Kind of cost model and its parameters.
        ops: Which kernels can run.
        limits: Bounds on a whole network.
        unsupported: What happens to a kernel that cannot run: ``error`` leaves the network without a figure;
            ``cpu_fallback`` prices it on the processor of that section.
        cpu_fallback: The processor beside the accelerator.
    """

    family: ClassVar[str] = "accelerator"

    params: dict[str, Any] = Field(default_factory=dict)
    array: MacArray | None = None
    memories: tuple[MemoryLevel, ...] = ()
    dataflow: Dataflow = Dataflow()
    vector: VectorUnit | None = None
    on_chip: str | None = None
    static_w: SourcedNumber | None = None
    error: SourcedNumber | None = None
    model: AcceleratorModel
    ops: Rules
    limits: Limits = Limits()
    unsupported: Literal["error", "cpu_fallback"]
    cpu_fallback: CpuFallback | None = None

    @property
    def kind(self) -> str:
        """``loop_nest``, ``closed_form`` or ``block``."""
        return self.model.kind

    @property
    def capacities(self) -> Mapping[str, int | None]:
        """Bounds that the target states."""
        return {"ram_bytes": self.limits.ram_bytes, "flash_bytes": self.limits.flash_bytes}

    def using(self, runtime: str) -> Accelerator:
        """Accelerators have no runtimes.

        Raises:
            TargetError: Always.
        """
        raise TargetError(
            f"{self.name} is an accelerator and has no runtimes, so no {runtime!r}", where=self.name
        )


__all__ = ["Accelerator", "AcceleratorModel", "OperatorRule"]
