"""``hannah-hw export``: chosen models of a run, or one model, as files to take away."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.export_c import Exported, Options, project_of, run_target, summary
from hannah_hw.cli.export_float import float_project_of
from hannah_hw.cli.export_tflite import tflite_of
from hannah_hw.cli.options import ShapeOption, parse_shapes
from hannah_hw.cli.output import JsonOption, emit, say, write
from hannah_hw.errors import InputError, RunError

if TYPE_CHECKING:
    from hannah_hw.report import Candidate, ReportData

FORMATS: Final = ("onnx", "csv", "c", "tflite", "optuna", "mlflow")
#: Those that a single model is written as.
_OF_MODELS: Final = ("c", "tflite")


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|MODEL.onnx",
            autocompletion=completion.either(completion.runs, completion.models),
            help="A run directory: what `search --out` wrote; or, for C and TFLite, a model.",
        ),
    ],
    pick: Annotated[
        str,
        typer.Option(
            "--pick",
            "-p",
            autocompletion=completion.words("knee", "preferred", "front", "best", "all"),
            help="Of a run: knee, preferred, front, best (lowest first objective), all that were trained, ids, "
            "or conditions on the front.",
        ),
    ] = "knee",
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            autocompletion=completion.words(*FORMATS),
            help="onnx, csv, c, tflite, optuna, mlflow, or several separated by commas; by default onnx, of a model c.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.")] = Path("export"),
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", autocompletion=completion.targets, help="For C: the chip; by default the run's."
        ),
    ] = None,
    core: Annotated[
        str | None,
        typer.Option(
            "--core",
            autocompletion=completion.cores,
            help="For C: a core in place of the target's, as in m33; `host` is this machine.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="For C: what names begin with; by default the model's name."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="FILE.npy",
            help="Quantise a float32 MODEL.onnx with these inputs (N, ...).",
        ),
    ] = None,
    build: Annotated[
        bool, typer.Option("--build", help="For C: build it too, and write measured sizes into its README.")
    ] = False,
    compiler: Annotated[
        str | None,
        typer.Option(
            "--compiler", help="Of --build: zig or gcc; by default zig where it is installed, else gcc."
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="For C: tvm makes the kernels of a float32 MODEL.onnx (extra `tvm`); by default int8 kernels of ours.",
        ),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            "--uri",
            help="For mlflow: where it tracks; by default $MLFLOW_TRACKING_URI, or a database in the --out folder.",
        ),
    ] = None,
    shape: ShapeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write chosen int8 models of a run as ONNX or TFLite files, a table of their figures, or C for a microcontroller.

    - `hannah-hw export runs/mnist` copies the knee of the front to `export/`
    - `hannah-hw export runs/mnist --pick front --to onnx,csv --out models`
    - `hannah-hw export runs/mnist --pick "latency < 5 ms and ram <= 32 KiB"`
    - `hannah-hw export runs/mnist --pick 3f2a,90c1` by the beginning of their ids
    - `hannah-hw export runs/mnist --to c --build` a C project for the run's target, with its README
    - `hannah-hw export model.onnx --target nrf5340 --name keywords` the same of any int8 model
    - `hannah-hw export float.onnx --target stm32l4r5zi --runtime tvm` a float32 model
    - `hannah-hw export runs/mnist --to optuna` the whole run for optuna-dashboard
    - `hannah-hw export runs/mnist --to mlflow --pick front` the search and chosen candidates as MLflow runs
    - `hannah-hw export model.onnx --to tflite` int8 inputs and outputs, channels last
    """
    whole_run = source.suffix != ".onnx"
    formats = _formats(to if to is not None else "onnx" if whole_run else "c")
    if not whole_run and not set(formats) <= set(_OF_MODELS):
        raise InputError(
            "a model is written as C or TFLite; the other formats are for runs",
            where="--to",
            allowed=_OF_MODELS,
        )
    shapes = parse_shapes(shape)
    options = Options(target, core, name, calibration, build, compiler, shapes, runtime)
    options.check(formats, whole_run)
    if uri is not None and "mlflow" not in formats:
        raise InputError("--uri is for --to mlflow", where="--uri", given=uri)
    if whole_run:
        _export_run(source, pick, formats, out, options, uri, as_json)
        return
    files = {}
    if "tflite" in formats:
        files[f"{source.stem}.tflite"] = tflite_of(source, calibration, shapes)
    project = float_project_of if runtime is not None else project_of
    projects = [project(source, out, options)] if "c" in formats else []
    written = _write(out, files) if files else []
    _show([source.stem], written, projects, formats, as_json)


