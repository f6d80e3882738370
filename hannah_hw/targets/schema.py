"""The format ``hannah-target/1``: one YAML file per chip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from hannah_hw.errors import InputError, TargetError
from hannah_hw.targets.fields import Bytes, Hertz, Sourced, SourcedWatts, Strict
from hannah_hw.targets.legality import Predicate
from hannah_hw.targets.models import Model
from hannah_hw.workload.table import KERNEL_KINDS

__all__ = ["FORMAT", "OperatorRule", "Power", "Sourced", "Target"]

FORMAT = "hannah-target/1"


class OperatorRule(Strict):
    """Kernels that the target can run.

    Attributes:
        match: Kernel kind, or several.
        when: Conditions over the kernel columns, all of which must hold; see `hannah_hw.targets.legality`.
    """

    match: str | tuple[str, ...]
    when: tuple[str, ...] = ()

    @field_validator("when")
    @classmethod
    def _parses(cls, conditions: tuple[str, ...]) -> tuple[str, ...]:
        for condition in conditions:
            try:
                Predicate.parse(condition)
            except InputError as failure:
                raise ValueError(str(failure)) from failure
        return conditions

    @field_validator("match")
    @classmethod
    def _known(cls, match: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for kind in (match,) if isinstance(match, str) else match:
            if kind not in KERNEL_KINDS:
                problem = TargetError(f"unknown kernel kind {kind!r}", allowed=KERNEL_KINDS, given=kind)
                raise ValueError(str(problem))
        return match

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kernel kinds it speaks of."""
        return (self.match,) if isinstance(self.match, str) else self.match


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
        core: The processor core.
        document: Where clock and memory sizes are stated.
        clock_hz: Core clock.
        ram_bytes: Data memory.
        flash_bytes: Program memory.
        power: Power figures.
        model: Kind of cost model and its parameters.
        ops: Which kernels can run; a kernel of a kind without a rule cannot.
        unsupported: What happens to a kernel that cannot run: ``error`` leaves the network without a figure.
    """

    format: Literal["hannah-target/1"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    title: str = Field(min_length=1)
    core: str = Field(min_length=1)
    document: str = Field(min_length=1)
    clock_hz: Hertz
    ram_bytes: Bytes
    flash_bytes: Bytes
    power: Power
    model: Model
    ops: tuple[OperatorRule, ...] = Field(min_length=1)
    unsupported: Literal["error"]

    _origin: Path | None = PrivateAttr(default=None)

    @property
    def origin(self) -> Path | None:
        """The file it was read from; relative names in it are looked up beside that file first."""
        return self._origin
