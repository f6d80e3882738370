"""The format ``hannah-target/2``: what every target says, whatever it is; one YAML file per chip or machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field, PrivateAttr

from hannah_hw.showing import Shown
from hannah_hw.targets.fields import Strict
from hannah_hw.targets.rules import OperatorRule

__all__ = ["FORMAT", "Target"]

FORMAT: Final = "hannah-target/2"


class Target(Strict, Shown):
    """A chip or a machine, what runs on it and how it is priced.

    The families are `hannah_hw.targets.Microcontroller`, `hannah_hw.targets.Accelerator` and `hannah_hw.targets.Host`;
    the kind of the cost model tells them apart.

    Attributes:
        family: ``microcontroller``, ``accelerator`` or ``host``.
        format: `FORMAT`.
        name: Catalogue name.
        title: One line for people.
        document: Where its figures are stated.
    """

    family: ClassVar[str] = "target"

    format: Literal["hannah-target/2"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    title: str = Field(min_length=1)
    document: str = Field(min_length=1)

    _origin: Path | None = PrivateAttr(default=None)

    @property
    def label(self) -> str:
        """What `hannah_hw.targets.load_target` takes to find it again."""
        return self.name

    @property
    def kind(self) -> str:
        """Kind of its cost model."""
        raise NotImplementedError

    if TYPE_CHECKING:
        # A field of some families and a property of others, so pydantic must not see it here.
        @property
        def ops(self) -> tuple[OperatorRule, ...]:
            """Which kernels can run; a kernel of a kind without a rule cannot."""

    @property
    def capacities(self) -> Mapping[str, int | None]:
        """``ram_bytes`` and ``flash_bytes`` that there are; None where there is no bound."""
        raise NotImplementedError

    def using(self, runtime: str) -> Target:
        """The same chip with another of its runtimes.

        Raises:
            TargetError: It has no runtime of that name.
        """
        raise NotImplementedError

    @property
    def origin(self) -> Path | None:
        """The file it was read from; relative names in it are looked up beside that file first."""
        return self._origin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label})"