def _formats(text: str) -> list[str]:
    formats = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in formats or [text]:
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}", where="--to", allowed=FORMATS, given=name)
    return formats


def _export_run(
    run: Path,
    pick: str,
    formats: Sequence[str],
    out: Path,
    options: Options,
    uri: str | None,
    as_json: bool,
) -> None:
    from hannah_hw.report import pick_candidates, read_run
    from hannah_hw.report.optuna_journal import optuna_journal

    data = read_run(run)
    chosen = pick_candidates(data, pick)
    files = {}
    if "onnx" in formats:
        files.update(_models(data, chosen))
    if "csv" in formats:
        files["candidates.csv"] = _csv(data, chosen).encode()
    if "optuna" in formats:
        files["optuna.journal"] = optuna_journal(data)
    if "tflite" in formats:
        files.update((f"{c.id}.tflite", tflite_of(_artifact(data, c), None)) for c in chosen)
    projects = []
    if "c" in formats:
        options = run_target(data, options)
        projects = [project_of(_artifact(data, candidate), out, options) for candidate in chosen]
    if files or projects:
        files.update(_beside(data.folder))
    written = _write(out, files)
    if "mlflow" in formats:
        _track(data, chosen, uri, out)
    for warning in data.warnings:
        say(f"warning: {warning}")
    _show([candidate.id for candidate in chosen], written, projects, formats, as_json)


def _track(data: ReportData, chosen: Sequence[Candidate], uri: str | None, out: Path) -> None:
    """Write a run to MLflow, by default to a database of its own."""
    from hannah_hw.report.mlflow_runs import to_mlflow

    address = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(out / 'mlflow.db').resolve()}"
    parent = to_mlflow(data, chosen, address, "hannah-hw")
    say(f"MLflow at {address}: run {parent} and {len(chosen)} nested ones")


def _show(
    picked: Sequence[str],
    written: Sequence[Path],
    projects: Sequence[Exported],
    formats: Sequence[str],
    as_json: bool,
) -> None:
    """What was written: files by themselves, and projects."""
    lines = [*map(str, written), *map(summary, projects)]
    files = [*written, *(project.folder / file for project in projects for file in project.files)]
    document = {"picked": picked, "files": files, **({"projects": projects} if "c" in formats else {})}
    emit(document, as_json, lambda: write("\n".join(lines)))


def _models(data: ReportData, chosen: Sequence[Candidate]) -> dict[str, bytes]:
    return {f"{candidate.id}.onnx": _artifact(data, candidate).read_bytes() for candidate in chosen}


def _beside(run: Path) -> dict[str, bytes]:
    """What a device needs beside a model: how its input is made of what a user's files hold."""
    from hannah_hw.scoring.preprocessing import CONSTANTS, FRONT_END

    return {name: (run / name).read_bytes() for name in (CONSTANTS, FRONT_END) if (run / name).is_file()}


def _artifact(data: ReportData, candidate: Candidate) -> Path:
    if candidate.artifact is None and not any("error" in one.values for one in data.candidates):
        raise RunError(f"the run in {data.folder} has no models, as nothing was trained in it; take --to csv")
    if candidate.artifact is None:
        raise RunError(
            f"the ONNX file of {candidate.id} is not in {data.folder / 'artifacts'}; "
            "resume the run, or pick another candidate"
        )
    return data.folder / candidate.artifact


def _csv(data: ReportData, chosen: Sequence[Candidate]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "index", "front", "knee", *(axis.key for axis in data.axes), "assignment"])
    knee = data.candidates[data.knee].id if data.knee is not None else None
    for candidate in chosen:
        figures = [candidate.values.get(axis.key, "") for axis in data.axes]
        row = [candidate.id, candidate.index, int(candidate.on_front), int(candidate.id == knee), *figures]
        writer.writerow([*row, json.dumps(dict(candidate.assignment.items()))])
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
