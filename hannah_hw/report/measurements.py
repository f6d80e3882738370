"""What the upper rung of a search measured, beside what was estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.measure.emulated import RUNTIME
from hannah_hw.report.axes import axis
from hannah_hw.report.escaping import escape
from hannah_hw.report.records import Json, finite_numbers, read_records
from hannah_hw.search.metrics import Constraint
from hannah_hw.search.settling import decided

if TYPE_CHECKING:
    from hannah_hw.report.data import ReportData

#: File of a run directory.
MEASUREMENTS: Final = "measurements.jsonl"
#: The source of figures of an emulated core.
EMULATED: Final = "emulated"
#: Source of the figures -> how the page says it.
_TITLES: Final = {EMULATED: "Measured on an emulated core", "measured": "Measured by the vendor's compiler"}
_HOW: Final = {
    EMULATED: "Each model was built as firmware, run instruction by instruction, and its output compared with the "
    "integer reference.",
    "measured": "Each model was compiled by the compiler of the chip's vendor: memory is what the compiled network "
    "takes, time is the compiler's own estimate, not silicon.",
}
#: Fields of a measurement that say how it was made.
_MEANS: Final = ("core", "compiler", "emulator", "weights")
#: Figures that are compared.
COMPARED: Final = ("latency_s", "energy_j", "ram_bytes", "flash_bytes")


@dataclass(frozen=True)
class Measured:
    """What became of measuring one candidate.

    Attributes:
        id: Of the candidate.
        reason: Kind and message of a failure; None where there are figures.
        figures: Metric key -> value.
        errors: Metric key -> relative half width of its band, where that is known.
        kernels: Name -> seconds.
        means: How it was measured: core, compiler, weights.
        source: ``emulated``: on an emulated core; ``measured``: by the compiler of an accelerator, or on a host.
        decides: Whether it decides what is on the front, as a measurement on a host does.
        notes: Metric key -> what the figure and its band rest on.
        warning: Why the figures may be wrong; empty where nothing says so.
    """

    id: str
    reason: tuple[str, str] | None
    figures: Mapping[str, float]
    errors: Mapping[str, float]
    kernels: Mapping[str, float]
    means: Mapping[str, str]
    source: str = EMULATED
    decides: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""


def read_measurements(folder: Path) -> tuple[dict[str, Measured], list[str]]:
    """Candidate id -> what was measured, and a warning for every line that could not be read.

    Args:
        folder: The run directory; without the file nothing was measured.
    """
    path = folder / MEASUREMENTS
    if not path.is_file():
        return {}, []
    records, warnings = read_records(path, "a measurement")
    return {record["id"]: _measured(record) for record in records}, warnings


def _measured(record: Mapping[str, Any]) -> Measured:
    found = _mapping(record.get("measurement"))
    figures = {str(key): _mapping(figure) for key, figure in _mapping(found.get("figures")).items()}
    reason = _mapping(record.get("reason"))
    rows = found.get("kernels")
    kernels = {
        str(row.get("name")): row.get("latency_s")
        for row in (rows if isinstance(rows, Sequence) else ())
        if isinstance(row, Mapping)
    }
    sources = {str(figure.get("source")) for figure in figures.values()}
    return Measured(
        id=record["id"],
        reason=(str(reason.get("kind", "")), str(reason.get("message", ""))) if reason else None,
        figures=finite_numbers({key: figure.get("value") for key, figure in figures.items()}),
        errors=finite_numbers({key: figure.get("error") for key, figure in figures.items()}),
        kernels=finite_numbers(kernels),
        means={key: str(found[key]) for key in _MEANS if isinstance(found.get(key), str)}
        | {str(key): str(value) for key, value in _mapping(found.get("means")).items()},
        source="measured" if sources == {"measured"} else EMULATED,
        decides=record.get("decides") is True,
        notes={key: str(figure["note"]) for key, figure in figures.items() if figure.get("note")},
        warning=str(found.get("warning") or ""),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def decided_record(record: Json, measured: Measured | None, constraints: Sequence[Constraint]) -> Json:
    """A record of the search as a measurement leaves it; see `hannah_hw.search.settling.decided`."""
    if measured is None or not measured.decides:
        return record
    kind, message = measured.reason or ("", "")
    found = {
        "decides": True,
        "status": "ok" if measured.reason is None else "failed",
        "reason": {"kind": kind, "message": message},
        "measurement": {"figures": {key: {"value": value} for key, value in measured.figures.items()}},
    }
    parts = {key: dict(_mapping(record.get(key))) for key in ("objectives", "metrics")}
    return decided({**record, **parts, "status": record.get("status")}, found, constraints)


def warnings_of(run: ReportData) -> list[str]:
    """What is wrong with measurements, each warning once with those that it is about."""
    found: dict[str, list[str]] = {}
    for name, measured in run.measured.items():
        if measured.warning:
            found.setdefault(measured.warning, []).append(name)
    return [
        f"{len(names)} of {len(run.measured)} measurements may be wrong ({_some(names)}): {warning}"
        for warning, names in found.items()
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def difference(estimated: float | None, measured: float | None) -> float | None:
    """By how much an estimate is above what was measured, relative to that."""
    return None if estimated is None or not measured else estimated / measured - 1.0


def largest_differences(run: ReportData) -> dict[str, float]:
    """Metric key -> the largest absolute `difference` over all that was measured."""
    found: dict[str, list[float]] = {}
    for key, value in _differences(run):
        found.setdefault(key, []).append(abs(value))
    return {key: max(values) for key, values in found.items()}


def _differences(run: ReportData) -> Iterator[tuple[str, float]]:
    for candidate in run.candidates:
        measured = run.measured.get(candidate.id)
        for key in COMPARED if measured is not None else ():
            value = difference(candidate.estimate(key), measured.figures.get(key) if measured else None)
            if value is not None:
                yield key, value


def measured_section(run: ReportData) -> str:
    """The section of the page: each measured candidate, estimate against measurement; empty without any."""
    if not run.measured:
        return ""
    front = [run.candidates[i] for i in run.front]
    shown = {c.id: c for c in (*front, *run.candidates) if c.id in run.measured}
    keys = [key for key in COMPARED if any(key in run.measured[name].figures for name in shown)]
    source = source_of(run)
    heads = "".join(
        f'<th scope="col">{escape(axis(key).label)}, estimated</th><th scope="col">{source}</th>'
        '<th scope="col">difference</th>'
        for key in keys
    )
    rows = []
    for name, candidate in shown.items():
        measured = run.measured[name]
        if measured.reason is not None:
            text = ": ".join(part for part in measured.reason if part)
            cells = f'<td colspan="{3 * len(keys) or 1}">{escape(text)}</td>'
        else:
            cells = "".join(_cells(key, candidate.values.get(key), measured) for key in keys)
        rows.append(
            f'<tr data-id="{escape(name)}"><td><button type="button" class="pick">{escape(name)}</button></td>'
            f"{cells}</tr>"
        )
    means = dict.fromkeys(
        ", ".join(f"{key}: {text}" for key, text in measured.means.items())
        for measured in run.measured.values()
        if measured.means
    )
    return (
        f'<section class="card" aria-labelledby="h-measured"><h2 id="h-measured">{_TITLES[source]}</h2>'
        f'<div class="scroll"><table id="measured" data-roving><thead>'
        f'<tr><th scope="col">Candidate</th>{heads}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="note">{escape(_note(run))} '
        f"{escape('; '.join(means))}.</p></section>"
    )


def _cells(key: str, estimated: float | None, measured: Measured) -> str:
    value = measured.figures.get(key)
    off = difference(estimated, value)
    band = measured.errors.get(key)
    shown = axis(key).format(value) + (f" ± {100 * band:.2g} %" if band else "")
    change = "-" if off is None else f"{100 * off:+.1f} %"
    return "".join(
        f'<td class="number tipped" tabindex="-1" data-key="{key}">{escape(text)}</td>'
        for text in (axis(key).format(estimated), shown, change)
    )


def _note(run: ReportData) -> str:
    largest = ", ".join(
        f"{axis(key).label} {100 * value:.1f} %" for key, value in largest_differences(run).items()
    )
    target = run.resolved.get("target")
    runtime = target.get("runtime") if isinstance(target, Mapping) else None
    other = (
        f" The search was priced for the runtime {runtime}, and firmware has other kernels: the differences are theirs."
        if runtime not in (None, RUNTIME)
        else ""
    )
    how = _HOW[source_of(run)]
    return f"{how} Largest difference of an estimate: {largest or 'none'}.{other}"


def source_of(run: ReportData) -> str:
    """``emulated`` or ``measured``: what the measurements of a run are; all of a run are alike."""
    return next((found.source for found in run.measured.values() if found.reason is None), EMULATED)
