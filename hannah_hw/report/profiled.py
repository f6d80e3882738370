"""What profiling decided: estimates with intervals beside what was measured on the host, and who left the front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hannah_hw.report.axes import axis
from hannah_hw.report.escaping import escape
from hannah_hw.report.measurements import difference, largest_differences

if TYPE_CHECKING:
    from hannah_hw.report.data import Candidate, ReportData
    from hannah_hw.report.measurements import Measured

#: The figure that hosts have.
_KEY: Final = "latency_s"
#: Size of the picture of an interval, pixels.
_WIDTH, _HEIGHT = 190, 18


def is_profiled(run: ReportData) -> bool:
    """Whether measurements decided what is on the front."""
    return any(measured.decides for measured in run.measured.values())


def summary(run: ReportData) -> str:
    """What was profiled and what it changed, in one sentence."""
    shown = [c for c in run.candidates if c.id in run.measured]
    failed = [c for c in shown if run.measured[c.id].reason is not None]
    inside = [held for c in shown if (held := _inside(c, run.measured[c.id])) is not None]
    left = sum(c.status == "infeasible" for c in shown)
    done = len(shown) - len(failed)
    parts = [f"{done} model{' was' if done == 1 else 's were'} profiled in ONNX Runtime"]
    largest = largest_differences(run).get(_KEY)
    if largest is not None:
        parts.append(f"largest difference of an estimate {100 * largest:.1f} %")
    if inside:
        parts.append(f"{sum(inside)} of {len(inside)} within the 90 % interval of their estimate")
    if left:
        parts.append(f"{left} left the front beyond a bound")
    if failed:
        reason = ": ".join(part for part in run.measured[failed[0].id].reason or () if part)
        parts.append(f"{len(failed)} could not be profiled: {failed[0].id}: {reason}")
    waiting = sum(run.candidates[i].id not in run.measured for i in run.front)
    if waiting:
        parts.append(f"{waiting} of the front are not profiled yet: continue with --resume")
    return "; ".join(parts)


def profiled_section(run: ReportData) -> str:
    """The section of the page: each profiled candidate, its interval and what was measured, and what became of it."""
    front = [run.candidates[i] for i in run.front]
    shown = {c.id: c for c in (*front, *run.candidates) if c.id in run.measured}
    label = axis(_KEY).label
    reach = 1.15 * max((_extent(c, run.measured[c.id]) for c in shown.values()), default=0.1) or 0.1
    bounds = [b.bound for b in run.budgets if b.key == _KEY and b.bound is not None]
    rows = "".join(_row(c, run.measured[c.id], reach, bounds) for c in shown.values())
    heads = "".join(
        f'<th scope="col">{text}</th>'
        for text in (
            "Candidate",
            f"{label}, estimated",
            "measured",
            "difference",
            "in its interval",
            "outcome",
        )
    )
    means = run.resolved.get("measure")
    how = ", ".join(f"{key}: {text}" for key, text in means.items()) if isinstance(means, dict) else ""
    note = (
        f"{summary(run)}. The front is that of the measured values. Bars: the 90 % interval of an estimate, dots: what "
        f"was measured, dashes: the bound. {how}"
    )
    return (
        '<section class="card" aria-labelledby="h-measured"><h2 id="h-measured">Profiled on the host</h2>'
        f'<div class="scroll"><table id="measured" data-roving><thead>'
        f"<tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="note">{escape(note.strip())}</p></section>'
    )


def _row(candidate: Candidate, measured: Measured, reach: float, bounds: list[float]) -> str:
    name = escape(candidate.id)
    shown, estimated, band = axis(_KEY), candidate.estimate(_KEY), candidate.bands.get(_KEY)
    value, noise = measured.figures.get(_KEY), measured.errors.get(_KEY)
    off = difference(estimated, value)
    texts = (
        shown.format(estimated) + (f" ± {100 * band:.2g} %" if band is not None else ""),
        shown.format(value) + (f" ± {100 * noise:.2g} %" if noise else ""),
        "-" if off is None else f"{100 * off:+.1f} %",
    )
    numbers = "".join(
        f'<td class="number tipped" tabindex="-1" data-key="{_KEY}">{escape(text)}</td>' for text in texts
    )
    picture = _picture(candidate, measured, reach, bounds)
    return (
        f'<tr data-id="{name}"><td><button type="button" class="pick">{name}</button></td>{numbers}'
        f"<td>{picture}</td><td>{escape(_outcome(candidate))}</td></tr>"
    )


def _outcome(candidate: Candidate) -> str:
    if candidate.reason is not None:
        return "left: " + ": ".join(part for part in candidate.reason if part and part != "measured")
    return "on the front" if candidate.on_front else "behind the front"


def _inside(candidate: Candidate, measured: Measured) -> bool | None:
    """Whether what was measured lies in the interval of its estimate; None where one is missing."""
    estimated, band = candidate.estimate(_KEY), candidate.bands.get(_KEY)
    value = measured.figures.get(_KEY)
    if not estimated or band is None or value is None:
        return None
    return abs(value / estimated - 1.0) <= band


def _extent(candidate: Candidate, measured: Measured) -> float:
    """How far a row of the picture reaches from its estimate, relative to that."""
    estimated, value = candidate.estimate(_KEY), measured.figures.get(_KEY)
    off = abs(value / estimated - 1.0) if estimated and value is not None else 0.0
    return max(candidate.bands.get(_KEY, 0.0), off)


def _picture(candidate: Candidate, measured: Measured, reach: float, bounds: list[float]) -> str:
    """The interval of an estimate as a bar around the middle, what was measured as a dot, a bound as dashes."""
    estimated, value = candidate.estimate(_KEY), measured.figures.get(_KEY)
    if not estimated or value is None:
        return "-"

    def at(share: float) -> float:
        return _WIDTH / 2 * (1.0 + share / reach)

    middle, band = _HEIGHT / 2, candidate.bands.get(_KEY, 0.0)
    inside = _inside(candidate, measured)
    words = {True: "within", False: "outside", None: "without"}[inside]
    dot = "seen" if inside is not False else "seen off"
    parts = [
        f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{middle}" y2="{middle}"/>',
        f'<rect class="interval" x="{at(-band):.1f}" y="{middle - 4}" width="{at(band) - at(-band):.1f}" height="8"/>',
        _upright("whisker", at(0.0), middle - 4, middle + 4),
        *(
            _upright("budget", at(b / estimated - 1), 0, _HEIGHT)
            for b in bounds
            if abs(b / estimated - 1) < reach
        ),
        f'<circle class="{dot}" cx="{at(value / estimated - 1):.1f}" cy="{middle}" r="4"/>',
    ]
    label = f"measured {words} its interval"
    return (
        f'<svg class="plot row" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{label}"><title>{label}</title>{"".join(parts)}</svg>'
    )


def _upright(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
