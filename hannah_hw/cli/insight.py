"""What costs most of a network and what would help, for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.cli.output import paragraph, table, write
from hannah_hw.quantities import format_bytes, format_si

if TYPE_CHECKING:
    from hannah_hw.advice import Insight
    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.targets import Target


def render_insight(insight: Insight) -> None:
    """The largest kernels, the peak of the RAM, and a table of what would help."""
    from hannah_hw.advice.choosing import METRICS, shown

    short = _shortening(insight)
    if insight.largest:
        parts = [
            f"{name} {format_si(latency, 's')} ({share:.0%})" for name, latency, share in insight.largest
        ]
        paragraph(short(f"most time: {', '.join(parts)}"))
    if insight.peak is not None:
        peak = insight.peak
        paragraph(short(f"most RAM: while {peak.kernel} runs, {format_bytes(peak.bytes)} = {peak}"))
    if not insight.advice:
        paragraph(insight.note)
        return
    write("")
    rows = [
        (
            METRICS[one.metric],
            shown(one.metric, one.before),
            shown(one.metric, one.after),
            f"{1 - one.after / one.before:.0%}",
            short(one.text),
        )
        for one in insight.advice
    ]
    table(("what would help", "now", "then", "saves", "with"), rows, right=(1, 2, 3))
    paragraph(f"{insight.advice[0].source}: {insight.note}")


def measured_insight(
    model: Path,
    target: Target | None,
    timed: Sequence[tuple[str, float]],
    shapes: GivenShapes | None = None,
) -> Insight:
    """What took most of the time as it was measured, with advice from estimates on the same target.

    Args:
        model: What was measured.
        target: The target; None where estimates are not of what was measured.
        timed: Name and seconds of each kernel.
        shapes: See `hannah_hw.estimate`.
    """
    from hannah_hw.advice import Insight, advise, largest

    known = largest(timed)
    if target is None or model.suffix != ".onnx":
        return Insight(known, None, (), "no advice: there are no estimates of what was measured")
    return replace(advise(str(model), target, shapes=shapes), largest=known)


def _shortening(insight: Insight) -> Callable[[str], str]:
    """What takes the beginning that all names have in common out of a text: ``ds_cnn_0.``."""
    names = [name for name, *_ in insight.largest] + [name for one in insight.advice for name in one.kernels]
    common: list[str] = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    begin = ".".join([*common, ""])
    return lambda text: text.replace(begin, "") if common else text
