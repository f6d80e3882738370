"""Calibration of our own kernels on a core: sampled shapes, run on an emulator, fitted and judged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from hannah_hw.cores import Core
from hannah_hw.cost.coefficients import CostModel, Provenance
from hannah_hw.errors import InputError
from hannah_hw.firmware.libraries import cost_library, library
from hannah_hw.firmware.objects import KERNEL_FOLDER
from hannah_hw.firmware.toolchain import Compiler
from hannah_hw.measure.bench import core_of
from hannah_hw.measure.calibration import FitRow, fit_classes
from hannah_hw.measure.calibration_memory import measure_runtime
from hannah_hw.measure.sweep import SweepRow
from hannah_hw.measure.sweep_bench import FITTED, HELD_OUT, measure_sweep, sample_library

#: What the runtime of our own kernels is called in catalogues.
RUNTIME: Final = "hannah"
_COMMENT: Final = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)


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
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> CoreCalibration:
    """Measure and fit all kernel classes that our library has on a core.

    Args:
        compiler: For the core.
        fitted: Shapes of each class for the fit.
        held_out: Other shapes of each class, which judge it.
        seed: Of the sample.
        processes: How many emulators run at once.
        progress: Called with the number of shapes done and of all.

    Raises:
        CompilerError: The kernels do not compile.
        MeasurementError: A kernel computes something else than the reference.
        InputError: There is no cycle table of the core, or a number of shapes is not positive.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """
    core = core_of(compiler)
    if core.timing is None or core.unicorn is None:
        raise InputError(f"{core.title} has no cycle table or no emulator that counts; choose another core")
    sampled = sample_library(core, fitted=fitted, held_out=held_out, seed=seed)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, len(sampled))

    rows = measure_sweep(compiler, sampled, seed=seed, processes=processes, progress=count)
    sweep = f"{RUNTIME}.sweep.csv"
    classes, fits = fit_classes(rows, cost_library(core), reference=sweep)
    stacks: dict[str, int] = {}
    for one, row in zip(sampled, rows, strict=True):
        name = one.shape.kernel_class
        stacks[name] = max(stacks.get(name, 0), row.stack_bytes or 0)
    made = f"firmware built by {compiler.version}, its ELF and its painted stack on an emulated {core.title}"
    provenance = Provenance(
        kernels=kernels_hash(core),
        compiler=compiler.version,
        emulator=f"Unicorn {metadata.version('unicorn')}",
        timing=core.timing,
        seed=seed,
    )
    cost = cost_library(core)
    model = CostModel(
        format="hannah-cost-model/2",
        name=f"{core.name}/{RUNTIME}",
        title=f"{cost.title}, {compiler.version}, {core.title}",
        library=cost.name,
        reference=(
            f"instructions of single kernels counted on an emulated {core.title}, priced by the cycle table "
            f"{core.timing} without wait states, results equal to the integer reference; reads from flash counted"
        ),
        sweep=sweep,
        provenance=provenance,
        classes=classes,
        runtime=measure_runtime(compiler, stacks, made),
    )
    return CoreCalibration(model, tuple(rows), fits)


def kernels_hash(core: Core) -> str:
    """Hash of the sources of all kernels of a core's library, comments and layout apart."""
    kernels = [kernel for implementations in library(core).values() for kernel in implementations]
    names = {source for kernel in kernels for source in kernel.sources}
    digest = hashlib.sha256()
    for path in sorted([KERNEL_FOLDER / name for name in names] + list(KERNEL_FOLDER.glob("*.h"))):
        words = b" ".join(_COMMENT.sub(b" ", path.read_bytes()).split())
        digest.update(f"{path.name} {len(words)}\0".encode() + words)
    return digest.hexdigest()[:32]
