"""``hannah-hw report``: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, say, write

if TYPE_CHECKING:
    from hannah_hw.report import ReportData


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", autocompletion=completion.runs, help="A run directory: what `search --out` wrote."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file; by default report.html in RUN.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the page of a run: one HTML file that works offline.

    It also works on a run that is still going on, or that was killed.

    - `hannah-hw report runs/mnist`
    - `hannah-hw report runs/mnist --out front.html`
    - `hannah-hw report runs/mnist --json` also prints the front
    """
    from hannah_hw.report import read_run, write_page

    data = read_run(run)
    path = write_page(data, out)
    for warning in data.warnings:
        say(f"warning: {warning}")
    document = {"report": path, **describe(data), "warnings": data.warnings}
    emit(document, as_json, lambda: write(str(path)))


def describe(data: ReportData) -> dict[str, Any]:
    """Counts, knee, preferred one and front of a run, for ``--json``."""
    return {
        "candidates": len(data.candidates),
        "trained": data.count("ok"),
        "stopped": data.count("stopped"),
        "infeasible": data.count("infeasible"),
        "failed": data.count("failed"),
        "knee": data.candidates[data.knee].id if data.knee is not None else None,
        "preferred": data.candidates[data.preferred].id if data.preferred is not None else None,
        "front": [
            {
                "id": data.candidates[i].id,
                "metrics": data.candidates[i].values,
                "artifact": data.candidates[i].artifact,
                **({"hardware": _hardware(data, i)} if data.hardware else {}),
                **_measured(data, data.candidates[i].id),
            }
            for i in data.front
        ],
    }


def _hardware(data: ReportData, index: int) -> dict[str, Any]:
    """Param of the target -> value of a candidate, in base units."""
    return {h.name: data.candidates[index].assignment.get(h.id) for h in data.hardware}


def _measured(data: ReportData, identifier: str) -> dict[str, Any]:
    """What was measured of a candidate, where the search was asked to measure."""
    from hannah_hw.report.measurements import source_of

    measured = data.measured.get(identifier)
    if measured is None:
        return {}
    if measured.reason is not None:
        return {source_of(data): None, "reason": {"kind": measured.reason[0], "message": measured.reason[1]}}
    return {measured.source: measured.figures}
