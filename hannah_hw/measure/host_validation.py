"""Estimates of a host against runs on it, network by network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hannah_hw.errors import MeasurementError
from hannah_hw.estimation import estimate
from hannah_hw.measure.comparison import mlperf_tiny
from hannah_hw.measure.host_measure import HostMeasurement, measure_on_host

if TYPE_CHECKING:
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Host


@dataclass(frozen=True)
class HostComparison:
    """One network: its estimate beside its measurement.

    Attributes:
        network: Its name.
        estimated_s: Seconds of a run; None where a kernel has no price.
        interval: Relative half width of the estimate's 90 % interval.
        measured_s: Seconds of a run; None where there is no measurement.
        error: By how much the estimate is above, relative to the measured one.
        inside: Whether the interval holds the measured one.
        reason: Why something is missing; None where nothing is.
        warning: Why the measurement may be wrong; empty where nothing says so.
    """

    network: str
    estimated_s: float | None = None
    interval: float | None = None
    measured_s: float | None = None
    error: float | None = None
    inside: bool | None = None
    reason: str | None = None
    warning: str = ""

    @classmethod
    def of(
        cls, network: str, estimated_s: float, interval: float, measured_s: float, warning: str = ""
    ) -> HostComparison:
        """Compare an estimate with a measurement above 0."""
        error = estimated_s / measured_s - 1.0
        inside = abs(estimated_s - measured_s) <= interval * estimated_s
        return cls(network, estimated_s, interval, measured_s, error, inside, None, warning)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data; keys carry their units."""
        return asdict(self)


def compare_with_runs(
    target: Host,
    models: Iterable[tuple[str, Candidate | Path]] | None = None,
    *,
    measure: Callable[[Candidate | Path, Host], HostMeasurement] = measure_on_host,
) -> list[HostComparison]:
    """Estimate networks, run them, and compare.

    Args:
        target: The host, which must be this machine.
        models: Name and candidate or ONNX file; None: the four MLPerf Tiny networks of the catalogue, with random
            weights.
        measure: Runs a network.

    Raises:
        InputError: The target is another machine.
        ModelError: ONNX Runtime cannot run a model.
    """
    chosen = mlperf_tiny() if models is None else models
    return [_compared(name, model, target, measure) for name, model in chosen]


def _compared(
    name: str,
    model: Candidate | Path,
    target: Host,
    measure: Callable[[Candidate | Path, Host], HostMeasurement],
) -> HostComparison:
    report = estimate(model, target)
    latency = report.figures.get("latency_s")
    if latency is None or latency.error is None:
        row = report.unsupported[0]
        return HostComparison(name, reason=f"{row.kernel} ({row.kind}): {row.rule}")
    try:
        measured = measure(model, target)
    except MeasurementError as error:
        return HostComparison(name, latency.value, latency.error, reason=str(error))
    return HostComparison.of(
        name, latency.value, latency.error, measured.value("latency_s"), measured.warning
    )
