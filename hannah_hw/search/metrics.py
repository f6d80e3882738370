"""The quantities a search can minimise, maximise or bound: their names, units and where they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from hannah_hw.errors import ConfigError, InputError
from hannah_hw.quantities import format_bytes, format_si, parse_quantity
from hannah_hw.search.protocols import BoolArray, Estimates, FloatArray, half_widths


@dataclass(frozen=True)
class Metric:
    """One quantity.

    Attributes:
        name: As written in a configuration.
        key: As written in records, with its unit.
        dimension: A key of `hannah_hw.quantities.UNITS`.
        unit: Base unit, for messages.
        estimated: Known before anything is trained.
    """

    name: str
    key: str
    dimension: str
    unit: str
    estimated: bool

    def format(self, value: float) -> str:
        """A value for people: ``12.3 KiB``, ``4.21 ms``, ``3.1 %``."""
        if not np.isfinite(value):
            return "no figure"
        if self.dimension == "bytes":
            return format_bytes(value)
        if self.dimension == "square_millimetres":
            return f"{value:.3g} mm²"
        return f"{100 * value:.3g} %" if self.dimension == "ratio" else format_si(value, self.unit).strip()


#: By name.
METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("error", "error", "ratio", "", False),
        Metric("balanced_error", "balanced_error", "ratio", "", False),
        Metric("macro_f1", "macro_f1", "ratio", "", False),
        Metric("latency", "latency_s", "seconds", "s", True),
        Metric("energy", "energy_j", "joules", "J", True),
        Metric("ram", "ram_bytes", "bytes", "B", True),
        Metric("flash", "flash_bytes", "bytes", "B", True),
        Metric("area", "area_mm2", "square_millimetres", "mm2", True),
        Metric("macs", "macs", "count", "", True),
        Metric("parameters", "parameters", "count", "", True),
    )
}

#: Metrics that count every class alike; see `hannah_hw.scoring.answers`.
BALANCED: Final = ("balanced_error", "macro_f1")

_CONSTRAINT: Final = re.compile(r"\s*(<=|>=|<|>|==|=)?\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric.

    Attributes:
        metric: A key of `METRICS`.
        sign: ``<=`` or ``>=``.
        bound: In the metric's base unit.
    """

    metric: str
    sign: str
    bound: float

    def violation(self, values: FloatArray, width: FloatArray | float = 0.0) -> FloatArray:
        """How far values miss the bound, as a share of it (of 1 for a bound of 0); 0 where they meet it.

        Args:
            values: (P,) values.
            width: (P,) relative half widths of their intervals: the end that is nearer to meeting the bound counts.
        """
        result: FloatArray = np.maximum(self.excess(values, width), 0.0)
        return result

    def excess(self, values: FloatArray, width: FloatArray | float = 0.0) -> FloatArray:
        """The same with its sign: below 0 where values meet the bound with room to spare. See `violation`."""
        least = self.sign == "<="
        beyond = values * (1.0 - width) - self.bound if least else self.bound - values * (1.0 + width)
        result: FloatArray = beyond / (abs(self.bound) or 1.0)
        return result

    def within(self, values: FloatArray, width: FloatArray | float) -> BoolArray:
        """(P,) whether the interval of a value holds the bound, so that the value does not tell whether it is met."""
        meets = self.violation(values, width) == 0
        beyond = (
            values * (1.0 + width) > self.bound if self.sign == "<=" else values * (1.0 - width) < self.bound
        )
        result: BoolArray = meets & beyond & (np.asarray(width) > 0)
        return result

    def __str__(self) -> str:
        return f"{self.sign} {self.bound!r} {METRICS[self.metric].unit}".rstrip()


def parse_constraint(metric: str, text: object) -> Constraint:
    """Read a constraint such as ``<= 64 KiB``.

    Args:
        metric: A key of `METRICS`.
        text: What the configuration says.

    Raises:
        InputError: No comparison, an unknown unit, or not a finite number.
    """
    example = f"write it as '<= {_EXAMPLES[METRICS[metric].dimension]}'"
    sign, value = _CONSTRAINT.fullmatch(str(text)).groups()  # type: ignore[union-attr]
    if sign not in ("<=", ">="):
        given = (
            f"{str(text)!r} has no comparison" if sign is None else f"the comparison {sign!r} is not allowed"
        )
        raise InputError(f"{given}; {example}", allowed=["<= BOUND", ">= BOUND"])
    bound = parse_quantity(value, METRICS[metric].dimension)
    if not np.isfinite(bound) or bound < 0:
        raise InputError(f"the bound of {str(text)!r} must be a finite number of at least 0; {example}")
    return Constraint(metric, sign, bound)


_EXAMPLES: Final = {
    "bytes": "64 KiB",
    "seconds": "5 ms",
    "joules": "1 mJ",
    "count": "2 M",
    "ratio": "5 %",
    "square_millimetres": "2 mm2",
}


