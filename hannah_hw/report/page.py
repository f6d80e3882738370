"""One offline, self-contained HTML file from the data of a run.

Tables and facts are written here, so they can be read, printed and searched without the script; the script
draws the charts from the JSON document in the page.

The charts are SVG of our own: 43 kB of script for the scatter, the parallel axes, their brushes and budgets. What could
replace them, minified: uPlot 1.6, 51 kB, without parallel axes; the modules of d3 7.9 for brushes and scales, 111 kB,
with the axes still to write; ECharts 6.1, 1,122 kB; the basic bundle of Plotly 4.1, 1,192 kB, without parallel axes.
None has brushes or lines that the keyboard moves, and marks in the document can be tested, read aloud and printed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

from hannah_hw.errors import RunError
from hannah_hw.files import write_atomically
from hannah_hw.report.data import Candidate, ReportData
from hannah_hw.report.escaping import escape
from hannah_hw.report.facts import recorded, run_facts, target_table
from hannah_hw.report.failures import failures_section
from hannah_hw.report.finalists import finalists_section
from hannah_hw.report.measurements import measured_section, warnings_of
from hannah_hw.report.payload import drawn, embed, payload
from hannah_hw.report.profiled import is_profiled, profiled_section
from hannah_hw.search.choosing import NOT_REPRODUCIBLE

#: Name of the page inside a run directory.
PAGE = "report.html"

#: Members of a front that the table has, about.
MAX_ROWS = 500
#: Parts of the page's script in ``assets/js``, in the order of running; each sees the names of all.
SCRIPTS = (
    "dom",
    "numbers",
    "columns",
    "store",
    "quantities",
    "filter",
    "run",
    "tips",
    "origin",
    "dragging",
    "brushes",
    "table",
    "picks",
    "selection",
    "marks",
    "scatter",
    "compare",
    "cards",
    "budgets",
    "coords",
    "detail",
    "graph",
    "memory",
    "parts",
    "bars",
    "kernels",
    "history",
    "more",
    "address",
    "start",
)
#: Style sheets in ``assets``: of the page, and of the details of candidates.
STYLES = ("page.css", "details.css")
#: Further parts of a page that follows a running search.
_LIVE = ("refresh", "live")


def write_page(run: ReportData, path: Path | None = None) -> Path:
    """Write the page of a run; an older page is replaced at once, never half-way.

    Args:
        run: The run.
        path: The file; by default ``report.html`` in the run directory.

    Raises:
        RunError: The file cannot be written.
    """
    path = path if path is not None else run.folder / PAGE
    if path.exists() and not path.is_file():
        raise RunError(f"cannot write the report to {path}: it is not a file; give --out one ending in .html")
    text = render_page(run, near=path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as failure:
        raise RunError(f"cannot write the report to {path}: {failure}") from failure
    return path


def render_page(run: ReportData, *, near: Path | None = None, revision: str | None = None) -> str:
    """The page's text.

    Args:
        run: The run.
        near: The folder that the page will lie in, for links to ONNX files; by default the run directory.
        revision: Of a page that is served and asks for newer ones: what it is told apart from these by; see
            `hannah_hw.report.live`. None: the page asks for nothing.
    """
    links = {
        candidate.id: _address(run.folder, candidate.artifact, near)
        for candidate in run.candidates
        if candidate.artifact is not None
    }
    assets = resources.files("hannah_hw.report") / "assets"
    template = (assets / "page.html").read_text(encoding="utf-8")
    style = "".join((assets / name).read_text(encoding="utf-8") for name in STYLES)
    return Template(template).substitute(
        live="" if revision is None else f' data-revision="{escape(revision)}"',
        title=escape(_title(run)),
        subtitle=escape(_subtitle(run)),
        warnings="".join(f'<p class="warning">{escape(warning)}</p>' for warning in _warnings(run)),
        front=_front_table(run, links),
        measured=finalists_section(run)
        + (profiled_section(run) if is_profiled(run) else measured_section(run)),
        failures=failures_section(run, {run.candidates[i].id for i in drawn(run)}),
        memory="Activations" if run.accelerator else "RAM",
        facts=run_facts(run),
        target=target_table(run.resolved.get("target")),
        data=recorded(run.resolved.get("data")),
        style=style,
        script=page_script(live=revision is not None),
        payload=embed(payload(run, links)),
    )


def page_script(*, live: bool = False) -> str:
    """The script of the page: its parts, in one function that leaves no name in the window.

    Args:
        live: Whether the page asks its server for newer ones.
    """
    folder = resources.files("hannah_hw.report") / "assets" / "js"
    names = (*SCRIPTS, *_LIVE) if live else SCRIPTS
    parts = "\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in names)
    return f'"use strict";\n(() => {{\n{parts}}})();'


def _address(folder: Path, artifact: str, near: Path | None) -> str:
    relative = os.path.relpath((folder / artifact).resolve(), (near or folder).resolve())
    return "./" + quote(Path(relative).as_posix())


def _warnings(run: ReportData) -> tuple[str, ...]:
    """What a reader must know before anything else."""
    unordered = run.resolved.get("order") == "finished"
    data = run.resolved.get("data")
    about_data = data.get("warnings", ()) if isinstance(data, Mapping) else ()
    return (
        *((f"Not reproducible: {NOT_REPRODUCIBLE}.",) if unordered else ()),
        *(f"Data: {warning}." for warning in about_data),
        *run.warnings,
        *warnings_of(run),
    )


def _title(run: ReportData) -> str:
    return f"{run.name('space')} on {run.name('target')}"


def _subtitle(run: ReportData) -> str:
    parts = [
        f"{len(run.candidates)} candidates",
        f"{run.count('ok')} feasible",
        f"{run.count('infeasible')} over a budget",
    ]
    for status, words in (("stopped", "stopped early"), ("failed", "failed")):
        parts += [f"{run.count(status)} {words}"] if run.count(status) else []
    if any(candidate.open for candidate in run.candidates):
        parts.append(f"{sum(c.open for c in run.candidates)} uncertain")
    left = len(run.candidates) - len(drawn(run))
    more = f" {left} of the others are not drawn; candidates.jsonl holds them." if left else ""
    return f"{', '.join(parts)}. {len(run.front)} on the front.{more}"


def _front_table(run: ReportData, links: Mapping[str, str]) -> str:
    if not run.front:
        return f"<p>{_no_front(run)}</p>"
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(label)}</button></th>'
        for label in (*(a.label for a in run.axes if not a.of_training), *(h.name for h in run.hardware))
    )
    listed = _listed(run)
    rows = "".join(
        _front_row(run, run.candidates[i], _badges(run, i), links.get(run.candidates[i].id)) for i in listed
    )
    left = len(run.front) - len(listed)
    note = (
        f"<p>{left} of the front are not in the table; hannah-hw export --to csv writes all.</p>"
        if left
        else ""
    )
    return (
        '<table id="front" data-roving><thead><tr>'
        '<th scope="col" aria-sort="none"><button type="button">Candidate</button></th>'
        f'{head}<th scope="col">Model</th></tr></thead><tbody>{rows}</tbody></table>{note}'
    )


def _no_front(run: ReportData) -> str:
    """Why there is no front, and where to look."""
    if not run.candidates:
        return (
            "No candidate was evaluated, so there is no front yet: the search has just begun, or nothing that it "
            "estimated keeps every constraint. Its last line in the terminal names the constraint that binds."
        )
    if run.count("failed") == len(run.candidates):
        return "Every candidate failed, so there is no front. What was left out, and why, has the messages below."
    return "No candidate keeps every constraint, so there is no front yet."


def _listed(run: ReportData) -> list[int]:
    """The members of the front that the table has: of many an even share, and always those that stand out."""
    step = -(-len(run.front) // MAX_ROWS)
    return [i for place, i in enumerate(run.front) if place % step == 0 or i in (run.knee, run.preferred)]


def _badges(run: ReportData, position: int) -> str:
    """What stands out about a candidate."""
    names = [name for name, which in (("knee", run.knee), ("preferred", run.preferred)) if which == position]
    return "".join(f' <span class="badge">{name}</span>' for name in names)


def _front_row(run: ReportData, candidate: Candidate, badges: str, link: str | None) -> str:
    cells = "".join(
        f'<td class="number tipped" tabindex="-1" data-key="{a.key}" data-value="{candidate.values.get(a.key, "")}">'
        f"{escape(a.format(candidate.values.get(a.key)))}{escape(_band(candidate, a.key))}</td>"
        for a in run.axes
        if not a.of_training
    )
    cells += "".join(
        f'<td class="number" data-value="{escape(candidate.assignment.get(h.id, ""))}">'
        f"{escape(h.text(candidate))}</td>"
        for h in run.hardware
    )
    if candidate.open:
        badges += ' <span class="badge open">uncertain</span>'
    model = f'<a href="{escape(link)}">ONNX</a>' if link is not None else "-"
    name = escape(candidate.id)
    return (
        f'<tr data-id="{name}"><td data-value="{candidate.index}">'
        f'<button type="button" class="pick">{name}</button>{badges}</td>{cells}<td>{model}</td></tr>'
    )


def _band(candidate: Candidate, key: str) -> str:
    """The interval of an estimate, where the value is one and has one."""
    band = candidate.bands.get(key)
    return "" if band is None or key in candidate.estimated else f" ± {100 * band:.2g} %"
