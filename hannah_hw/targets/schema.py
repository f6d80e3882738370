"""The format ``hannah-target/2``: one YAML file per chip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from hannah_hw.cores import CORES, Core, core_named
from hannah_hw.errors import InputError, TargetError
from hannah_hw.targets.fields import Bytes, Hertz, Sourced, SourcedWatts, Strict
from hannah_hw.targets.models import Model
from hannah_hw.targets.rules import OperatorRule

__all__ = ["FORMAT", "OperatorRule", "Power", "Sourced", "Target"]

FORMAT = "hannah-target/2"


class Power(Strict):
    """Electrical power.

    Attributes:
        active_w: Mean power of the chip and what the measurement includes while it infers.
    """

    active_w: SourcedWatts


class Target(Strict):
    """A chip, the software that runs on it and how it is priced.

    Attributes:
        format: `FORMAT`.
        name: Catalogue name.
        title: One line for people.
        core: The processor core, a name of `hannah_hw.cores.CORES`.
        document: Where clock and memory sizes are stated.
        clock_hz: Core clock.
        ram_bytes: Data memory.
        flash_bytes: Program memory.
        flash_origin: Its first address, for the linker script of exported firmware; None: not known.
        ram_origin: First address of the data memory, for the same.
        power: Power figures.
        model: Kind of cost model and its parameters.
        unsupported: What happens to a kernel that cannot run: ``error`` leaves the network without a figure.
    """

    format: Literal["hannah-target/2"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    title: str = Field(min_length=1)
    core: str
    document: str = Field(min_length=1)
    clock_hz: Hertz
    ram_bytes: Bytes
    flash_bytes: Bytes
    flash_origin: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    ram_origin: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    power: Power
    model: Model
    unsupported: Literal["error"]

    _origin: Path | None = PrivateAttr(default=None)

    @field_validator("core")
    @classmethod
    def _is_a_core(cls, name: str) -> str:
        try:
            return core_named(name).name
        except InputError as failure:
            raise ValueError(str(failure)) from failure

    @property
    def processor(self) -> Core:
        """The core."""
        return CORES[self.core]

    @property
    def label(self) -> str:
        """``NAME:RUNTIME``, which `hannah_hw.targets.load_target` takes."""
        return f"{self.name}:{self.model.runtime}"

    @property
    def ops(self) -> tuple[OperatorRule, ...]:
        """Which kernels can run; a kernel of a kind without a rule cannot."""
        return self.model.ops

    def using(self, runtime: str) -> Target:
        """The same chip with another of its runtimes.

        Raises:
            TargetError: It has no runtime of that name.
        """
        try:
            return self.model_copy(update={"model": self.model.using(runtime)})
        except ValueError as failure:
            raise TargetError(str(failure), where=self.name) from failure

    @property
    def origin(self) -> Path | None:
        """The file it was read from; relative names in it are looked up beside that file first."""
        return self._origin
