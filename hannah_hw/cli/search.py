"""``hannah-hw search``: the main job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.insight import render_insight
from hannah_hw.cli.options import find_config, fresh_folder
from hannah_hw.cli.output import JsonOption, emit, paragraph, say, table, write
from hannah_hw.cli.report import describe
from hannah_hw.errors import InputError, RunError

if TYPE_CHECKING:
    from hannah_hw.report import ReportData
    from hannah_hw.report.outcome import Outcome
    from hannah_hw.search import DryRun, SearchConfig

#: Members of the front that a terminal lists, besides the knee and the preferred one.
_LISTED: Final = 20


def search(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            autocompletion=completion.configurations,
            help="The configuration: a YAML file, or the name of an example. With --resume it may be left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            autocompletion=completion.runs,
            help="The run directory; by default a new one, runs/NAME.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, price random candidates, train and write nothing."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a field of the configuration; repeatable."),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            "--workers",
            metavar="N|ADDRESS",
            help="Worker processes, or the scheduler of workers on many machines: tcp://HOST:PORT.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search for models that fit a chip, train them, and write a folder of int8 ONNX files and a page.

    The run directory holds config.yaml, candidates.jsonl, artifacts/ID.onnx and report.html. A run that was
    stopped, even by kill -9, goes on with --resume and ends as if it had not been stopped.

    - `hannah-hw search mnist_stm32l4r5zi --out runs/mnist`
    - `hannah-hw search my.yaml --dry-run` shows how much of the space fits
    - `hannah-hw search my.yaml --out runs/b --set search.seed=1 --set constraints.ram="<= 32 KiB"`
    - `hannah-hw search --resume --out runs/mnist`
    - `hannah-hw search --resume --out runs/mnist --set measure.emulate=front` measures a finished run's front
    - `hannah-hw search my.yaml --workers tcp://192.168.0.10:8786` trains on many machines; see `hannah-hw worker`
    - `hannah-hw search my.yaml --set target=my_host.yaml:int8 --set measure.profile=front` searches for this machine
    """
    from hannah_hw.search import load_config

    settings = [*(settings or []), *([f"search.workers={workers}"] if workers is not None else [])]
    if config is None and not (resume and out is not None):
        raise InputError(
            "give a configuration (`hannah-hw init` writes one for your data and chip; digits_quick is an example), or "
            "--resume and the --out of a run",
            where="search CONFIG",
        )
    path = find_config(config) if config is not None else None
    if dry_run:
        if path is None:
            raise InputError("--dry-run needs a configuration", where="search CONFIG")
        _dry_run(load_config(path, settings), as_json, _search_command(path, settings))
        return
    if resume and out is None:
        raise InputError("--resume needs --out, the folder of the run", where="--resume")
    folder = out if out is not None else fresh_folder(path.stem if path is not None else "run")
    _run(path, folder, resume, settings, as_json)


def _run(config: Path | None, folder: Path, resume: bool, settings: list[str], as_json: bool) -> None:
    from hannah_hw.report import read_run, write_page
    from hannah_hw.report.outcome import outcome
    from hannah_hw.search import display, load_config, run_search

    if config is not None:
        load_config(config, settings)  # its mistakes come before a folder that will not be
    say(f"run directory {folder}")
    try:
        result = run_search(config, folder, resume=resume, overrides=settings, observers=[display()])
    except RunError as failure:
        if isinstance(failure.__cause__, KeyboardInterrupt):
            say(f"report so far: {write_page(read_run(folder))}")
            say(f"go on: hannah-hw search --resume --out {shlex.quote(str(folder))}")
        raise
    data = read_run(folder)
    page = write_page(data)
    ended = outcome(data, result.ending)
    document = {"run": folder, "report": page, "ending": result.ending, **describe(data), **ended.to_dict()}
    emit(document, as_json, lambda: _summary(data, page, ended))
    if result.empty is not None:
        say(f"error: {result.empty}")
        raise typer.Exit(1)


