"""The report on one candidate: every figure with its source and its error band."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from hannah_hw.showing import Shown

FigureSource = Literal["estimated", "emulated", "measured", "published"]

#: Figures that are sums over kernels -> their units.
PARTIAL_UNITS: Final = {"latency_s": "s", "energy_j": "J", "cycles": "cycles"}
#: What of a report's data, as `to_dict` or `hannah-hw estimate --json` writes it, is no plain field.
_REBUILT: Final = frozenset(
    {
        "figures",
        "flash",
        "insight",
        "kernels",
        "lowering",
        "memory",
        "notes",
        "partial",
        "supported",
        "unsupported",
        "unsupported_kinds",
    }
)


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
    ``detail`` is what the model says beyond, such as the mapping. ``macs`` is None of an operator of a file of which
    it is not known.
    """

    name: str
    kind: str
    kernel_class: str | None
    macs: int | None
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
    """A kernel that the target cannot run, or that has no price there, and the rule that failed.

    Attributes:
        kernel: Its name.
        kind: Kind of a kernel, or type of an ONNX operator that nobody reads.
        rule: What the target does not allow.
        unread: Why a foreign file's operator could not be read, so that nothing is known of what it computes; empty
            where it was read.
        unpriced: Whether the target runs it, and nothing is known of how long that takes.
    """

    kernel: str
    kind: str
    rule: str
    unread: str = ""
    unpriced: bool = False


@dataclass(frozen=True)
class UnsupportedKind:
    """Kernels of one kind that cannot run for one reason.

    Attributes:
        kind: See `UnsupportedRow`; so the last two.
        count: How many there are.
        kernels: Their names.
        rule: The rule that the first of them fails.
        unread: Why the first of them could not be read.
    """

    kind: str
    count: int
    kernels: tuple[str, ...]
    rule: str
    unread: str


@dataclass(frozen=True)
class CostReport(Shown):
    """What one candidate costs on a target.

    Attributes:
        target: Name of the target.
        latency_s: Seconds of one inference, or None when a kernel cannot run; so the next four.
        energy_j: Joules of one inference; None also where the target's description does not give it.
        ram_bytes: Peak data memory.
        flash_bytes: Program memory.
        cycles: Core cycles of one inference.
        macs: Multiply-accumulates of one inference, as far as they are known.
        parameters: Weights and biases, elements.
        figures: Key -> figure with source and error band; empty when a kernel cannot run.
        kernels: Rows in execution order.
        memory: Where the RAM goes; None where it is not known.
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
    memory: Memory | None
    flash: Flash
    unsupported: tuple[UnsupportedRow, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    area_mm2: float | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        figures = self.figures or self.partial
        words = [f"{key} {figure.value:.4g}" for key, figure in figures.items()]
        if self.unsupported:
            words.append(f"{len(self.unsupported)} of {len(self.kernels)} kernels cannot run")
        return f"CostReport({self.target}: {', '.join(words)})"

    @property
    def supported(self) -> bool:
        """Whether every kernel can run."""
        return not self.unsupported

    @property
    def runs_unpriced(self) -> bool:
        """Whether the target runs every kernel, and some have no price."""
        return bool(self.unsupported) and all(row.unpriced for row in self.unsupported)

    @property
    def unsupported_kinds(self) -> tuple[UnsupportedKind, ...]:
        """What cannot run by kind, the most frequent first; of a kind, what was read apart from what was not."""
        found: dict[tuple[str, bool], list[UnsupportedRow]] = {}
        for row in self.unsupported:
            found.setdefault((row.kind, not row.unread), []).append(row)
        return tuple(
            UnsupportedKind(kind, len(rows), tuple(row.kernel for row in rows), rows[0].rule, rows[0].unread)
            for (kind, _), rows in sorted(found.items(), key=lambda item: -len(item[1]))
        )

    @property
    def partial(self) -> dict[str, Figure]:
        """Sums over the kernels that have a price, where others have none: lower bounds of what is not known.

        Empty where every kernel can run, or none. A sum is left out where some kernel that can run has no such figure.
        """
        runs = [row for row in self.kernels if row.latency_s is not None]
        if self.supported or not runs:
            return {}
        others = "have no price" if self.runs_unpriced else "cannot run"
        note = f"partial: {len(runs)} of {len(self.kernels)} kernels; the others {others} and are left out"
        sums: dict[str, list[float | None]] = {
            "latency_s": [row.latency_s for row in runs],
            "energy_j": [row.energy_j for row in runs],
            "cycles": [row.cycles for row in runs],
        }
        return {
            key: Figure(sum(v for v in values if v is not None), PARTIAL_UNITS[key], "estimated", None, note)
            for key, values in sums.items()
            if None not in values
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data; keys carry their units."""
        data = asdict(self)
        for key in ("kernels", "unsupported", "notes"):
            data[key] = list(data[key])
        data["unsupported_kinds"] = [asdict(row) for row in self.unsupported_kinds]
        data["partial"] = {key: asdict(figure) for key, figure in self.partial.items()}
        if self.memory is not None:
            data["memory"]["buffers"] = list(data["memory"]["buffers"])
        data["supported"] = self.supported
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CostReport:
        """The report that `to_dict` gave."""
        return cls(
            **{key: value for key, value in data.items() if key not in _REBUILT},
            figures={key: Figure(**figure) for key, figure in data["figures"].items()},
            kernels=tuple(KernelRow(**row) for row in data["kernels"]),
            memory=_memory(data["memory"]),
            flash=Flash(**data["flash"]),
            unsupported=tuple(UnsupportedRow(**row) for row in data["unsupported"]),
            notes=tuple(data.get("notes", ())),
        )


def _memory(data: dict[str, Any] | None) -> Memory | None:
    if data is None:
        return None
    return Memory(**{**data, "buffers": tuple(BufferRow(**row) for row in data["buffers"])})
