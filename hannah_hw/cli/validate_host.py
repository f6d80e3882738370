"""``hannah-hw validate`` of hosts: estimates against runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hannah_hw.cli.options import refuse_options
from hannah_hw.cli.output import emit, say, table, write
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.measure.host_validation import HostComparison
    from hannah_hw.targets import Host


def validate_host(target: Host, models: Sequence[Path], as_json: bool, unused: Mapping[str, object]) -> None:
    """Compare estimates with runs and print both.

    Args:
        target: This machine.
        models: ONNX files; none: the reference networks.
        as_json: Of the verb.
        unused: Option -> value of those that are for other targets.

    Raises:
        InputError: One of those was given, or the target is another machine.
    """
    from hannah_hw.measure.host_validation import compare_with_runs

    refuse_options(
        unused, f"networks run on this machine as they are to validate {target.name}; leave it out"
    )
    found = compare_with_runs(target, [(path.stem, path) for path in models] or None)
    document = {"target": target.label, "networks": [row.to_dict() for row in found]}
    emit(document, as_json, lambda: _render(target, found))
    for row in found:
        if row.warning:
            say(f"warning: {row.network}: {row.warning}")
        if row.reason is not None:
            say(f"error: {row.network}: {row.reason}")
    if any(row.reason is not None for row in found):
        raise typer.Exit(1)


def _render(target: Host, found: Sequence[HostComparison]) -> None:
    write(f"{target.label}: estimates against runs on this machine")
    rows = [
        (
            row.network,
            None if row.estimated_s is None else format_si(row.estimated_s, "s"),
            None if row.interval is None else f"± {row.interval:.1%}",
            None if row.measured_s is None else format_si(row.measured_s, "s"),
            None if row.error is None else f"{row.error:+.1%}",
            None if row.inside is None else "yes" if row.inside else "no",
        )
        for row in found
    ]
    names = ("network", "estimated", "90 % interval", "measured", "error", "interval holds it")
    table(names, rows, right=(1, 2, 3, 4))
