"""``hannah-hw report``: the page of a run."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, say, write
from hannah_hw.errors import InputError

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
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Serve the page to browsers on this machine, and follow the search."),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help="Of --serve; by default 8321, or any other that is free."
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the page of a run: one HTML file that works offline.

    It also works on a run that is still going on, or that was killed. With --serve nothing is written: the page is
    served on 127.0.0.1 and follows the search, until Ctrl-C.

    - `hannah-hw report runs/mnist`
    - `hannah-hw report runs/mnist --out front.html`
    - `hannah-hw report runs/mnist --json` also prints the front
    - `hannah-hw report runs/mnist --serve --open` follows a search that is going on
    """
    from hannah_hw.report import read_run, write_page

    if serve:
        if out is not None:
            raise InputError("--serve writes no file; give one of the two", where="--out", given=str(out))
        _serve(run, port, open_page, as_json)
        return
    if port is not None:
        raise InputError("--port is for --serve", where="--port", given=str(port))
    data = read_run(run)
    path = write_page(data, out)
    for warning in data.warnings:
        say(f"warning: {warning}")
    document = {"report": path, **describe(data), "warnings": data.warnings}
    emit(document, as_json, lambda: write(str(path)))
    if open_page:
        _open(path.resolve().as_uri())


def _serve(run: Path, port: int | None, open_page: bool, as_json: bool) -> None:
    """Serve the page of a run until somebody ends it."""
    from hannah_hw.report.live import LiveRun, LiveServer

    with LiveServer(LiveRun(run), port) as server:
        emit({"url": server.url, "run": run}, as_json, lambda: write(server.url))
        sys.stdout.flush()
        say(f"the page follows {run}; Ctrl-C ends it")
        if open_page:
            _open(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)


def _open(address: str) -> None:
    """Show an address in the browser of this machine."""
    import webbrowser

    if not webbrowser.open(address):
        say(f"there is no browser here; open {address}")


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
