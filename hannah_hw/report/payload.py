"""The part of a run that the page's script draws, as one compact JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hannah_hw.cost.peak import peak
from hannah_hw.cost.report import CostReport
from hannah_hw.report.axes import UNITS
from hannah_hw.report.columns import pack
from hannah_hw.report.data import ReportData
from hannah_hw.report.measurements import Measured
from hannah_hw.report.networks import networks
from hannah_hw.report.provenance import provenance

#: Candidates whose kernels and buffers travel in the page. The front comes first, then the newest.
MAX_DETAILED: Final = 400
#: Kernels and buffers of all of these together, about 60 bytes each.
MAX_ROWS: Final = 18_000
#: Candidates besides the front and the measured ones that are drawn at all: more make a page slow and show no more.
MAX_DRAWN: Final = 5000

_KERNEL_FIELDS: Final = (
    "name",
    "kind",
    "kernel_class",
    "macs",
    "cycles",
    "latency_s",
    "weight_bytes",
    "source",
    "error",
    "energy_j",
    "utilisation",
    "cycle_parts",
    "energy_parts_j",
)
_BUFFER_FIELDS: Final = ("name", "kind", "bytes", "offset", "first", "last")
_FIGURE_FIELDS: Final = ("value", "unit", "source", "error", "note")


def payload(run: ReportData, links: Mapping[str, str]) -> dict[str, Any]:
    """What the script draws.

    Args:
        run: The run.
        links: Candidate id -> address of its ONNX file, as seen from the page.
    """
    costs = _costs(run)
    shown = sorted(set(costs).union(drawn(run)))
    keys = [o.key for o in run.objectives]
    return {
        "axes": [
            {"key": a.key, "label": a.label, "unit": a.unit, "training": a.of_training} for a in run.axes
        ],
        "x": keys[1] if len(keys) > 1 else (run.axes[-1].key if run.axes else None),
        "y": keys[0] if keys else None,
        "objectives": [{"key": o.key, "direction": o.direction} for o in run.objectives],
        "provenance": provenance(run),
        "networks": networks(run),
        "budgets": [
            {"key": b.key, "name": b.name, "text": b.text, "bound": b.bound, "upper": b.upper}
            for b in run.budgets
        ],
        "candidates": pack(
            [
                _candidate(run, i, links.get(run.candidates[i].id), costs.get(i))
                | _measurement(run.measured.get(run.candidates[i].id))
                for i in shown
            ]
        ),
        "history": {
            "evaluations": run.history.evaluations,
            "hypervolume": run.history.hypervolume,
            "front": run.history.front_size,
        },
        "total": len(run.candidates),
        "folder": str(run.folder),
        "models_only": run.models_only,
        "hardware": [{"id": h.id, "name": h.name, "unit": UNITS.get(h.dimension, "")} for h in run.hardware],
    }


def drawn(run: ReportData) -> list[int]:
    """Positions of the candidates that are drawn: the front, what was measured, and of the others an even share."""
    must = set(run.front) | {i for i, c in enumerate(run.candidates) if c.id in run.measured}
    others = [i for i in range(len(run.candidates)) if i not in must]
    step = max(1, -(-len(others) // MAX_DRAWN))
    return sorted(must.union(others[::step]))


def embed(document: Any) -> str:
    """JSON that is safe inside a ``<script>`` element.

    ``<``, ``>``, ``&`` and the two line separators of Unicode become escapes, so no text of a run can end the
    element or open a comment. Numbers that are not finite become null.
    """
    text = json.dumps(_finite(document), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _candidate(
    run: ReportData, position: int, link: str | None, cost: Mapping[str, Any] | None
) -> dict[str, Any]:
    candidate = run.candidates[position]
    row: dict[str, Any] = {
        "index": candidate.index,
        "id": candidate.id,
        "status": candidate.status,
        "values": candidate.values,
        "assignment": {key: _text(value) for key, value in candidate.assignment.items()},
    }
    marks = {
        "front": candidate.on_front,
        "knee": position == run.knee,
        "preferred": position == run.preferred,
        "open": candidate.open,
    }
    row |= {name: True for name, here in marks.items() if here}
    others = {
        "cost": cost,
        "onnx": link,
        "reason": candidate.reason,
        "estimated": candidate.estimated,
        "bands": candidate.bands,
    }
    return row | {name: value for name, value in others.items() if value}


def _measurement(measured: Measured | None) -> dict[str, Any]:
    """What was measured: figures by metric with what they rest on, and seconds by kernel."""
    if measured is None or measured.reason is not None:
        return {}
    found = {
        "figures": measured.figures,
        "errors": measured.errors,
        "notes": measured.notes,
        "kernels": measured.kernels,
        "source": measured.source,
        "means": measured.means,
        "warning": measured.warning,
    }
    return {"emulated": {key: value for key, value in found.items() if value}}


def _costs(run: ReportData) -> dict[int, dict[str, Any]]:
    """Position -> cost report, of as many candidates as the page has room for: of the front first, then the newest."""
    trained = [i for i, candidate in enumerate(run.candidates) if candidate.status == "ok"]
    found: dict[int, dict[str, Any]] = {}
    room = MAX_ROWS
    for i in sorted(trained, key=lambda i: (not run.candidates[i].on_front, -i))[:MAX_DETAILED]:
        cost = _cost(run.candidates[i].cost, mappings=run.candidates[i].on_front)
        room -= len(cost["kernels"]) + len(cost["buffers"])
        if room < 0:
            break
        found[i] = cost
    return found


def _cost(cost: Mapping[str, Any], *, mappings: bool) -> dict[str, Any]:
    """What the page shows of a cost report; with what the model says of single kernels, such as their mapping."""
    fields = (*_KERNEL_FIELDS, "detail") if mappings else _KERNEL_FIELDS
    memory = cost.get("memory")
    memory = memory if isinstance(memory, Mapping) else {}
    flash = cost.get("flash")
    figures = cost.get("figures")
    return {
        "kernels": [_only(row, fields) for row in _rows(cost.get("kernels"))],
        "buffers": [_only(row, _BUFFER_FIELDS) for row in _rows(memory.get("buffers"))],
        "ram": _parts(memory, ("arena", "scratch", "stack", "runtime")),
        "flash": _parts(flash if isinstance(flash, Mapping) else {}, ("weights", "requantisation", "code")),
        "liveness": memory.get("liveness_bound"),
        "peak": _peak(cost),
        "figures": {
            str(key): _only(figure, _FIGURE_FIELDS)
            for key, figure in (figures if isinstance(figures, Mapping) else {}).items()
            if isinstance(figure, Mapping)
        },
    }


def _peak(cost: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where the RAM is at its peak, as the terminal says it; None of records that are damaged or do not say it."""
    try:
        report = CostReport.from_dict(dict(cost))
        found = peak(report)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if found is None:
        return None
    at = next(k for k, row in enumerate(report.kernels) if row.name == found.kernel)
    return {"at": at, "bytes": found.bytes, "scratch": found.scratch_bytes, "of": str(found)}


def _rows(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [row for row in value if isinstance(row, Mapping)]


def _only(row: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in fields if row.get(name) not in (None, {})}


def _parts(split: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """The named parts of a total, in bytes, those that are zero or unknown left out."""
    return {name: split[name] for name in names if split.get(name)}


def _text(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else json.dumps(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
