"""Model kind ``kernels``: a microcontroller that runs a library of kernels, one after the other.

A chip may have several runtimes, such as our own firmware and one of CMSIS-NN: each has its cost model and its device
layer. One of them is in use; what the model says is what that one says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from hannah_hw.errors import TargetError
from hannah_hw.targets.fields import Ratio, SourcedNumber, Strict
from hannah_hw.targets.rules import OperatorRule, Rules


class ArenaChoice(Strict):
    """How activations share memory.

    Attributes:
        planner: Name of a planner of `hannah_hw.workload.arena`.
        alignment: Bytes; every buffer starts at a multiple.
    """

    planner: Literal["greedy_best_fit", "greedy_first_fit"] = "greedy_best_fit"
    alignment: Literal[1, 2, 4, 8, 16, 32, 64] = 16


class KernelRuntime(Strict):
    """Software on a chip: cycles of a kernel = scale × cycles without wait states + wait cycles × flash reads.

    Attributes:
        coefficients: A cost model of the catalogue, or a path: cycles of each kernel class as a linear
            function of its features, and the bytes of the runtime.
        cycle_scale: Factor from the core the coefficients were taken on to this one.
        flash_wait_cycles: Cycles lost per data read from flash.
        device_error: Relative half width of what the device layer (scale and wait cycles) leaves open on
            whole networks, from leaving one network out.
        arena: Memory planner.
        ops: Which kernels it can run; files may name the rules of a library. A kernel of a kind without a rule
            cannot run.
    """

    coefficients: str = Field(min_length=1)
    cycle_scale: SourcedNumber
    flash_wait_cycles: SourcedNumber
    device_error: Ratio | None = None
    arena: ArenaChoice = ArenaChoice()
    ops: Rules

    @field_validator("cycle_scale")
    @classmethod
    def _takes_time(cls, scale: SourcedNumber) -> SourcedNumber:
        if scale.value == 0:
            raise ValueError("a cycle scale of 0 makes every kernel free; it must be positive")
        return scale


class KernelsModel(Strict):
    """The runtimes of a chip, one of them in use.

    Attributes:
        kind: ``kernels``.
        runtime: Name of the runtime in use.
        runtimes: Name -> runtime.
    """

    kind: Literal["kernels"]
    runtime: str
    runtimes: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], KernelRuntime]

    @model_validator(mode="after")
    def _one_of_them(self) -> KernelsModel:
        self.using(self.runtime)
        return self

    def using(self, runtime: str) -> KernelsModel:
        """The same with another runtime in use.

        Raises:
            ValueError: The chip has no runtime of that name.
        """
        if runtime not in self.runtimes:
            problem = TargetError(f"unknown runtime {runtime!r}", allowed=self.runtimes, given=runtime)
            raise ValueError(str(problem))
        return self if runtime == self.runtime else super().model_copy(update={"runtime": runtime})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> KernelsModel:
        """A copy with changed fields; fields of a runtime are those of the runtime in use."""
        own = {name: value for name, value in (update or {}).items() if name in KernelsModel.model_fields}
        inner = {name: value for name, value in (update or {}).items() if name not in own}
        copy = super().model_copy(update=own, deep=deep)
        if not inner:
            return copy
        changed = copy.runtimes[copy.runtime].model_copy(update=inner)
        return super(KernelsModel, copy).model_copy(
            update={"runtimes": {**copy.runtimes, copy.runtime: changed}}
        )

    @property
    def _used(self) -> KernelRuntime:
        return self.runtimes[self.runtime]

    @property
    def coefficients(self) -> str:
        """Of the runtime in use; see `KernelRuntime`."""
        return self._used.coefficients

    @property
    def cycle_scale(self) -> SourcedNumber:
        """Of the runtime in use; see `KernelRuntime`."""
        return self._used.cycle_scale

    @property
    def flash_wait_cycles(self) -> SourcedNumber:
        """Of the runtime in use; see `KernelRuntime`."""
        return self._used.flash_wait_cycles

    @property
    def device_error(self) -> float | None:
        """Of the runtime in use; see `KernelRuntime`."""
        return self._used.device_error

    @property
    def arena(self) -> ArenaChoice:
        """Of the runtime in use; see `KernelRuntime`."""
        return self._used.arena

    @property
    def ops(self) -> tuple[OperatorRule, ...]:
        """Of the runtime in use; see `KernelRuntime`."""
        return self._used.ops
