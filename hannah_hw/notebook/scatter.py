"""A small drawing of a run's front for a notebook, in the colours of the text around it."""

from __future__ import annotations

from typing import Final

from hannah_hw.notebook.markup import Markup, text
from hannah_hw.report import ReportData
from hannah_hw.report.axes import axis

#: Size of the drawing, its margin and what the caption takes, in pixels.
_WIDTH, _HEIGHT, _MARGIN, _HEAD = 340.0, 190.0, 12.0, 30.0
_TEXT: Final = 'x="2" stroke="none" fill="currentColor" font-size="11"'


def scatter(data: ReportData) -> Markup | None:
    """The first two objectives of all feasible candidates: the front filled, the knee in a ring.

    None of a run with one objective, or with less than two different candidates.
    """
    if len(data.objectives) < 2:
        return None
    up, across = data.objectives[:2]
    points = {
        i: (candidate.values[across.key], candidate.values[up.key])
        for i, candidate in enumerate(data.candidates)
        if candidate.status == "ok" and {across.key, up.key} <= set(candidate.values)
    }
    if len(set(points.values())) < 2:
        return None
    xs, ys = _ends([x for x, _ in points.values()]), _ends([y for _, y in points.values()])
    front = set(data.front)
    marks = []
    for i, (x, y) in sorted(points.items(), key=lambda item: item[0] in front):
        cx = _MARGIN + _share(x, xs) * (_WIDTH - 2 * _MARGIN)
        cy = _HEIGHT - _MARGIN - _share(y, ys) * (_HEIGHT - _HEAD - 2 * _MARGIN)
        look = 'r="3" fill="currentColor"' if i in front else 'r="2" opacity=".45"'
        marks.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" {look}/>')
        if i == data.knee:
            marks.append(f'<circle class="knee" cx="{cx:.1f}" cy="{cy:.1f}" r="7"/>')
    said = f"{_range(up.key, ys)} upwards, {_range(across.key, xs)} across"
    left, top, right, bottom = _MARGIN - 6, _HEAD + 4, _WIDTH - _MARGIN + 6, _HEIGHT - _MARGIN + 6
    return Markup(
        f'<svg role="img" aria-label="{text(said)}" width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" fill="none" stroke="currentColor" style="display:block">'
        f'<text y="11" {_TEXT}>{text(said)}</text>'
        f'<text y="25" {_TEXT} opacity=".72">front filled, knee in a ring</text>'
        f'<path d="M{left} {top}V{bottom}H{right}" opacity=".6"/>{"".join(marks)}</svg>'
    )


def _ends(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def _share(value: float, ends: tuple[float, float]) -> float:
    """Where a value is between the ends, 0 to 1."""
    low, high = ends
    return (value - low) / (high - low) if high > low else 0.5


def _range(key: str, ends: tuple[float, float]) -> str:
    found = axis(key)
    return f"{found.label} {found.format(ends[0])} to {found.format(ends[1])}"