def _summary(data: ReportData, page: Path, ended: Outcome) -> None:
    """The front: what was asked for and the error on the test part, so that it fits a terminal; and what to do next."""
    from hannah_hw.report.finalists import summary

    asked = {o.key for o in data.objectives} | {b.key for b in data.budgets} | {"test_error"}
    axes = [axis for axis in data.axes if axis.key in asked]
    marks = {"knee": data.knee, "preferred": data.preferred}
    listed = _listed(data)
    rows = [
        (
            " ".join(name for name, which in marks.items() if which == i),
            data.candidates[i].id,
            *(axis.format(data.candidates[i].values.get(axis.key)) for axis in axes),
            *(hardware.text(data.candidates[i]) for hardware in data.hardware),
        )
        for i in listed
    ]
    headers = ("", "candidate", *(axis.label for axis in axes), *(h.name for h in data.hardware))
    table(headers, rows, right=range(2, len(headers)))
    if len(listed) < len(data.front):
        write(f"and {len(data.front) - len(listed)} more")
    write("")
    if data.finalists:
        paragraph(summary(data))
    if data.measured:
        paragraph(_measured(data))
    models = "1 model" if len(data.front) == 1 else f"{len(data.front)} models"
    write(f"{models} on the front; the page to choose from: {page}")
    if ended.chosen is not None:
        figures = "; ".join(f"{label} {text}" for label, text in ended.figures.items())
        paragraph(f"{ended.mark} {ended.chosen.id}: {figures}")
    if ended.insight is not None and ended.insight.advice:
        write("")
        render_insight(ended.insight)
    if ended.steps:
        write("")
        write("next:")
        for step in ended.steps:
            write(f"  {step.purpose}:")
            write(f"    {step.command}")


def _listed(data: ReportData) -> list[int]:
    """Members of the front that are listed: both ends, what is marked, and some between them."""
    marked = {data.knee, data.preferred}
    even = {round(place) for place in _spread(len(data.front), _LISTED)}
    return [i for place, i in enumerate(data.front) if place in even or i in marked]


def _spread(count: int, most: int) -> list[float]:
    """Places from 0 to `count` - 1, at equal distances where there are more than `most`."""
    if count <= most:
        return list(range(count))
    return [place * (count - 1) / (most - 1) for place in range(most)]


def _measured(data: ReportData) -> str:
    """How the estimates compare with what was measured, in one line."""
    from hannah_hw.report.axes import axis
    from hannah_hw.report.measurements import EMULATED, largest_differences, source_of
    from hannah_hw.report.profiled import is_profiled, summary

    if is_profiled(data):
        return summary(data)
    failed = [measured for measured in data.measured.values() if measured.reason is not None]
    parts = [f"{axis(key).label} {100 * value:.1f} %" for key, value in largest_differences(data).items()]
    means = "on an emulated core" if source_of(data) == EMULATED else "by the vendor's compiler"
    text = f"{len(data.measured) - len(failed)} models were measured {means}"
    if parts:
        text += f"; largest difference of an estimate: {', '.join(parts)}"
    if failed:
        text += f"; {len(failed)} could not be: {failed[0].id}: {': '.join(failed[0].reason or ())}"
    return text


def _dry_run(config: SearchConfig, as_json: bool, command: str) -> None:
    from hannah_hw.search import dry_run

    found = dry_run(config)
    document: dict[str, Any] = {
        "valid": True,
        "config": found.config.to_dict(),
        "sampled": found.sampled,
        "feasible_share": found.feasible_share,
        "supported_share": found.supported_share,
        "unsupported": found.unsupported or None,
        "legalized": found.facts.get("legalized"),
        "quartiles": found.quartiles,
        "bands": found.bands,
        "uncertain_share": found.uncertain,
        "algorithm": found.algorithm,
        "measure": found.plan or None,
        "facts": found.facts,
    }
    emit(document, as_json, lambda: _describe(found, command))


def _search_command(path: Path, settings: Sequence[str]) -> str:
    """The search that a dry run has checked."""
    options = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(["hannah-hw", "search", str(path), *options, "--out", f"runs/{path.stem}"])


def _describe(found: DryRun, command: str) -> None:
    from hannah_hw.report.axes import axis
    from hannah_hw.search.metrics import METRICS

    write(f"the configuration is valid; {found.feasible_share:.1%} of {found.sampled} random candidates fit")
    write(f"algorithm: {found.algorithm}")
    for warning in found.facts.get("data", {}).get("warnings", ()):
        paragraph(f"data: {warning}")
    if found.legalized:
        write(found.legalized)
    if found.unsupported:
        write(f"the target runs {found.supported_share:.1%} of them; the first of the others fails:")
        write(f"  {found.unsupported}")
    rows = [
        (axis(key).label, *(axis(key).format(value) for value in quartiles))
        for key, quartiles in found.quartiles.items()
    ]
    rows += [
        (f"{axis(key).label}, ± half width", *(f"{100 * value:.2g} %" for value in quartiles))
        for key, quartiles in found.bands.items()
    ]
    table(("estimate", "minimum", "25 %", "median", "75 %", "maximum"), rows, right=range(1, 6))
    for name, share in found.uncertain.items():
        bounds = [METRICS[name].format(c.bound) for c in found.config.goals.constraints if c.metric == name]
        write(
            f"{share:.1%} of those that fit are uncertain: the interval of their {name} holds {', '.join(bounds)}"
        )
    if found.plan:
        write(f"after the search {found.plan}")
    write("")
    write(f"next: {command}")
