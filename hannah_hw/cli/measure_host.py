"""``hannah-hw measure`` on a host: what a model takes on this machine, where it is the one that was calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.cli.options import refuse_options
from hannah_hw.cli.output import emit, say, write

if TYPE_CHECKING:
    from hannah_hw.targets import Host


def measure_host(model: Path, target: Host, as_json: bool, unused: Mapping[str, object]) -> None:
    """Measure a model and print it.

    Args:
        model: An ONNX file.
        target: This machine.
        as_json: Of the verb.
        unused: Option -> value of those that are for other targets.

    Raises:
        InputError: One of those was given, or the target is another machine.
    """
    from hannah_hw.cli.measure import render_figures
    from hannah_hw.measure.host_measure import measure_on_host

    refuse_options(unused, f"{target.name} is measured by running the model as it is on this machine")
    found = measure_on_host(model, target)
    if found.warning:
        say(f"warning: {found.model}: {found.warning}")

    def render() -> None:
        write(
            f"{found.model} on {found.target}: {', '.join(f'{key} {text}' for key, text in found.means.items())}"
        )
        render_figures(found.figures, "the model's", "the model's")
        write("operator by operator: hannah-hw profile")

    emit(found.to_dict(), as_json, render)