@dataclass(frozen=True)
class Goals:
    """What a search wants: objectives and constraints, and how they turn metrics into numbers to minimise.

    Attributes:
        objectives: Metric name -> ``min`` or ``max``, in order.
        constraints: In order; every metric at most once for each sign.
        aspirations: Objective -> the value that a user hopes for; see `hannah_hw.search.preference`.

    Raises:
        ConfigError: A hope about something that is no objective.
    """

    objectives: Mapping[str, str]
    constraints: tuple[Constraint, ...]
    aspirations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.aspirations:
            if name not in self.objectives:
                raise ConfigError(
                    f"{name!r} is no objective of this search",
                    where="preference",
                    allowed=list(self.objectives),
                    given=name,
                )

    def within(self, capacities: Mapping[str, float | None]) -> Goals:
        """The goals, with an upper bound on every metric of a chip's capacities that has none yet.

        Args:
            capacities: Metric name -> what the chip has; None where that is not known.
        """
        bounded = {c.metric for c in self.constraints if c.sign == "<="}
        added = (
            Constraint(name, "<=", float(value))
            for name, value in capacities.items()
            if value is not None and name not in bounded
        )
        return replace(self, constraints=(*self.constraints, *added))

    @property
    def trained(self) -> bool:
        """Whether any goal needs a trained candidate."""
        names = [*self.objectives, *(c.metric for c in self.constraints)]
        return any(not METRICS[name].estimated for name in names)

    @property
    def balanced(self) -> bool:
        """Whether any goal is about a figure that counts every class alike."""
        names = {*self.objectives, *(c.metric for c in self.constraints)}
        return not names.isdisjoint(BALANCED)

    @property
    def corner(self) -> FloatArray:
        """(M,) worst values that a feasible candidate can have, minimised; NaN where there is no limit.

        That is a constraint's bound, or for a share 1 where it is minimised and 0 where it is maximised.
        """
        limits = {
            name: 1.0 if direction == "min" else 0.0
            for name, direction in self.objectives.items()
            if METRICS[name].dimension == "ratio"
        }
        for constraint in self.constraints:
            if self.objectives.get(constraint.metric) == ("min" if constraint.sign == "<=" else "max"):
                limits[constraint.metric] = constraint.bound
        return np.array([limits.get(name, np.nan) for name in self.objectives]) * self.signs

    @property
    def hoped(self) -> FloatArray:
        """(M,) aspirations, minimised; NaN where there is none."""
        return np.array([self.aspirations.get(name, np.nan) for name in self.objectives]) * self.signs

    @property
    def signs(self) -> FloatArray:
        """(M,) 1 for an objective that is minimised, -1 for one that is maximised."""
        return np.array([1.0 if d == "min" else -1.0 for d in self.objectives.values()])

    def free_violations(self, estimates: Estimates) -> tuple[dict[str, FloatArray], FloatArray]:
        """What the estimates say about the constraints.

        An unsupported candidate violates the pseudo-constraint ``unsupported`` by 1; a constraint whose metric
        the target has no figure for is violated by 1. A value with an interval violates a bound only if all of the
        interval does.

        Returns:
            Violation of each constraint on an estimated metric, and the total: (P,) each.
        """
        supported = np.asarray(estimates.supported, bool)
        parts: dict[str, FloatArray] = {}
        for constraint in self.constraints:
            if METRICS[constraint.metric].estimated:
                key = METRICS[constraint.metric].key
                values = np.asarray(estimates.columns[key], float)
                excess = constraint.violation(values, half_widths(estimates, key))
                excess = np.where(np.isnan(excess), 1.0, excess)
                parts[constraint.metric] = parts.get(constraint.metric, 0.0) + excess
        if not supported.all():
            parts["unsupported"] = np.where(supported, 0.0, 1.0)
        total = np.zeros(len(supported))
        for part in parts.values():
            total = total + part
        return parts, total

    def uncertain(self, estimates: Estimates) -> dict[str, BoolArray]:
        """Bounded metric -> (P,) whether the interval of its estimate holds a bound, where estimates have intervals."""
        found: dict[str, BoolArray] = {}
        for constraint in self.constraints:
            key = METRICS[constraint.metric].key
            if not METRICS[constraint.metric].estimated:
                continue
            width = half_widths(estimates, key)
            if width.any():
                held = constraint.within(np.asarray(estimates.columns[key], float), width)
                found[constraint.metric] = found.get(constraint.metric, np.False_) | held
        return found

    @property
    def trained_constraints(self) -> tuple[Constraint, ...]:
        """The constraints on metrics that only training shows, in order."""
        return tuple(c for c in self.constraints if not METRICS[c.metric].estimated)

    def trained_violations(self, metrics: Mapping[str, object]) -> dict[str, float]:
        """Violation of each constraint on a metric that only training shows."""
        excess = self.trained_excess(metrics)
        return {
            c.metric: float(np.maximum(value, 0.0))
            for c, value in zip(self.trained_constraints, excess, strict=True)
        }

    def trained_excess(self, metrics: Mapping[str, object]) -> FloatArray:
        """(C,) signed violation of each of `trained_constraints`, NaN where the metric is not known."""
        values = [_number(metrics.get(METRICS[c.metric].key)) for c in self.trained_constraints]
        found = [float(c.excess(np.array(v))) for c, v in zip(self.trained_constraints, values, strict=True)]
        return np.array(found, float)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
