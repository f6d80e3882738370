"""Measuring the kernels of a core's library at sampled shapes, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from hannah_hw.cores import Core
from hannah_hw.errors import InputError
from hannah_hw.firmware.libraries import cost_library, library
from hannah_hw.firmware.toolchain import Compiler
from hannah_hw.measure.bench import Bench, Sample
from hannah_hw.measure.bench_layers import random_call
from hannah_hw.measure.sampling import WEIGHTED, Shape, sample_shapes
from hannah_hw.measure.sweep import SweepRow

#: Shapes of each class with weights that a fit is made from, and others that judge it, where nothing else is said.
FITTED: Final = 100
HELD_OUT: Final = 200
#: Shapes of one task: enough that sending them costs nothing, few enough that processes end together.
_TASK: Final = 25


@dataclass(frozen=True)
class Sampled:
    """Shapes to measure.

    Attributes:
        shape: The shape.
        held_out: Whether it judges the fit.
    """

    shape: Shape
    held_out: bool


def sample_library(
    core: Core,
    *,
    fitted: int = FITTED,
    held_out: int = HELD_OUT,
    seed: int = 0,
    classes: Iterable[str] | None = None,
) -> list[Sampled]:
    """Shapes of the kernel classes of a core's library that have an implementation.

    Args:
        core: The core.
        fitted: Shapes of each class with weights for the fit; half as many of the others.
        held_out: Other shapes of each class.
        seed: Of the sample.
        classes: Only these.

    Raises:
        InputError: A number of shapes is not positive.
    """
    if fitted < 1 or held_out < 1:
        raise InputError(f"{fitted} shapes to fit and {held_out} held out; give at least 1 of each")
    cost, kernels = cost_library(core), library(core)
    names = [entry.name for entry in cost.classes if entry.name in kernels]
    found = []
    for name in names if classes is None else classes:
        # One sample, dealt out in turn: what judges is spread over sizes as what fits.
        share = 1 if name in WEIGHTED else 2
        fits, judges = -(-fitted // share), -(-held_out // share)
        count = fits + judges
        shapes = sample_shapes(name, count, seed=seed, library=cost)
        for number, shape in enumerate(shapes):
            dealt = (number + 1) * judges // count - number * judges // count
            found.append(Sampled(shape, bool(dealt)))
    return found


def measure_sweep(
    compiler: Compiler,
    sampled: Sequence[Sampled],
    *,
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[int], None] = lambda _count: None,
) -> list[SweepRow]:
    """Run kernels at shapes; the same arguments give the same rows.

    Args:
        compiler: For the core.
        sampled: The shapes.
        seed: Of weights and operands, on which times do not depend.
        processes: How many emulators run at once.
        progress: Called with how many shapes more are done.

    Raises:
        CompilerError: The kernels do not compile.
        MeasurementError: A kernel computes something else than the reference.
        MissingExtraError: A package of the extra ``emulate`` is not installed.
    """
    tasks = [sampled[start : start + _TASK] for start in range(0, len(sampled), _TASK)]
    bench = Bench(compiler)
    rows: list[SweepRow] = []
    if processes == 1:
        for task in tasks:
            rows += [_measured(bench, one, seed) for one in task]
            progress(len(task))
        return rows
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (compiler,)) as pool:
        for task, result in zip(tasks, pool.map(_run, tasks, [seed] * len(tasks)), strict=True):
            rows += result
            progress(len(task))
    return rows


_BENCH: list[Bench] = []


def _start(compiler: Compiler) -> None:
    """Give a process its emulator; the parent has linked the firmware."""
    _BENCH[:] = [Bench(compiler)]


def _run(task: Sequence[Sampled], seed: int) -> list[SweepRow]:
    return [_measured(_BENCH[0], one, seed) for one in task]


def _measured(bench: Bench, sampled: Sampled, seed: int) -> SweepRow:
    return sweep_row(sampled.shape, bench.run(random_call(sampled.shape, seed)), held_out=sampled.held_out)


def sweep_row(shape: Shape, sample: Sample, *, held_out: bool) -> SweepRow:
    """A measured shape as a row of a sweep."""
    names = ("in_h", "in_w", "in_channels", "out_channels", "kernel_h", "kernel_w", "stride_h", "stride_w")
    more = ("out_h", "out_w", "groups", "operands", "dilation_h", "dilation_w")
    sides = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    return SweepRow(
        kernel=shape.kind,
        **{name: shape.columns[name] for name in (*names, *more, *sides)},
        instructions=sample.instructions,
        cycles=sample.cycles,
        scratch_bytes=sample.scratch_bytes,
        flash_reads=sample.flash_reads,
        stack_bytes=sample.stack_bytes,
        held_out=int(held_out),
    )
