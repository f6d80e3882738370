"""``hannah-hw calibrate``: kernel coefficients from measurements of single kernels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hannah_hw.cli import completion
from hannah_hw.cli.boards import AgainstOption, calibrate_board
from hannah_hw.cli.calibrate_host import (
    HostOptions,
    KernelsOption,
    ModelsOption,
    PrecisionOption,
    SearchOption,
    SecondsOption,
    SpaceOption,
    ThreadsOption,
    calibrate_this_host,
)
from hannah_hw.cli.options import refuse_options
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.errors import InputError

if TYPE_CHECKING:
    from hannah_hw.cost import CostModel
    from hannah_hw.measure.calibration import FitRow
    from hannah_hw.measure.sweep import SweepRow

#: The argument that means this machine.
HOST: Final = "host"


def calibrate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="CORE|host|SWEEP|TARGET",
            autocompletion=completion.either(completion.cores, completion.targets, completion.tables),
            help="A core, such as m4, whose kernels are measured on an emulator; or host: this machine; or measured "
            "kernels: a CSV file, or a JSON list of objects; or, with --against, a target.",
        ),
    ],
    base: Annotated[
        str,
        typer.Option(
            "--base",
            help="Of a sweep: cost model that gives what the sweep does not cover, a name or a .yaml file.",
        ),
    ] = "m4/cmsis_nn",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The cost model to write (.yaml); the measurements are kept beside it. Of a core also a folder of "
            "cost models, where it becomes CORE/RUNTIME.yaml. Of host and with --against the target to write (.yaml).",
        ),
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", help="Of a sweep: where the measurements come from, for the file.")
    ] = "",
    shapes: Annotated[
        int | None,
        typer.Option("--shapes", help="Of a core: shapes of each kernel class for the fit.  [default: 100]"),
    ] = None,
    held_out: Annotated[
        int | None,
        typer.Option(
            "--held-out", help="Of a core: other shapes of each class, which judge it.  [default: 200]"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Of a core: which shapes are drawn; of host: which networks.")
    ] = 0,
    compiler: Annotated[
        str | None,
        typer.Option("--compiler", help="Of a core: zig or gcc.  [default: the first that is there]"),
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(
            "--runtime", help="Of a core: whose kernels; hannah_slow_flash are those for slow flash."
        ),
    ] = "hannah",
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Of a core: emulators at once.", min=1)] = 1,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Of a core or host: measure also what the file that --out names has measured already.",
        ),
    ] = False,
    space: SpaceOption = None,
    search: SearchOption = None,
    models: ModelsOption = None,
    precision: PrecisionOption = "float32",
    kernels: KernelsOption = None,
    seconds: SecondsOption = None,
    threads: ThreadsOption = 1,
    against: AgainstOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit kernels to measurements of single ones, on an emulated core or this machine, or a chip to those of a board.

    Every kernel class is fitted on its own; its error is that of shapes that the fit did not see. Without
    --out the fit is only shown. A target uses the file by its path or, in a catalogue folder, by its name. Where the
    file is there, kernels whose sources have not changed are not measured again.

    - `hannah-hw calibrate m4` measures our own kernels on an emulated Cortex-M4
    - `hannah-hw calibrate m4 --out cost_models` writes cost_models/m4/hannah.yaml
    - `hannah-hw calibrate host --space ds_cnn --precision both --out my_host.yaml` profiles kernels on this machine
    - `hannah-hw calibrate my_sweep.csv --out cost_models/m4/mine.yaml --reference "my board, 2026-01"`
    - `hannah-hw calibrate stm32l4r5zi --against my_board.csv --out my_board.yaml` fits a chip's wait cycles and power
    """
    from hannah_hw.cores import CORES

    of_core = {"--shapes": shapes is not None, "--held-out": held_out is not None, "--compiler": compiler}
    of_host = {
        "--space": space,
        "--search": search,
        "--models": models,
        "--precision": precision != "float32",
        "--kernels": kernels,
        "--seconds": seconds is not None,
        "--threads": threads != 1,
    }
    if what != HOST or against is not None:
        refuse_options(of_host, "it is for `calibrate host`, which profiles kernels on this machine")
    if what not in CORES or against is not None:
        refuse_options(of_core, "it is for `calibrate CORE`, which measures kernels on an emulated core")
    if against is not None:
        calibrate_board(what, against, out, as_json)
    elif what == HOST:
        options = HostOptions(space or (), search or (), models or (), precision, kernels, seconds, threads)
        calibrate_this_host(options, out, seed, again, as_json)
    elif what in CORES:
        _of_core(what, runtime, out, shapes, held_out, seed, compiler, jobs, again, as_json)
    elif not Path(what).is_file() and not Path(what).suffix:
        raise InputError(
            f"{what!r} is neither a core nor a file; a target is calibrated with --against BOARD.csv",
            allowed=(*CORES, HOST),
            given=what,
        )
    else:
        _of_sweep(Path(what), base, out, reference, as_json)


