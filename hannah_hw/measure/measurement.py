"""What running firmware on an emulated core gave: figures with their source and error, and a row for each kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hannah_hw.cost.report import Figure

if TYPE_CHECKING:
    from hannah_hw.cores import Core
    from hannah_hw.targets import Microcontroller


@dataclass(frozen=True)
class KernelMeasurement:
    """One kernel call.

    Attributes:
        name: Of the layer.
        kind: Its kind.
        kernel_class: Its class in the cost library.
        function: The C function that ran.
        macs: Multiply-accumulates.
        instructions: Executed, those around the call included.
        core_cycles: By the core's documented timing, without wait states.
        taken_branches: Branches taken.
        flash_reads: Data loads from flash; None where they were not counted.
        cycles: With the target's scale and wait cycles.
        latency_s: Those at the target's clock.
    """

    name: str
    kind: str
    kernel_class: str
    function: str
    macs: int
    instructions: int
    core_cycles: int
    taken_branches: int
    flash_reads: int | None
    cycles: float
    latency_s: float

    @property
    def cycles_per_mac(self) -> float | None:
        """Core cycles for each multiply-accumulate; None of a kernel that has none."""
        return self.core_cycles / self.macs if self.macs else None


@dataclass(frozen=True)
class Measurement:
    """What one network cost on an emulated core. There is none whose output was wrong.

    Attributes:
        model: Name of the model.
        target: Name of the target.
        core: Title of the core.
        compiler: What built the firmware.
        emulator: What ran it.
        weights: Where the weights come from.
        ranges: Where the ranges of the values come from.
        figures: ``latency_s``, ``energy_j``, ``cycles``, ``ram_bytes`` and ``flash_bytes`` -> figure.
        kernels: One for each layer, in order of execution.
        instructions: Of one inference, what is between the layers included; so the next three.
        core_cycles: See `KernelMeasurement`.
        taken_branches: See `KernelMeasurement`.
        flash_reads: See `KernelMeasurement`.
        memory: Bytes of RAM by what takes them: ``arena``, ``static`` (all other variables) and ``stack``.
        flash: Bytes of flash by what takes them: ``code``, ``constants`` (weights and
            tables), ``other`` (initial values of variables, and gaps).
        checked: Random inputs whose output was compared with the reference.
        reference: What that is: ``the integer reference``, byte by byte, or ``ONNX Runtime`` for float32.
        difference: Largest difference from it, relative to the largest element of the output; 0 of an int8 network.
    """

    model: str
    target: str
    core: str
    compiler: str
    emulator: str
    weights: str
    ranges: str
    figures: Mapping[str, Figure]
    kernels: tuple[KernelMeasurement, ...]
    instructions: int
    core_cycles: int
    taken_branches: int
    flash_reads: int | None
    memory: Mapping[str, int]
    flash: Mapping[str, int]
    checked: int
    reference: str = "the integer reference"
    difference: float = 0.0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(kernel.macs for kernel in self.kernels)

    def value(self, key: str) -> float:
        """A figure's value."""
        return self.figures[key].value

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data; keys carry their units."""
        data = asdict(self)
        data["kernels"] = [{**asdict(row), "cycles_per_mac": row.cycles_per_mac} for row in self.kernels]
        return {**data, "macs": self.macs}


@dataclass(frozen=True)
class Timing:
    """From what a core counts to seconds on a chip.

    Attributes:
        target: The chip.
        core: Its core.
        int8: Whether int8 kernels ran: the device layer of a target is found with those. How far it is off for others
            is not known, and so is their error.
    """

    target: Microcontroller
    core: Core
    int8: bool = True

    @property
    def needs_flash_reads(self) -> bool:
        """Whether the chip's flash makes the core wait."""
        return self.target.model.flash_wait_cycles.value > 0

    def cycles(self, core_cycles: int, flash_reads: int | None) -> float:
        """Core cycles and data loads from flash as cycles of the chip."""
        model = self.target.model
        return core_cycles * model.cycle_scale.value + (flash_reads or 0) * model.flash_wait_cycles.value

    @property
    def error(self) -> float | None:
        """Relative half width of a latency: what the core's table and what the device layer leave open, added.

        None where that is not known.
        """
        device = self.target.model.device_error
        return None if device is None or not self.int8 else self.core.timing_error + device

    @property
    def basis(self) -> str:
        """What a latency rests on."""
        wait, device = self.target.model.flash_wait_cycles, self.target.model.device_error
        return (
            f"instructions of an emulated {self.core.title} by its documented timing ±{self.core.timing_error:.0%}; "
            f"{wait.value:g} cycles per flash read ({wait.source}); device "
            f"{'unknown' if device is None else f'±{device:.1%}'}"
            f"{'' if device is None or self.int8 else ' with int8 kernels, not known with these'}"
        )

    def figures(self, cycles: float, ram_bytes: int, flash_bytes: int, stack_note: str) -> dict[str, Figure]:
        """The figures of one inference.

        Args:
            cycles: Of the chip.
            ram_bytes: Variables and stack.
            flash_bytes: Of the ELF.
            stack_note: How the stack was measured.
        """
        power, seconds = self.target.power.active_w, cycles / self.target.clock_hz
        powered = None if self.error is None or power.error is None else self.error + power.error
        return {
            "latency_s": Figure(seconds, "s", "emulated", self.error, self.basis),
            "energy_j": Figure(
                seconds * power.value,
                "J",
                "emulated",
                powered,
                f"latency x {power.value * 1e3:.1f} mW active power ({power.source})",
            ),
            "cycles": Figure(cycles, "cycles", "emulated", self.error, self.basis),
            "ram_bytes": Figure(float(ram_bytes), "bytes", "emulated", 0.0, stack_note),
            "flash_bytes": Figure(
                float(flash_bytes), "bytes", "emulated", 0.0, "what the ELF stores in flash"
            ),
        }
