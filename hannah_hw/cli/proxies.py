"""``hannah-hw proxies``: whether zero-cost proxies say anything about the accuracy of one's own networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.options import find_config, fresh_folder
from hannah_hw.cli.output import JsonOption, emit, say, table, write

if TYPE_CHECKING:
    from hannah_hw.scoring.ranking import Correlation
    from hannah_hw.search.proxy_study import ProxyFindings


def proxies(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            autocompletion=completion.configurations,
            help="The configuration of a search: a YAML file, or an example.",
        ),
    ],
    count: Annotated[int, typer.Option("--count", help="Networks to train.")] = 30,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Where results are kept; by default a new folder, runs/NAME-proxies."
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Samples that proxies are shown.")] = 32,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a field of the configuration; repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train some random networks that fit the target, and see which zero-cost proxies order them by accuracy.

    Rank correlations stand beside those of the number of parameters and of MACs, which cost nothing; a proxy that
    does no better than the number of parameters is dropped, by name. Intervals hold 95 % of bootstrap samples. With
    the --out of a study that was stopped it goes on, and with a larger --count only further networks are trained.

    - `hannah-hw proxies mnist_stm32l4r5zi --count 30 --out runs/mnist-proxies`
    - `hannah-hw proxies my.yaml --count 60 --set training.epochs=2 --set search.workers=4`
    """
    from hannah_hw.search import load_config
    from hannah_hw.search.proxy_study import ProxyStudy

    path = find_config(config)
    folder = out if out is not None else fresh_folder(f"{path.stem}-proxies")
    study = ProxyStudy(load_config(path, settings or []), folder, batch=batch)
    say(f"results are kept in {folder}")

    def progress(done: int, wanted: int) -> None:
        if done == wanted or done % max(1, wanted // 10) == 0:
            say(f"trained: {done} of {wanted} networks")

    found = study.run(count, progress=progress)
    emit({"folder": folder, **found.to_dict()}, as_json, lambda: _render(found))


def _render(found: ProxyFindings) -> None:
    def shown(value: Correlation) -> str:
        return f"{value.value:+.2f} ({value.low:+.2f} to {value.high:+.2f})"

    rows = [
        (
            s.name,
            shown(s.spearman),
            shown(s.kendall),
            shown(s.gain),
            f"{s.ms:.1f}" if s.ms else "-",
            "yes" if s.kept else "no",
        )
        for s in found.standings
    ]
    headers = ("figure", "Spearman", "Kendall", "Spearman less parameters'", "ms a network", "kept")
    table(headers, rows, right=(4,))
    write("")
    write(f"{found.trained} networks were trained ({found.training}), {found.failed} failed; {found.batch}")
    if found.dropped:
        write(f"no better than the number of parameters, so dropped: {', '.join(found.dropped)}")
    if math.isfinite(found.aided):
        write(
            f"a learned predictor orders networks it was not given with a rank correlation of {found.unaided:.2f}; "
            f"with all proxies, {found.aided:.2f}"
        )
    if found.aided > found.unaided:
        write("to use it in a search: predictor: {}, and proxies: {} for the proxies as well")
    elif found.kept:
        write(
            f"to use the others in a search: predictor: {{}}, proxies: {{names: [{', '.join(found.kept)}]}}"
        )
    else:
        write("no proxy is worth its time here")
