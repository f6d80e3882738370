"""A microcontroller: a core, its memories, and the runtimes that run on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from hannah_hw.cores import CORES, Core, core_named
from hannah_hw.errors import TargetError, UnsupportedError
from hannah_hw.targets.fields import Bytes, Hertz, SourcedWatts, Strict, reported
from hannah_hw.targets.models.kernels import KernelsModel
from hannah_hw.targets.rules import OperatorRule
from hannah_hw.targets.schema import Target

_Address = Annotated[int, Field(ge=0, lt=1 << 32)]


class Power(Strict):
    """Electrical power.

    Attributes:
        active_w: Mean power of the chip and what the measurement includes while it infers.
    """

    active_w: SourcedWatts


class Microcontroller(Target):
    """A microcontroller.

    Attributes:
        clock_hz: Clock of the core.
        core: The processor core, a name of `hannah_hw.cores.CORES`.
        ram_bytes: Data memory.
        flash_bytes: Program memory.
        flash_origin: Its first address, for the linker script of exported firmware; None: not known.
        ram_origin: First address of the data memory, for the same.
        power: Power figures.
        model: Kind of cost model and its parameters.
        unsupported: What happens to a kernel that cannot run: ``error`` leaves the network without a figure.
    """

    family: ClassVar[str] = "microcontroller"

    clock_hz: Hertz
    core: str
    ram_bytes: Bytes
    flash_bytes: Bytes
    flash_origin: _Address | None = None
    ram_origin: _Address | None = None
    power: Power
    model: KernelsModel
    unsupported: Literal["error"]

    @field_validator("core")
    @classmethod
    def _is_a_core(cls, name: str) -> str:
        with reported():
            return core_named(name).name

    @property
    def processor(self) -> Core:
        """The core."""
        return CORES[self.core]

    @property
    def label(self) -> str:
        """``NAME:RUNTIME``, which `hannah_hw.targets.load_target` takes."""
        return f"{self.name}:{self.model.runtime}"

    @property
    def kind(self) -> str:
        """``kernels``."""
        return self.model.kind

    @property
    def ops(self) -> tuple[OperatorRule, ...]:
        """Those of the runtime in use."""
        return self.model.ops

    @property
    def capacities(self) -> Mapping[str, int | None]:
        """Data and program memory."""
        return {"ram_bytes": self.ram_bytes, "flash_bytes": self.flash_bytes}

    def using(self, runtime: str) -> Microcontroller:
        """The same chip with another of its runtimes.

        Raises:
            TargetError: It has no runtime of that name.
        """
        try:
            return self.model_copy(update={"model": self.model.using(runtime)})
        except ValueError as failure:
            raise TargetError(str(failure), where=self.name) from failure


def microcontroller(target: Target, what: str) -> Microcontroller:
    """A target as a microcontroller.

    Args:
        target: A target.
        what: What needs one, as the subject of a message.

    Raises:
        UnsupportedError: It is none.
    """
    if not isinstance(target, Microcontroller):
        article = "a" if target.family == "host" else "an"
        raise UnsupportedError(
            f"{what} needs a microcontroller, and {target.name} is {article} {target.family}; {_instead(target)}; "
            "`hannah-hw targets list` shows the microcontrollers"
        )
    return target


def _instead(target: Target) -> str:
    """What there is for a target that is no microcontroller."""
    if target.kind == "block":
        return "`hannah-hw measure` and `validate` ask its compiler, and `export --to tflite` writes what that compiles"
    if target.family == "host":
        return "`hannah-hw measure` times models on it"
    return "nothing here emulates it: `hannah-hw estimate` and `search` price networks by its model"
