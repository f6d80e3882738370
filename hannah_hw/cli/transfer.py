"""``hannah-hw transfer``: latency of a new device from a few measurements and a table of known devices."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.errors import InputError
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.transfer.fewshot import Predictor
    from hannah_hw.transfer.workflow import Figures


def transfer(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE.csv...",
            autocompletion=completion.tables,
            help="Latencies of known devices, a row an architecture: columns arch_str and lat_ms_DEVICE, also .csv.gz.",
        ),
    ],
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples",
            metavar="FILE.csv",
            autocompletion=completion.tables,
            help="What was measured on the new device: arch_str and one column lat_ms_NAME.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="A device of the table that is taken for the new one, to judge predictions."
        ),
    ] = None,
    count: Annotated[int, typer.Option("-k", "--count", min=2, help="Architectures to measure in all.")] = 10,
    known: Annotated[
        str | None,
        typer.Option("--known", metavar="A,B", help="Known devices to use.  [default: all that are usable]"),
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Choose all samples before any is measured.")
    ] = False,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--minimum-ms", metavar="DEVICE=MS", help="Latencies below are failed measurements."),
    ] = None,
    propose: Annotated[
        Path | None,
        typer.Option(
            "--propose",
            metavar="FILE.csv",
            help="Write what to measure next, for --samples of the next call.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.csv", help="Write the predictions and their intervals."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the latency of every architecture on a new device from a few that are measured on it.

    Without --samples it says which architectures to measure first; with some, which others are worth the most, and
    what the rest is predicted to take, with intervals. Architectures are cells as NAS-Bench-201 writes them.

    - `hannah-hw transfer table.csv.gz -k 10 --propose measure.csv` says what to measure; fill in its latencies
    - `hannah-hw transfer table.csv.gz -k 10 --samples measure.csv --propose measure.csv` adds the second batch
    - `hannah-hw transfer table.csv.gz -k 10 --samples measure.csv --out predicted.csv`
    - `hannah-hw transfer table.csv.gz --device pixel2 -k 10` judges it on a device of the table
    """
    import numpy as np

    from hannah_hw.transfer.table import join, parse_minima, read_table
    from hannah_hw.transfer.workflow import NewDevice, doubted, usable_devices

    if samples is not None and device is not None:
        raise InputError("the new device is that of --samples, or --device of the table; give one of them")
    floor = parse_minima(minimum or ())
    latencies = join([read_table(path, minimum_s=floor) for path in tables])
    for other in floor:
        if other not in latencies.devices:
            raise InputError("no such device", where="--minimum-ms", allowed=latencies.devices, given=other)
    usable, refused = usable_devices(latencies, but=device or "")
    names = usable if known is None else [name.strip() for name in known.split(",") if name.strip()]
    if device in names:
        raise InputError(f"{device!r} is the new device; it cannot be a known one too", where="--known")
    truth = None if device is None else latencies.latencies(device)
    new = NewDevice(latencies, names, usable=None if truth is None else np.isfinite(truth))
    everything = np.arange(len(new.architectures))
    sampled, seconds, name = np.zeros(0, np.int64), np.zeros(0), device or "new"
    if samples is not None:
        name, sampled, seconds = new.read_samples(samples)
        if name in latencies.devices:
            raise InputError(
                f"{name!r} is a device of the table; name the column otherwise", where=str(samples)
            )
    if device is not None and at_once:
        sampled = new.propose(count, sampled, seconds, at_once=True)
        seconds = new.measured(device, sampled)
    elif device is not None:
        sampled, seconds = new.transfer.sample(count, lambda rows: new.measured(device, rows))
    following = new.propose(count, sampled, seconds, at_once=at_once)
    predictor, figures = None, None
    if len(sampled):
        predictor = new.transfer.fit(sampled, seconds)
        figures = (
            new.rehearsed(sampled)
            if device is None
            else new.judged(new.measured(device, everything), sampled, predictor.values_s, device)
        )
    measured = dict(zip((new.architectures[at] for at in sampled), seconds.tolist(), strict=True))
    _files(
        new.architectures,
        measured,
        [new.architectures[at] for at in following],
        name,
        predictor,
        propose,
        out,
    )
    document: dict[str, Any] = {
        "device": name,
        "known": names,
        "architectures": len(new.architectures),
        "rows": len(latencies.architectures),
        "samples": [{"architecture": text, "latency_s": value} for text, value in measured.items()],
        "measure_next": [new.architectures[at] for at in following],
        "model": None,
        "figures": None,
        "predictions": [],
    }
    if predictor is not None and figures is not None:
        document["model"] = {
            "follows_paths": predictor.paths,
            "interval": {
                "relative_half_width": float(np.expm1(predictor.half_width)),
                "coverage": predictor.coverage,
            },
            "costs_s": new.costs(predictor),
        }
        document["figures"] = {"judged_on": "the device" if device else "known devices", **vars(figures)}
        document["predictions"] = [
            dict(zip(("architecture", "latency_s", "lower_s", "upper_s"), row, strict=True))
            for row in _predictions(new.architectures, predictor)
        ]
    emit(document, as_json, lambda: _render(document, predictor, figures))
    if known is None:
        for other, why in refused.items():
            say(f"warning: {other} is left out: {why}")
    for other, few in doubted(latencies).items():
        if other in (*names, device):
            say(
                f"warning: {few} latencies of {other} are below a 200th of its median; if they failed, leave them out "
                f"by --minimum-ms {other}=MS"
            )


