"""``hannah-hw measure`` on an Ethos-U: what the vendor's compiler says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.cli.insight import measured_insight, render_insight
from hannah_hw.cli.options import refuse_options
from hannah_hw.cli.output import emit, table, write
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.advice import Insight
    from hannah_hw.measure.vela import VelaMeasurement
    from hannah_hw.targets import Target

#: Memory -> heading of its column.
_HEADINGS = {
    "sram": "SRAM",
    "dram": "DRAM",
    "on_chip_flash": "on-chip flash",
    "off_chip_flash": "off-chip flash",
}


def measure_with_vela(
    model: Path, target: Target, calibration: str | None, as_json: bool, unused: Mapping[str, object]
) -> None:
    """Measure a model and print it.

    Args:
        model: An ONNX or .tflite file.
        target: An Ethos-U.
        calibration: Of the verb.
        as_json: Of the verb.
        unused: Option -> value of those that are for emulated cores.

    Raises:
        InputError: One of those was given.
    """
    from hannah_hw.measure.vela import compile_with_vela

    refuse_options(
        unused, f"it is for firmware on an emulated core; {target.name} is measured by its compiler"
    )
    found = compile_with_vela(model, target, calibration=calibration)
    insight = measured_insight(model, target, [(row.name, row.latency_s or 0.0) for row in found.kernels])
    document = found.to_dict() | {"insight": insight.to_dict()}
    emit(document, as_json, lambda: _render(found, insight))


def _render(found: VelaMeasurement, insight: Insight) -> None:
    from hannah_hw.cli.measure import render_figures

    write(f"{found.model} on {found.target}: {found.core}, {found.compiler}")
    render_figures(found.figures, found.weights, found.ranges)
    write("")
    used = [area for area in _HEADINGS if any(row.memory_cycles[area] for row in found.kernels)]
    rows = []
    for row in found.kernels:
        share = None if row.cycles is None else f"{row.cycles / max(found.value('cycles'), 1.0):.1%}"
        rows.append(
            (
                row.name,
                " ".join(dict.fromkeys(row.operations)) or "part of another",
                f"{row.macs:,}",
                None if row.cycles is None else f"{row.cycles:,}",
                f"{row.npu_cycles:,}",
                *(f"{row.memory_cycles[area]:,}" for area in used),
                None if row.utilisation is None else f"{row.utilisation:.1%}",
                None if row.latency_s is None else format_si(row.latency_s, "s"),
                share,
            )
        )
    headers = ["kernel", "operations", "MACs", "cycles", "arithmetic"]
    headers += [*(_HEADINGS[area] for area in used), "MACs used", "latency", "share"]
    table(headers, rows, right=range(2, len(headers)), spare=("arithmetic", "MACs used", "operations"))
    write("")
    sizes = {_HEADINGS[area]: size for area, size in found.memory.items() if size}
    write("memory: " + ", ".join(f"{name} {format_bytes(size)}" for name, size in sizes.items()))
    write("flash: " + ", ".join(f"{name} {format_bytes(size)}" for name, size in found.flash.items()))
    if found.compression is not None:
        write(f"weights are encoded in {found.compression:.1%} of their bytes")
    if found.on_cpu:
        write(f"on the CPU, in no figure: {', '.join(found.on_cpu)}")
    write("")
    render_insight(insight)