def _of_core(
    name: str,
    runtime: str,
    out: Path | None,
    shapes: int | None,
    held_out: int | None,
    seed: int,
    compiler: str | None,
    jobs: int,
    again: bool,
    as_json: bool,
) -> None:
    from hannah_hw.cores import core_named, runtimes
    from hannah_hw.firmware.toolchain import find
    from hannah_hw.measure.calibration_core import calibrate_core, previous_measurements
    from hannah_hw.measure.sweep_bench import FITTED, HELD_OUT
    from hannah_hw.search.progress import clock

    core = core_named(name)
    known = runtimes(core)
    if runtime not in known:
        raise InputError(
            f"{name} has no runtime {runtime!r}", where="--runtime", allowed=known, given=runtime
        )
    path = None
    if out is not None:
        path = out if out.suffix == ".yaml" else out / name / f"{runtime}.yaml"
    started, told = monotonic(), -1

    def progress(done: int, everything: int) -> None:
        nonlocal told
        tenths = 10 * done // everything
        if done == 0:
            kept = "nothing is kept without --out" if path is None else f"they are kept beside {path}"
            say(f"{everything:,} shapes are measured on an emulated {core.title}; {kept}")
        elif 50 * done >= everything and tenths != told:
            told = tenths
            left = clock((monotonic() - started) * (everything - done) / done)
            say(f"{done:,} of {everything:,} shapes measured, about {left} left")

    found = calibrate_core(
        find(known[runtime], compiler),
        fitted=FITTED if shapes is None else shapes,
        held_out=HELD_OUT if held_out is None else held_out,
        seed=seed,
        processes=jobs,
        previous=None if path is None or again else previous_measurements(path),
        progress=progress,
    )
    _finish(found.model, found.sweep, found.fits, path, as_json)


def _of_sweep(sweep: Path, base: str, out: Path | None, reference: str, as_json: bool) -> None:
    from hannah_hw.cost import load_cost_model
    from hannah_hw.measure.calibration import calibrate as fit
    from hannah_hw.measure.sweep import read_sweep

    if out is not None and out.suffix != ".yaml":
        raise InputError("a cost model is a .yaml file", where=f"--out {out}")
    rows = read_sweep(sweep)
    found = fit(rows, load_cost_model(base), reference=reference or sweep.name)
    model = found.model if out is None else found.model.model_copy(update={"name": out.stem})
    _finish(model, rows, found.rows, out, as_json)


def _finish(
    model: CostModel, rows: Sequence[SweepRow], fits: Sequence[FitRow], out: Path | None, as_json: bool
) -> None:
    """Write the files if there is a path, and show the fit."""
    if out is not None:
        from hannah_hw.measure.calibration import write_calibration

        say(f"wrote {out} and {write_calibration(model, rows, out)}")
    document: dict[str, Any] = {
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
            for row in fits
        ],
    }
    emit(document, as_json, lambda: _render(model, dict.fromkeys(row.kernel_class for row in fits)))


def _render(model: CostModel, covered: Sequence[str] | dict[str, None]) -> None:
    rows = []
    for name in covered:
        fitted = model.classes[name]
        error, reads = fitted.error, fitted.flash_reads_error
        shares = [error.mean, error.max, *((reads.mean, reads.max) if reads is not None else (None, None))]
        mean, largest, reads_mean, reads_max = (None if v is None else f"{v:.1%}" for v in shares)
        rows.append(
            (name, error.n, mean, largest, reads_mean, reads_max, f"± {error.band:.1%}", error.method)
        )
    headers = ("class", "shapes", "held-out mean", "max", "flash reads mean", "max", "band", "how")
    table(headers, rows, right=(1, 2, 3, 4, 5, 6))
    rest = sorted(set(model.classes) - set(covered))
    if rest:
        write(f"not in the sweep, taken from the base: {', '.join(rest)}")
