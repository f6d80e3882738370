"""What a first configuration takes from a chip: bounds with headroom, objectives that it has figures for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from hannah_hw.errors import InputError
from hannah_hw.quantities import format_bytes, format_si
from hannah_hw.targets import Accelerator, Microcontroller, Target, load_target

#: Share of a microcontroller's memories that a network may take. The rest is left to the program around it: its
#: stack, the buffers of its sensors and radio, and its code. A choice, and no figure of any chip.
NETWORK_SHARE: Final = 0.75


@dataclass(frozen=True)
class Chip:
    """A target as a user named it.

    Attributes:
        given: Name or path, ``:RUNTIME`` behind it where that was asked for.
        target: What it is.
    """

    given: str
    target: Target

    @property
    def params(self) -> Literal["default"] | dict[str, int]:
        """``default`` of a chip with sizes that could be searched: a first search takes it as it is described."""
        searched = isinstance(self.target, Accelerator) and bool(self.target.params)
        return "default" if searched else {}

    @property
    def bounds(self) -> dict[str, str]:
        """Metric -> bound for networks; empty where other programs do not share the chip's memories.

        Accelerators' own memories bound every search anyway; a host's are without bound.
        """
        if not isinstance(self.target, Microcontroller):
            return {}
        sizes = {"ram": self.target.ram_bytes, "flash": self.target.flash_bytes}
        return {name: f"<= {int(size * NETWORK_SHARE) // 1024} KiB" for name, size in sizes.items()}

    @property
    def summary(self) -> str:
        """Its memories and clock in words; those of a host are not known."""
        sizes = {
            key.removesuffix("_bytes"): size
            for key, size in self.target.capacities.items()
            if size is not None
        }
        words = {"ram": "RAM", "flash": "flash"}
        parts = [f"{format_bytes(size)} {words.get(name, name)}" for name, size in sizes.items()]
        if isinstance(self.target, Microcontroller | Accelerator):
            parts.append(format_si(self.target.clock_hz, "Hz"))
        return ", ".join(parts)

    def objectives(self, figures: Mapping[str, object]) -> dict[str, str]:
        """Objective -> direction.

        On a microcontroller energy is latency times a power, and adds nothing.

        Args:
            figures: Metric key -> something, of those that random candidates have figures of.
        """
        wanted = {"error": "min", "latency": "min"}
        if isinstance(self.target, Accelerator) and "energy_j" in figures:
            wanted["energy"] = "min"
        return wanted


def open_chip(given: str) -> Chip:
    """A target by name or path.

    Raises:
        InputError: There is none, or it was given with sizes in brackets, which a configuration has in ``params``.
    """
    if "[" in given:
        plain = given.partition("[")[0]
        raise InputError(
            f"give the chip without sizes, --target {plain}; the configuration has them in its field 'params'",
            where=f"--target {given}",
        )
    return Chip(given, load_target(given))
