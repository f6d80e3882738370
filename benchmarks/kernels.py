"""Our int8 kernels on an emulated core against CMSIS-NN, kernel by kernel and network by network.

    python benchmarks/kernels.py [--core m4] [--compiler zig gcc]

Cycles are those of the core's documented timing without wait states; every result is compared with the integer
reference. The figures beside them are for a Cortex-M4 and gcc -O3 on the same emulator and cycle table: CMSIS-NN
(commit 99f736a), and the study of our own kernels that this library began with. Networks are the four of MLPerf Tiny
with random weights, as generated firmware: all layers and what calls them; the study left out softmax.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from hannah_hw import load_space
from hannah_hw.cores import CORES, Core, core_named
from hannah_hw.emulation import Emulator, elf_sizes
from hannah_hw.firmware.building import build
from hannah_hw.firmware.libraries import cost_library
from hannah_hw.firmware.network import read_network, workload_of
from hannah_hw.firmware.project import generate
from hannah_hw.firmware.toolchain import Compiler, available
from hannah_hw.measure.bench import Bench
from hannah_hw.measure.bench_layers import random_call
from hannah_hw.measure.calibration_memory import code_parts
from hannah_hw.measure.models import int8_model
from hannah_hw.measure.sampling import Shape
from hannah_hw.measure.validation import NETWORKS
from hannah_hw.workload.arena import plan_arena
from hannah_hw.workload.table import KERNEL_COLUMNS

#: Mcycles of CMSIS-NN and of the study.
MCYCLES = {"ic": (35.5, 15.4), "kws": (9.22, 4.37), "vww": (29.4, 12.0), "ad": (0.716, 0.362)}


@dataclass(frozen=True)
class Row:
    """A kernel of the table.

    Attributes:
        label: What it is.
        shape: Its shape.
        unit: What figures are per: a multiply-accumulate, or a value of the result.
        cmsis: Cycles of CMSIS-NN.
        study: Cycles and instructions of the study.
    """

    label: str
    shape: Shape
    unit: str
    cmsis: float | None
    study: tuple[float, float | None]


def convolution(size: int, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Shape:
    """A convolution with padding on all sides."""
    pad = kernel // 2
    result = (size + 2 * pad - kernel) // stride + 1
    weights = kernel * kernel * (inputs // groups) * outputs
    return made(
        "conv",
        (size, size, inputs),
        (result, result, outputs),
        kernel,
        stride,
        **dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), pad),
        groups=groups,
        weights=weights,
        bias=outputs,
        macs=weights * result * result,
    )


def made(
    kind: str, source: tuple[int, ...], result: tuple[int, ...], kernel: int = 1, stride: int = 1, **more: int
) -> Shape:
    """A shape of a kind."""
    sizes = {f"in_{n}": v for n, v in zip(("h", "w", "channels"), source, strict=True)}
    sizes |= {f"out_{n}": v for n, v in zip(("h", "w", "channels"), result, strict=True)}
    sizes |= {"kernel_h": kernel, "kernel_w": kernel, "stride_h": stride, "stride_w": stride}
    return Shape(kind, kind, KERNEL_COLUMNS | sizes | more)


def connected(inputs: int, outputs: int) -> Shape:
    """A fully connected layer."""
    size = inputs * outputs
    return made("linear", (1, 1, inputs), (1, 1, outputs), weights=size, bias=outputs, macs=size)


def pooled(kind: str, size: int, channels: int, kernel: int) -> Shape:
    """A pooling of windows side by side."""
    result = size // kernel
    source, target = (size, size, channels), (result, result, channels)
    return made(kind, source, target, kernel, kernel, groups=channels)


def rows() -> list[Row]:
    """The table."""
    found = []
    for inputs, outputs, kernel, cmsis, cycles, instructions in (
        (3, 16, 3, 6.00, 1.98, 1.63),
        (8, 16, 3, 3.51, 1.50, 1.29),
        (16, 16, 3, 2.78, 1.30, 1.15),
        (15, 16, 3, 2.98, 1.45, None),
        (32, 32, 3, 2.26, 1.12, 1.01),
        (64, 64, 3, 2.04, 1.05, 0.96),
        (16, 16, 5, 2.48, 1.19, 1.07),
    ):
        shape = convolution(16, inputs, outputs, kernel)
        label = f"conv{kernel}x{kernel} {inputs}->{outputs}"
        found.append(Row(label, shape, "MAC", cmsis, (cycles, instructions)))
    for inputs, outputs, cmsis, cycles, instructions in (
        (8, 16, 8.21, 2.83, None),
        (16, 16, 4.77, 1.96, 1.60),
        (32, 32, 3.25, 1.40, 1.21),
        (30, 32, 3.76, 1.73, None),
        (64, 64, 2.49, 1.18, 1.05),
        (128, 128, 2.11, 1.08, None),
        (256, 256, 1.92, 1.04, None),
    ):
        shape = convolution(8, inputs, outputs, 1)
        found.append(Row(f"1x1 {inputs}->{outputs}", shape, "MAC", cmsis, (cycles, instructions)))
    for channels, kernel, stride, cmsis, cycles, instructions in (
        (8, 3, 1, 11.2, 2.59, 2.33),
        (9, 3, 1, 12.4, 2.59, 2.33),
        (64, 3, 1, 9.88, 2.55, 2.30),
        (128, 3, 1, 9.79, 2.55, 2.30),
        (64, 3, 2, 9.91, 4.51, 3.82),
        (64, 5, 1, 11.5, 1.62, 1.46),
        (64, 7, 1, 10.3, 2.27, None),
    ):
        shape = convolution(16, channels, channels, kernel, stride, channels)
        label = f"dw{kernel}x{kernel} c{channels}" + (" stride 2" if stride == 2 else "")
        found.append(Row(label, shape, "MAC", cmsis, (cycles, instructions)))
    for inputs, outputs, cmsis, cycles, instructions in (
        (16, 10, 7.92, 4.09, 2.87),
        (64, 10, 3.71, 2.32, 1.88),
        (256, 64, 2.57, 1.36, 1.24),
        (640, 128, 2.41, 1.32, 1.21),
    ):
        shape = connected(inputs, outputs)
        found.append(Row(f"fc {inputs}->{outputs}", shape, "MAC", cmsis, (cycles, instructions)))
    sum_of = made("add", (16, 16, 16), (16, 16, 16), operands=2)
    found += [
        Row("add 16x16x16", sum_of, "output", 98, (8.3, None)),
        Row("avg 2x2", pooled("avg_pool", 16, 16, 2), "output", 68, (28, None)),
        Row("avg global 8x8", pooled("avg_pool", 8, 64, 8), "output", 619, (106, None)),
        Row("max 2x2", pooled("max_pool", 16, 16, 2), "output", 51, (8.4, None)),
    ]
    return found


def kernels(compilers: list[Compiler]) -> None:
    """Print the kernel table."""
    benches = {compiler.name: Bench(compiler) for compiler in compilers}
    heads = "".join(f"{f'{name} c':>9}{'i':>7}" for name in benches)
    print(f"{'kernel':18}{'per':>8}{heads}{'CMSIS-NN':>10}{'times':>7}{'study':>8}{'(i)':>7}")
    for row in rows():
        columns = row.shape.columns
        units = columns["macs"] if row.unit == "MAC" else math.prod(row.shape.output_shape)
        found = [bench.run(random_call(row.shape, 0)) for bench in benches.values()]
        cells = "".join(f"{s.cycles / units:9.2f}{s.instructions / units:7.2f}" for s in found)
        best = min(sample.cycles for sample in found) / units
        cmsis = "" if row.cmsis is None else f"{row.cmsis:10.2f}{row.cmsis / best:7.2f}"
        instructions = "" if row.study[1] is None else f"{row.study[1]:7.2f}"
        mark = "  above the study" if best > 1.005 * row.study[0] else ""
        print(f"{row.label:18}{row.unit:>8}{cells}{cmsis}{row.study[0]:8.2f}{instructions:>7}{mark}")
    for compiler in compilers:
        size = sum(part.bytes for part in code_parts(compiler))
        print(f"flash of all kernels, {compiler.version}: {size:,} bytes")


def networks(core: Core, compilers: list[Compiler]) -> None:
    """Print cycles and memory of the MLPerf Tiny networks."""
    heads = "".join(f"{compiler.name:>9}" for compiler in compilers)
    print(
        f"\n{'Mcycles':10}{heads}{'CMSIS-NN':>10}{'times':>7}{'study':>8}"
        f"{'arena':>10}{'not in place':>14}{'saved':>8}{'RAM':>9}{'flash':>9}"
    )
    for name, function in NETWORKS.items():
        space = load_space(f"mlperf_tiny:{function}")
        network = read_network(int8_model(space.candidate(space.default())).source)
        cycles, ram, flash = [], 0, 0
        for compiler in compilers:
            with tempfile.TemporaryDirectory() as folder:
                project = generate(network, core, folder=Path(folder), name=name)
                elf = build(project, compiler).elf
                emulator = Emulator(elf, core)
                emulator.call(f"{name}_init")
                cycles.append(emulator.call(f"{name}_run").cycles / 1e6)
                sizes = elf_sizes(elf)
                ram, flash = sizes.ram_bytes + emulator.stack_high_water, sizes.flash_bytes
        workload = workload_of(network)
        in_place, scratch = cost_library(core).memory(workload.kernels)
        arenas = [
            int(plan_arena(workload, allowed, scratch, "greedy_best_fit", 16).arena_bytes[0])
            for allowed in (in_place, np.zeros_like(in_place))
        ]
        cmsis, study = MCYCLES[name]
        cells = "".join(f"{value:9.3f}" for value in cycles)
        print(
            f"{name:10}{cells}{cmsis:10.3f}{cmsis / min(cycles):7.2f}{study:8.3f}"
            f"{arenas[0]:10,}{arenas[1]:14,}{1 - arenas[0] / arenas[1]:8.1%}{ram:9,}{flash:9,}"
        )


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", default="m4", choices=CORES)
    parser.add_argument("--compiler", nargs="+", choices=("zig", "gcc"), help="those that are installed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    core = core_named(options.core)
    compilers = [c for c in available(core) if options.compiler is None or c.name in options.compiler]
    print(f"{core.title}, {', '.join(compiler.version for compiler in compilers)}")
    kernels(compilers)
    networks(core, compilers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
