"""``hannah-hw targets ops``: what a target can run, and where it runs what a model consists of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.options import ShapeOption, parse_shapes
from hannah_hw.cli.output import JsonOption, emit, table, write
from hannah_hw.cli.targets import EVERY_OPERATOR, TargetArgument
from hannah_hw.errors import InputError

if TYPE_CHECKING:
    from hannah_hw.cost import CostReport

#: Key of a kernel's detail that says why it does not run on the accelerator.
_REFUSED: Final = "not on the accelerator"


def ops(
    target: TargetArgument,
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL.onnx]",
            autocompletion=completion.models,
            help="A model: show where each of its operators runs.",
        ),
    ] = None,
    shape: ShapeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the operators that a target can run, and under which conditions; or where those of a model run.

    With a model, every kernel is shown with what runs it, and the rule of the target that keeps it from running there
    or at all.

    - `hannah-hw targets ops stm32l4r5zi`
    - `hannah-hw targets ops eyeriss model.onnx`
    """
    if model is not None:
        _of_model(target, model, shape, as_json)
        return
    if shape:
        raise InputError("a shape is that of a model's input: give a model too", where="--shape")
    from hannah_hw.targets import describe_target, load_target

    operators = describe_target(load_target(target))["operators"]
    rows = [(kind, "; ".join(rule) or "always") for kind, rules in operators.items() for rule in rules]

    def render() -> None:
        if rows:
            table(("operator", "runs when all of these hold"), rows)
        else:
            write(EVERY_OPERATOR)

    emit({"target": target, "operators": operators}, as_json, render)


def _of_model(target: str, model: Path, shape: list[str] | None, as_json: bool) -> None:
    from hannah_hw.estimation import estimate

    shapes = parse_shapes(shape)
    report = estimate(str(model), target, shapes=shapes)
    kernels = _placed(report)
    counts: dict[str, int] = {}
    for entry in kernels:
        counts[entry["runs_on"] or "nothing"] = counts.get(entry["runs_on"] or "nothing", 0) + 1
    network = [row.rule for row in report.unsupported if row.kernel == "network"]
    document = {
        "target": report.target,
        "model": str(model),
        "kernels": kernels,
        "counts": counts,
        "network": network,
    }

    def render() -> None:
        rows = [(e["kernel"], e["kind"], e["runs_on"] or "nothing", e["rule"] or "") for e in kernels]
        table(("kernel", "operator", "runs on", "because of the rule"), rows)
        write("")
        write(", ".join(f"{name}: {count}" for name, count in counts.items()))
        for rule in network:
            write(f"the whole network cannot run: {rule}")

    emit(document, as_json, render)


def _placed(report: CostReport) -> list[dict[str, Any]]:
    """Where each kernel runs, and the rule that keeps it from running elsewhere."""
    failed = {row.kernel: row.unread or row.rule for row in report.unsupported}
    refused = {row.kernel for row in report.unsupported if not row.unpriced}
    return [
        {
            "kernel": row.name,
            "kind": row.kind,
            "runs_on": row.kernel_class if row.name not in refused else None,
            "rule": failed.get(row.name) or row.detail.get(_REFUSED),
        }
        for row in report.kernels
    ]
