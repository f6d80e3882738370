"""Targets and cost reports in a notebook: every figure with its source and its error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hannah_hw.cost import CostReport
from hannah_hw.notebook.markup import bar, card, folded, lines, note, table
from hannah_hw.quantities import format_bytes, format_si
from hannah_hw.report.axes import axis
from hannah_hw.targets import Accelerator, Target, describe_target
from hannah_hw.targets.drawing import draw

#: Kernels that are shown at once; the others are folded.
_KERNELS: Final = 3
_LABELS: Final = {"latency_s": "latency", "energy_j": "energy", "ram_bytes": "RAM", "flash_bytes": "flash"}


def target(value: Target) -> str:
    """A target: what it is, its figures with their sources, and the operators that it runs."""
    described = describe_target(value)
    operators = described["operators"]
    what = described.get("title") or described["family"]
    sourced = list(_sourced(described, ""))
    plain = [
        (key, axis(key).format(number) if axis(key).unit else f"{number:g}")
        for key, number in described.items()
        if isinstance(number, int | float) and key.endswith(("_hz", "_bytes", "_mm2"))
    ]
    rules = [(kind, "; ".join(rule) or "always") for kind, found in operators.items() for rule in found]
    drawing = draw(value) if isinstance(value, Accelerator) else []
    return card(
        value.label,
        what,
        table((), [("family", value.family), ("cost model", value.kind), *plain]),
        lines(drawing),
        folded(
            f"{len(sourced)} figures with a source",
            table(("figure", "value", "error", "source", "reference"), sourced, numbers=(1, 2)),
        ),
        folded(f"{len(operators)} operators", table(("operator", "runs when all of these hold"), rules)),
    )


def _sourced(value: Any, prefix: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Figures with a source as rows: place, value, error, source, reference."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            name = item.get("name", index) if isinstance(item, dict) else index
            yield from _sourced(item, f"{prefix}{name}.")
    if not isinstance(value, dict):
        return
    if "source" in value and "value" in value:
        error = value.get("error")
        shown = f"{value['value']:.4g}" if isinstance(value["value"], float) else str(value["value"])
        band = "not known" if error is None else f"± {100 * error:.3g} %"
        yield prefix.rstrip("."), shown, band, str(value["source"]), str(value.get("reference", ""))
        return
    for key, item in value.items():
        yield from _sourced(item, f"{prefix}{key}.")


def cost_report(value: CostReport) -> str:
    """A cost report: its figures, the kernels that take most, and what cannot run."""
    figures = [
        (_LABELS.get(key, key), _show(found.value, found.unit), _band(found.error), found.source, found.note)
        for key, found in (value.figures or value.partial).items()
    ]
    ranked = sorted(
        (k for k in value.kernels if k.latency_s is not None), key=lambda k: -(k.latency_s or 0.0)
    )
    total = sum(k.latency_s or 0.0 for k in ranked)
    rows = [
        (
            k.name,
            k.kernel_class or k.kind,
            None if k.macs is None else f"{k.macs:,}",
            format_si(k.latency_s or 0.0, "s"),
            f"{100 * (k.latency_s or 0.0) / total:.1f} %" if total else None,
            bar((k.latency_s or 0.0) / total) if total else None,
        )
        for k in ranked
    ]
    heads = ("kernel", "runs on", "MACs", "latency", "share", "")
    unsupported = [
        (row.kind, row.count, f"not read: {row.unread}" if row.unread else row.rule)
        for row in value.unsupported_kinds
    ]
    limits = ", ".join(
        f"{_LABELS[key]} {format_bytes(size)}" for key, size in value.limits.items() if key in _LABELS
    )
    verdict = "no price for" if value.runs_unpriced else "cannot run"
    return card(
        value.target,
        f"{value.macs:,} MACs, {value.parameters:,} weights and biases"
        + (f"; it has {limits}" if limits else ""),
        table(("figure", "value", "error", "source", "note"), figures, numbers=(1, 2)),
        note(f"{verdict} {len(value.unsupported)} of {len(value.kernels)} kernels") if unsupported else None,
        table(("kind", "count", "because"), unsupported, numbers=(1,)),
        table(heads, rows[:_KERNELS], numbers=(2, 3, 4)),
        folded(f"{len(rows) - _KERNELS} more kernels", table(heads, rows[_KERNELS:], numbers=(2, 3, 4))),
        *(note(words) for words in value.notes),
    )


def _band(error: float | None) -> str:
    if error is None:
        return "not known"
    return "exact" if error == 0 else f"± {100 * error:.2g} %"


def _show(number: float, unit: str) -> str:
    if unit == "bytes":
        return format_bytes(number)
    return f"{number:,.0f} {unit}" if unit == "cycles" else format_si(number, unit)
