"""What the calibration of a host gives: what was learned, from what, and how whole networks judge it."""

from __future__ import annotations

from dataclasses import dataclass

from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import HostRow
from hannah_hw.measure.host_inside import Inside


@dataclass(frozen=True)
class Check:
    """A network that was measured whole.

    Attributes:
        name: Of the network.
        measured_s: Seconds of a run.
        predicted_s: As the model has it, where what is added inside of networks is that of the other networks; NaN
            where it has none.
        half_width: Relative, of the interval of the prediction.
        summed_s: Sum of its kernels where all were measured, each alone, with a run of nothing; None otherwise.
    """

    name: str
    measured_s: float
    predicted_s: float
    half_width: float
    summed_s: float | None


@dataclass(frozen=True)
class HostCalibration:
    """A calibrated host.

    Attributes:
        model: What was learned.
        rows: Measured kernels that it was fitted from, each alone.
        inside: What is added to each inside of networks.
        checks: Networks that were measured whole.
        failures: Key of a kernel or name of a network -> why it was not measured.
        pool: How many different kernels there were to choose from.
        reused: How many rows were measured before.
        calm: Share of visits of the measurement that nothing disturbed.
        disturbed: Why the figures are not those of a processor of its own, and what to do; empty: they are.
        retest: (median, 90th percentile) of differences between two halves of the measurement, relative to what is
            measured.
        seconds: That all of it took.
    """

    model: HostModel
    rows: tuple[HostRow, ...]
    inside: Inside
    checks: tuple[Check, ...]
    failures: dict[str, str]
    pool: int
    reused: int
    calm: float
    disturbed: str
    retest: tuple[float, float]
    seconds: float
