"""Estimates against measurements, network by network and kernel by kernel: firmware on an emulated core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.cost import CostReport, price
from hannah_hw.errors import EvaluationError, TargetError, UnsupportedError
from hannah_hw.measure.emulated import RUNTIME, emulated_core, firmware_target, measure_network
from hannah_hw.measure.measurement import Measurement
from hannah_hw.measure.models import Int8Model, int8_model
from hannah_hw.measure.validation import NETWORKS

if TYPE_CHECKING:
    from hannah_hw.cost.report import KernelRow
    from hannah_hw.firmware.layers import Network
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Microcontroller, Target

#: Figures that are compared.
FIGURES: Final = ("latency_s", "ram_bytes", "flash_bytes")


@dataclass(frozen=True)
class Compared:
    """One figure: estimated, measured, and by how much the estimate is above, relative to the measured one."""

    estimated: float
    measured: float
    error: float

    @classmethod
    def of(cls, estimated: float, measured: float) -> Compared:
        """Compare; the measured one is above 0."""
        return cls(float(estimated), measured, float(estimated) / measured - 1.0)


@dataclass(frozen=True)
class KernelComparison:
    """One kernel: cycles on the target, wait cycles included."""

    name: str
    kernel_class: str
    function: str
    macs: int
    estimated_cycles: float
    measured_cycles: float
    error: float

    @classmethod
    def of(
        cls, estimated: KernelRow, kernel_class: str, function: str, macs: int, cycles: float
    ) -> KernelComparison:
        """Compare an estimated kernel with its measured cycles, above 0."""
        both = Compared.of(estimated.cycles or 0.0, cycles)
        return cls(estimated.name, kernel_class, function, macs, both.estimated, both.measured, both.error)


@dataclass(frozen=True)
class NetworkComparison:
    """One network.

    Attributes:
        network: Its name.
        figures: `FIGURES` -> comparison; empty where there is no measurement.
        kernels: In order of execution.
        macs: Multiply-accumulates.
        checked: Random inputs whose output was compared with the integer reference; 0 where nothing was run.
        reason: Why there is no measurement, or no estimate; None where there is.
    """

    network: str
    figures: Mapping[str, Compared]
    kernels: tuple[KernelComparison, ...]
    macs: int
    checked: int
    reason: str | None = None


@dataclass(frozen=True)
class ClassSummary:
    """Errors of all compared kernels of a class."""

    kernel_class: str
    kernels: int
    mean: float
    largest: float


def compare(
    name: str,
    model: str | Path | Candidate,
    target: Microcontroller,
    *,
    compiler: str | None = None,
    calibration: str | Path | None = None,
    inputs: int = 2,
) -> NetworkComparison:
    """Estimate a network, measure it, and compare.

    Args:
        name: What the network is called.
        model: See `hannah_hw.measure.emulated.measure_model`.
        target: The target.
        compiler: ``zig``, ``gcc``, or None for the one that is there.
        calibration: For a float32 model.
        inputs: Random inputs whose output is checked.

    Returns:
        The comparison; without figures and with a reason where an operator has no kernel, memory is too small, or
        the output is wrong.

    Raises:
        InputError: The model cannot be read, or the target's core cannot be emulated.
        HannahError: There is no compiler, or a package is missing.
    """
    core, target = emulated_core(target), estimated_target(target)
    given = int8_model(model, calibration)

    def measured(network: Network, report: CostReport) -> NetworkComparison:
        found = measure_network(network, target, core, given, compiler=compiler, inputs=inputs)
        return compared(name, report, found)

    return estimated_and(measured, name, given, target)


def estimated_and(
    measured: Callable[[Network, CostReport], NetworkComparison], name: str, model: Int8Model, target: Target
) -> NetworkComparison:
    """A network estimated, then measured and compared; without figures where one of both refuses it.

    Args:
        measured: Measures the network and compares it with the estimate.
        name: What the network is called.
        model: The network.
        target: The target.

    Raises:
        ModelError: The network cannot be read.
    """
    from hannah_hw.firmware.network import read_network, workload_of

    try:
        network = read_network(model.source)
        report = price(workload_of(network), target).report(0)
        if report.unsupported:
            row = report.unsupported[0]
            return refused(name, f"{row.kernel} ({row.kind}): {row.rule}")
        return measured(network, report)
    except (UnsupportedError, EvaluationError) as error:
        return refused(name, str(error))


def estimated_target(target: Microcontroller) -> Microcontroller:
    """The target with the runtime whose estimates speak of our firmware.

    Raises:
        TargetError: It has none.
    """
    found = firmware_target(target)
    if found.model.runtime != RUNTIME:
        raise TargetError(
            f"{target.name} has no runtime {RUNTIME!r}: its estimates are of other kernels than the firmware has, so "
            "there is nothing to compare",
            where=f"{target.origin or target.name}: model.runtimes",
        )
    return found


def refused(name: str, reason: str) -> NetworkComparison:
    """A network without figures."""
    return NetworkComparison(name, {}, (), 0, 0, reason)


def compared(name: str, report: CostReport, measured: Measurement) -> NetworkComparison:
    """The comparison of an estimate with a measurement of the same network."""
    figures = {}
    for key in FIGURES:
        estimated, value = getattr(report, key), measured.value(key)
        figures[key] = Compared.of(estimated, value)
    rows = {row.name: row for row in report.kernels}
    kernels = tuple(
        KernelComparison.of(
            rows[kernel.name], kernel.kernel_class, kernel.function, kernel.macs, kernel.cycles
        )
        for kernel in measured.kernels
    )
    return NetworkComparison(name, figures, kernels, measured.macs, measured.checked)


def compare_mlperf_tiny(
    target: Microcontroller, *, compiler: str | None = None, inputs: int = 2
) -> list[NetworkComparison]:
    """`compare` for the four MLPerf Tiny networks of the catalogue, with random weights."""
    return [compare(name, model, target, compiler=compiler, inputs=inputs) for name, model in mlperf_tiny()]


def mlperf_tiny() -> Iterator[tuple[str, Candidate]]:
    """The four MLPerf Tiny networks of the catalogue, by name."""
    from hannah_hw.spaces import load_space

    for name, function in NETWORKS.items():
        space = load_space(f"mlperf_tiny:{function}")
        yield name, space.candidate(space.default())


def by_class(comparisons: Sequence[NetworkComparison]) -> tuple[ClassSummary, ...]:
    """Mean and largest absolute error of each kernel class."""
    errors: dict[str, list[float]] = {}
    for network in comparisons:
        for kernel in network.kernels:
            errors.setdefault(kernel.kernel_class, []).append(abs(kernel.error))
    return tuple(
        ClassSummary(name, len(found), float(np.mean(found)), max(found))
        for name, found in sorted(errors.items())
    )


def largest_errors(comparisons: Sequence[NetworkComparison]) -> dict[str, float]:
    """Figure -> its largest absolute error over all networks."""
    found: dict[str, float] = {}
    for network in comparisons:
        for key, figure in network.figures.items():
            found[key] = max(found.get(key, 0.0), abs(figure.error))
    return found


def to_dict(comparisons: Sequence[NetworkComparison]) -> dict[str, Any]:
    """JSON-able data."""
    return {
        "networks": [
            {**asdict(network), "kernels": [asdict(k) for k in network.kernels]} for network in comparisons
        ],
        "classes": [asdict(row) for row in by_class(comparisons)],
        "largest_errors": largest_errors(comparisons),
    }
