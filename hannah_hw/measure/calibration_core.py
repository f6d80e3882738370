"""Calibration of our own kernels on a core: sampled shapes, run on an emulator, fitted and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from hannah_hw.cores import Core, core_named, runtimes
from hannah_hw.cost.classes import KernelClass, Library, feature_matrix
from hannah_hw.cost.coefficients import CostModel, Provenance
from hannah_hw.errors import DataError
from hannah_hw.firmware.libraries import cost_library, library
from hannah_hw.firmware.toolchain import Compiler
from hannah_hw.measure.bench import core_of
from hannah_hw.measure.calibration import FitRow, fit_classes
from hannah_hw.measure.calibration_memory import measure_runtime
from hannah_hw.measure.provenance import provenance, unchanged
from hannah_hw.measure.sweep import SweepRow, read_sweep, sweep_kernels
from hannah_hw.measure.sweep_bench import FITTED, HELD_OUT, measure_sweep, sample_library


@dataclass(frozen=True)
class CoreCalibration:
    """A cost model with what it was made from.

    Attributes:
        model: The model.
        sweep: All measurements.
        fits: The measurements against the model.
    """

    model: CostModel
    sweep: tuple[SweepRow, ...]
    fits: tuple[FitRow, ...]


def calibrate_core(
    compiler: Compiler,
    *,
    fitted: int = FITTED,
    held_out: int = HELD_OUT,
    seed: int = 0,
    processes: int = 1,
    previous: tuple[Provenance, Sequence[SweepRow]] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> CoreCalibration:
    """Measure and fit all kernel classes that our library has on a core.

    Args:
        compiler: For the core, with the kernels of one of its `hannah_hw.cores.runtimes`.
        fitted: Shapes of each class with weights for the fit; half as many of the others.
        held_out: Other shapes of each class, which judge it.
        seed: Of the sample.
        processes: How many emulators run at once.
        previous: Measurements that are kept where they would be the same again.
        progress: Called with the number of shapes done and of all; first with none done, if there are any.

    Raises:
        CompilerError: The kernels do not compile.
        MeasurementError: A kernel computes something else than the reference.
        InputError: There is no cycle table of the core, or a number of shapes is not positive.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """
    core = core_of(compiler)
    cost, runtime = cost_library(core), runtime_of(core)
    made_with = provenance(compiler, seed=seed, fitted=fitted, held_out=held_out)
    kept = _kept(previous, made_with, cost)
    sampled = sample_library(
        core,
        fitted=fitted,
        held_out=held_out,
        seed=seed,
        classes=[
            entry.name for entry in cost.classes if entry.name in library(core) and entry.name not in kept
        ],
    )
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, len(sampled))

    if sampled:
        progress(0, len(sampled))
    measured: dict[str, list[SweepRow]] = dict(kept)
    found = measure_sweep(compiler, sampled, seed=seed, processes=processes, progress=count)
    for one, row in zip(sampled, found, strict=True):
        measured.setdefault(one.shape.kernel_class, []).append(row)
    rows = [row for entry in cost.classes for row in _represented(entry, measured.get(entry.name, []))]
    sweep = f"{runtime}.sweep.csv"
    classes, fits = fit_classes(rows, cost, reference=sweep)
    stacks = {name: max(row.stack_bytes or 0 for row in mine) for name, mine in measured.items()}
    made = f"firmware built by {compiler.version}, its ELF and its painted stack on an emulated {core.title}"
    model = CostModel(
        format="hannah-cost-model/2",
        name=f"{core.name}/{runtime}",
        title=f"{cost.title}, {compiler.version}, {core.title}",
        library=cost.name,
        reference=(
            f"instructions of single kernels counted on an emulated {core.title}, priced by the cycle table "
            f"{core.timing} without wait states, results equal to the integer reference; reads from flash counted"
        ),
        sweep=sweep,
        provenance=made_with,
        classes=classes,
        runtime=measure_runtime(compiler, stacks, made),
    )
    return CoreCalibration(model, tuple(rows), fits)


def runtime_of(core: Core) -> str:
    """What the runtime of a core's kernels is called in catalogues."""
    known = runtimes(core_named(core.name))
    return next(name for name, other in known.items() if other.kernels == core.kernels)


def _kept(
    previous: tuple[Provenance, Sequence[SweepRow]] | None, now: Provenance, cost: Library
) -> dict[str, list[SweepRow]]:
    """Kernel class -> measurements of before that would be the same again."""
    if previous is None:
        return {}
    before, rows = previous
    names = unchanged(before, now)
    kept: dict[str, list[SweepRow]] = {}
    for row, index in zip(rows, cost.classify(sweep_kernels(rows))[0].tolist(), strict=True):
        if index >= 0 and cost.classes[index].name in names:
            kept.setdefault(cost.classes[index].name, []).append(row)
    return kept


def _represented(entry: KernelClass, rows: list[SweepRow]) -> list[SweepRow]:
    """The rows, with one of those held out made part of the fit for each loop that runs in no row of the fit."""
    if not rows:
        return []
    matrix = feature_matrix(entry, sweep_kernels(rows))
    result = list(rows)
    for column in matrix.T:
        judges = np.array([bool(row.held_out) for row in result])
        runs = column > 0
        if runs.any() and not runs[~judges].any():
            first = int(np.flatnonzero(runs)[0])
            result[first] = replace(result[first], held_out=0)
    return result


def previous_measurements(path: Path) -> tuple[Provenance, list[SweepRow]] | None:
    """Provenance and measurements of a cost model that `calibrate_core` made; None where there is no such file.

    The coefficients are not looked at: they may be of other features than this version computes.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        before = Provenance.model_validate(document["provenance"])
        return before, read_sweep(path.with_name(document["sweep"]))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError, DataError):
        return None