def _predictions(
    architectures: Sequence[str], predictor: Predictor
) -> Iterable[tuple[str, float, float, float]]:
    """Architecture, latency, and the ends of its interval, of each."""
    return zip(architectures, *(part.tolist() for part in predictor.predict()), strict=True)


def _files(
    architectures: Sequence[str],
    measured: dict[str, float],
    following: Sequence[str],
    name: str,
    predictor: Predictor | None,
    propose: Path | None,
    out: Path | None,
) -> None:
    """Write the files that are wanted."""
    if out is not None and predictor is None:
        raise InputError(
            "there is nothing to predict from; measure what is proposed, then give it with --samples"
        )
    if propose is not None:

        def to_measure(writer: Any) -> None:
            writer.writerow(("arch_str", f"lat_ms_{name}"))
            writer.writerows((text, f"{seconds * 1e3:.9g}") for text, seconds in measured.items())
            writer.writerows((text, "") for text in following)

        _write(propose, to_measure, "--propose")
    if out is not None and predictor is not None:

        def predicted(writer: Any) -> None:
            writer.writerow(("arch_str", f"lat_s_{name}", "lower_s", "upper_s", "measured_s"))
            writer.writerows(
                (text, *(f"{value:.9g}" for value in values), measured.get(text, ""))
                for text, *values in _predictions(architectures, predictor)
            )

        _write(out, predicted, "--out")


def _write(path: Path, fill: Callable[[Any], None], option: str) -> None:
    from hannah_hw.files import write_atomically

    stream = io.StringIO()
    fill(csv.writer(stream, lineterminator="\n"))
    try:
        write_atomically(path, stream.getvalue().encode())
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror}", where=f"{option} {path}") from error
    say(f"wrote {path}")


def _render(document: dict[str, Any], predictor: Predictor | None, figures: Figures | None) -> None:
    rows: list[tuple[str, str]] = [
        ("device", document["device"]),
        ("known devices", ", ".join(document["known"])),
        ("architectures", f"{document['architectures']} cells that differ, of {document['rows']} rows"),
        ("samples", str(len(document["samples"]))),
    ]
    if predictor is not None and figures is not None:
        interval = document["model"]["interval"]
        rows += [
            ("model", "sums and the longest path" if predictor.paths else "sums of operations"),
            (
                "interval",
                f"± {interval['relative_half_width']:.1%}, for {interval['coverage']:.0%} of latencies",
            ),
            (
                "fastest, slowest",
                " to ".join(format_si(v, "s") for v in (min(predictor.values_s), max(predictor.values_s))),
            ),
        ]
        judged = document["figures"]["judged_on"]
        if figures.devices:
            rows += [
                (
                    f"ranks, on {judged}",
                    f"{figures.spearman:.4f} Spearman, {figures.within_10_percent:.0%} within 10 %",
                ),
                (
                    "of operation counts",
                    f"{figures.operation_counts:.4f}, a gap of {figures.spearman - figures.operation_counts:+.4f}",
                ),
                (
                    "noise ceiling",
                    f"{figures.ceiling:.4f}, a gap of {figures.ceiling - figures.spearman:+.4f}",
                ),
            ]
        else:
            rows.append(("ranks", "unknown: no two known devices have these samples"))
    table(("", ""), rows)
    if document["measure_next"]:
        write("")
        write("measure next, in this order:")
        for text in document["measure_next"]:
            write(text)
