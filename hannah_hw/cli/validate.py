"""``hannah-hw validate``: estimates of a target against published or measured figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.measure.validation import ValidationReport


def validate(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A name of `targets list`, or a path ending in .yaml.")
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            help="Your measurements: a CSV file with the columns model (an ONNX file, relative to the CSV file), "
            "latency_ms, energy_uj.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the estimates of a target with figures of whole networks on the real chip.

    Without --against, the four networks of MLPerf Tiny are compared with their published figures. What of
    the target was fitted to such figures is stated below the table.

    - `hannah-hw validate stm32l4r5zi`
    - `hannah-hw validate ./my_chip.yaml --against my_board.csv`
    """
    from hannah_hw.measure.validation import validate as compare
    from hannah_hw.targets import load_target

    report = compare(load_target(target), against)
    emit(report.to_dict(), as_json, lambda: _render(report))
    refused = {row.network: row.unsupported[0] for row in report.rows if row.unsupported}
    for network, reason in refused.items():
        say(f"error: {report.target} cannot run {network}: {reason}")
    if refused:
        raise typer.Exit(1)


def _render(report: ValidationReport) -> None:
    rows = [
        (
            row.network,
            _figure(row.predicted_latency_s, "s"),
            _figure(row.reference_latency_s, "s"),
            _signed(row.latency_error),
            _figure(row.predicted_energy_j, "J"),
            _figure(row.reference_energy_j, "J"),
            _signed(row.energy_error),
        )
        for row in report.rows
    ]
    headers = ("network", "latency", "reference", "error", "energy", "reference", "error")
    table(headers, rows, right=range(1, 7))
    write("")
    for source in dict.fromkeys(row.source for row in report.rows):
        write(f"reference: {source}")
    for sentence in report.fitted:
        write(sentence)


def _figure(value: float | None, unit: str) -> str | None:
    return None if value is None else format_si(value, unit)


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:+.1f} %"
