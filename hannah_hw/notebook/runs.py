"""Runs and what they evaluated in a notebook."""

from __future__ import annotations

from typing import Final

from hannah_hw.notebook.markup import Cell, Markup, badge, card, folded, note, table, text
from hannah_hw.notebook.scatter import scatter
from hannah_hw.report import Axis, Candidate, ReportData, Run
from hannah_hw.report.axes import axis

#: Status of a candidate -> what it is called.
_STATUS: Final = {
    "ok": "feasible",
    "infeasible": "over a budget",
    "stopped": "stopped early",
    "failed": "failed",
}
#: Members of the front that are listed.
_LISTED: Final = 12


def run(value: Run) -> str:
    """A run: what was searched, its front, and a drawing of it."""
    data = value.data
    counts = [f"{len(data.candidates)} candidates"]
    counts += [f"{data.count(status)} {words}" for status, words in _STATUS.items() if data.count(status)]
    rows: list[tuple[str, Cell]] = [
        ("objectives", ", ".join(f"{o.direction} {o.name}" for o in data.objectives)),
        ("constraints", ", ".join(f"{b.name} {b.text}" for b in data.budgets) or "none"),
        ("candidates", ", ".join(counts)),
        ("folder", str(data.folder)),
    ]
    shown = [a for a in data.axes if not a.of_training][:6]
    listed = [i for place, i in enumerate(data.front) if place < _LISTED or i in (data.knee, data.preferred)]
    front = table(
        ("front", *(a.label for a in shown)),
        [[_name(data, i), *(_value(data.candidates[i], a) for a in shown)] for i in listed],
        numbers=range(1, len(shown) + 1),
    )
    left = len(data.front) - len(listed)
    return card(
        f"{data.name('space')} on {data.name('target')}",
        f"run, {len(data.front)} on the front",
        table((), rows),
        scatter(data),
        front or note("No candidate keeps every constraint, so there is no front yet."),
        note(f"and {left} more on the front") if left else None,
        *(note(f"warning: {warning}") for warning in data.warnings),
    )


def evaluated(value: Candidate) -> str:
    """A candidate of a run: what became of it, its figures and its parameters."""
    marks = "on the front" if value.on_front else _STATUS.get(value.status, value.status)
    heads = ("figure", "value", "90 % interval") if value.bands else ("figure", "value")
    figures = [
        (axis(key).label, axis(key).format(number), _band(value, key))[: len(heads)]
        for key, number in value.values.items()
    ]
    parameters = [(key, str(item)) for key, item in value.assignment.items()]
    return card(
        value.id,
        f"candidate {value.index}, {marks}",
        note(": ".join(filter(None, value.reason))) if value.reason else None,
        table(heads, figures, numbers=(1, 2)),
        folded(f"{len(parameters)} parameters", table(("parameter", "value"), parameters)),
    )


def _band(candidate: Candidate, key: str) -> str:
    band = candidate.bands.get(key)
    return "" if band is None else f"± {100 * band:.2g} %"


def _name(data: ReportData, position: int) -> Markup:
    words = [
        word for word, which in (("knee", data.knee), ("preferred", data.preferred)) if which == position
    ]
    marks = "".join(f" {badge(word).html}" for word in words)
    return Markup(f"<code>{text(data.candidates[position].id)}</code>{marks}")


def _value(candidate: Candidate, of: Axis) -> str:
    return of.format(candidate.values.get(of.key))
