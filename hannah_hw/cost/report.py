"""The report on one candidate: every figure with its source and its error band."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

FigureSource = Literal["estimated", "emulated", "measured", "published"]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        value: In ``unit``.
        unit: ``s``, ``J``, ``bytes`` or ``cycles``.
        source: How it was obtained.
        error: Relative half width of its error band, or None when unknown.
        note: What the figure and its band rest on.
    """

    value: float
    unit: str
    source: FigureSource
    error: float | None
    note: str


@dataclass(frozen=True)
class KernelRow:
    """One kernel; figures are None when it cannot run.

    ``kernel_class`` says what runs it: a class of a kernel library, or ``array``, ``vector unit``, ``cpu`` of an
    accelerator. ``cycle_parts`` and ``energy_parts_j`` add up to cycles and energy where the model tells them apart;
    ``detail`` is what the model says beyond, such as the mapping.
    """

    name: str
    kind: str
    kernel_class: str | None
    macs: int
    cycles: float | None
    latency_s: float | None
    weight_bytes: int
    scratch_bytes: int | None
    source: str
    error: float | None
    weight_bits: int = 8
    activation_bits: int = 8
    output_bits: int = 8
    energy_j: float | None = None
    utilisation: float | None = None
    cycle_parts: dict[str, float] = field(default_factory=dict)
    energy_parts_j: dict[str, float] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def bits(self) -> str:
        """Bits of weights, input and output where they are not those of the usual integer network, else empty."""
        bits = (self.weight_bits, self.activation_bits, self.output_bits)
        return "" if bits == (8, 8, 8) else " / ".join(map(str, bits))


@dataclass(frozen=True)
class BufferRow:
    """One buffer in the arena: bytes, offset, first and last kernel by position in ``kernels``.

    ``memory`` names the memory that it lies in, of an accelerator.
    """

    name: str
    kind: str
    bytes: int
    offset: int
    first: int
    last: int
    memory: str | None = None


@dataclass(frozen=True)
class Memory:
    """RAM in bytes, by what takes it; ``scratch`` and ``total`` are None when a kernel cannot run.

    ``weights_in`` names the memory that the weights stay in, of an accelerator.
    """

    arena: int
    liveness_bound: int
    scratch: int | None
    stack: int
    runtime: int
    total: int | None
    planner: str
    buffers: tuple[BufferRow, ...] = ()
    weights_in: str | None = None


@dataclass(frozen=True)
class Flash:
    """Flash in bytes, by what takes it; ``code`` and ``total`` are None when a kernel cannot run."""

    weights: int
    requantisation: int
    code: int | None
    total: int | None


@dataclass(frozen=True)
class UnsupportedRow:
    """A kernel that the target cannot run, and the rule that failed."""

    kernel: str
    kind: str
    rule: str


@dataclass(frozen=True)
class CostReport:
    """What one candidate costs on a target.

    Attributes:
        target: Name of the target.
        latency_s: Seconds of one inference, or None when a kernel cannot run; so the next four.
        energy_j: Joules of one inference; None also where the target's description does not give it.
        ram_bytes: Peak data memory.
        flash_bytes: Program memory.
        cycles: Core cycles of one inference.
        macs: Multiply-accumulates of one inference.
        parameters: Weights and biases, elements.
        figures: Key -> figure with source and error band; empty when a kernel cannot run.
        kernels: Rows in execution order.
        memory: Where the RAM goes.
        flash: Where the flash goes.
        unsupported: Kernels that cannot run.
        limits: The target's ``ram_bytes`` and ``flash_bytes``, where they have a bound.
        area_mm2: Area of the chip, where the target's description gives it.
        notes: What else is to be known, such as why a figure is missing.
    """

    target: str
    latency_s: float | None
    energy_j: float | None
    ram_bytes: int | None
    flash_bytes: int | None
    cycles: float | None
    macs: int
    parameters: int
    figures: dict[str, Figure]
    kernels: tuple[KernelRow, ...]
    memory: Memory
    flash: Flash
    unsupported: tuple[UnsupportedRow, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    area_mm2: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether every kernel can run."""
        return not self.unsupported

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data; keys carry their units."""
        data = asdict(self)
        for key in ("kernels", "unsupported", "notes"):
            data[key] = list(data[key])
        data["memory"]["buffers"] = list(data["memory"]["buffers"])
        data["supported"] = self.supported
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CostReport:
        """The report that `to_dict` gave."""
        memory = dict(data["memory"])
        memory["buffers"] = tuple(BufferRow(**row) for row in memory["buffers"])
        return cls(
            **{
                key: value
                for key, value in data.items()
                if key not in {"figures", "kernels", "memory", "flash", "unsupported", "supported", "notes"}
            },
            figures={key: Figure(**figure) for key, figure in data["figures"].items()},
            kernels=tuple(KernelRow(**row) for row in data["kernels"]),
            memory=Memory(**memory),
            flash=Flash(**data["flash"]),
            unsupported=tuple(UnsupportedRow(**row) for row in data["unsupported"]),
            notes=tuple(data.get("notes", ())),
        )
