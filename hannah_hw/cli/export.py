"""``hannah-hw export``: chosen models of a run, as files to take away."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hannah_hw.cli.output import JsonOption, emit, say, write
from hannah_hw.errors import InputError, RunError

if TYPE_CHECKING:
    from hannah_hw.report import Candidate, ReportData

FORMATS: Final = ("onnx", "csv")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory: what `search --out` wrote.")],
    pick: Annotated[
        str,
        typer.Option(
            "--pick",
            "-p",
            help="knee, front, best (lowest first objective), ids, or conditions on the front.",
        ),
    ] = "knee",
    to: Annotated[str, typer.Option("--to", help="onnx, csv, or both separated by a comma.")] = "onnx",
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.")] = Path("export"),
    as_json: JsonOption = False,
) -> None:
    """Copy the chosen int8 ONNX models of a run, and a table of their figures.

    - `hannah-hw export runs/mnist` copies the knee of the front to `export/`
    - `hannah-hw export runs/mnist --pick front --to onnx,csv --out models`
    - `hannah-hw export runs/mnist --pick "latency < 5 ms and ram <= 32 KiB"`
    - `hannah-hw export runs/mnist --pick 3f2a,90c1` by the beginning of their ids
    """
    from hannah_hw.report import pick_candidates, read_run

    formats = [name.strip() for name in to.split(",") if name.strip()]
    for name in formats or [to]:
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}", where="--to", allowed=FORMATS, given=name)
    data = read_run(run)
    chosen = pick_candidates(data, pick)
    files = {}
    if "onnx" in formats:
        files.update(_models(data, chosen))
    if "csv" in formats:
        files["candidates.csv"] = _csv(data, chosen).encode()
    written = _write(out, files)
    for warning in data.warnings:
        say(f"warning: {warning}")
    emit(
        {"picked": [candidate.id for candidate in chosen], "files": written},
        as_json,
        lambda: write("\n".join(str(path) for path in written)),
    )


def _models(data: ReportData, chosen: Sequence[Candidate]) -> dict[str, bytes]:
    files = {}
    for candidate in chosen:
        if candidate.artifact is None:
            raise RunError(
                f"the ONNX file of {candidate.id} is not in {data.folder / 'artifacts'}; "
                "resume the run, or pick another candidate"
            )
        files[f"{candidate.id}.onnx"] = (data.folder / candidate.artifact).read_bytes()
    return files


def _csv(data: ReportData, chosen: Sequence[Candidate]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "index", "front", "knee", *(axis.key for axis in data.axes), "assignment"])
    knee = data.candidates[data.knee].id if data.knee is not None else None
    for candidate in chosen:
        figures = [candidate.values.get(axis.key, "") for axis in data.axes]
        row = [candidate.id, candidate.index, int(candidate.on_front), int(candidate.id == knee), *figures]
        writer.writerow([*row, json.dumps(candidate.assignment)])
    return stream.getvalue()


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    """Write every file whole or not at all."""
    written = []
    temporary = folder / f".export.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name, content in files.items():
                temporary.write_bytes(content)
                temporary.replace(folder / name)
                written.append(folder / name)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as failure:
        raise RunError(f"cannot write to {folder}: {failure}") from failure
    return written
