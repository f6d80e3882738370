"""``hannah-hw calibrate``: kernel coefficients from measurements of single kernels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hannah_hw.cli.boards import AgainstOption, calibrate_board
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.errors import InputError, RunError

if TYPE_CHECKING:
    from hannah_hw.measure.calibration import Calibration


def calibrate(
    sweep: Annotated[
        Path, typer.Argument(metavar="SWEEP", help="Measured kernels: a CSV file, or a JSON list of objects.")
    ],
    base: Annotated[
        str,
        typer.Option(
            "--base", help="Cost model that gives what the sweep does not cover: a name or a .yaml file."
        ),
    ] = "m4/cmsis_nn",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The cost model to write (.yaml); the sweep is kept beside it."),
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", help="Where the measurements come from, for the file.")
    ] = "",
    against: AgainstOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit the cycles of a kernel library on a core to measurements of single kernels.

    Every kernel class is fitted on its own; its error is that of shapes that the fit did not see. Without
    --out the fit is only shown. A target uses the file by its path or, in a catalogue folder, by its name.

    - `hannah-hw calibrate my_sweep.csv`
    - `hannah-hw calibrate my_sweep.csv --out cost_models/m4/mine.yaml --reference "my board, 2026-01"`
    - `hannah-hw calibrate stm32l4r5zi --against my_board.csv --out my_board.yaml` fits a chip's wait cycles and power
    """
    if against is not None:
        calibrate_board(str(sweep), against, out, as_json)
        return
    from hannah_hw.cost import load_cost_model
    from hannah_hw.measure.calibration import calibrate as fit
    from hannah_hw.measure.calibration import write_cost_model
    from hannah_hw.measure.sweep import read_sweep, write_sweep

    if out is not None and out.suffix != ".yaml":
        raise InputError("a cost model is a .yaml file", where=f"--out {out}")
    rows = read_sweep(sweep)
    found = fit(rows, load_cost_model(base), reference=reference or sweep.name)
    model = found.model
    if out is not None:
        kept = out.with_suffix(".sweep.csv")
        model = model.model_copy(update={"name": out.stem, "sweep": kept.name})
        part = kept.with_name(f".{kept.name}.{os.getpid()}.part")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(write_sweep(list(dict.fromkeys(rows))), encoding="utf-8")
                write_cost_model(model, out)
                part.replace(kept)
            finally:
                part.unlink(missing_ok=True)
        except OSError as failure:
            raise RunError(f"cannot write {kept}: {failure}") from failure
        say(f"wrote {out} and {kept}")
    document = {
        "file": out,
        "rows": len(rows),
        "model": model.model_dump(mode="json"),
        "fit": [
            {
                "kernel_class": row.kernel_class,
                "row": row.row,
                "predicted_cycles": row.predicted,
                "held_out_cycles": row.held_out,
            }
            for row in found.rows
        ],
    }
    emit(document, as_json, lambda: _render(found))


def _render(found: Calibration) -> None:
    covered = dict.fromkeys(row.kernel_class for row in found.rows)
    rows = []
    for name in covered:
        error = found.model.classes[name].error
        mean, largest = (None if value is None else f"{value:.1%}" for value in (error.mean, error.max))
        rows.append((name, error.n, mean, largest, f"± {error.band:.1%}", error.method))
    headers = ("class", "shapes", "held-out mean", "held-out max", "band", "how")
    table(headers, rows, right=(1, 2, 3, 4))
    rest = sorted(set(found.model.classes) - set(covered))
    if rest:
        write(f"not in the sweep, taken from the base: {', '.join(rest)}")
