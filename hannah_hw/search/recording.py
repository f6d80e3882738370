"""One line of the log: what is known of a candidate before it is evaluated, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hannah_hw.search.metrics import METRICS, Goals
from hannah_hw.search.observers import Record
from hannah_hw.search.protocols import BandedEstimates, BoolArray, Estimates, FloatArray, Problem
from hannah_hw.search.tasks import Outcome

#: Metrics that no evaluation gives: records hold them beside those that it does.
ESTIMATED = frozenset(metric.key for metric in METRICS.values() if metric.estimated)


@dataclass(frozen=True)
class Priced:
    """What is known of P candidates before any is evaluated.

    Attributes:
        estimates: Their prices.
        described: Identifier and assignment of each.
        parts: Violation of each constraint that is known: (P,) each.
        total: (P,) their sums; 0: the candidate is worth an evaluation.
        uncertain: Bounded metric -> (P,) whether the interval of its estimate holds the bound.
        bands: Metric key -> (P,) relative half widths of intervals; empty where estimates have none.
    """

    estimates: Estimates
    described: Sequence[tuple[str, dict[str, Any]]]
    parts: Mapping[str, FloatArray]
    total: FloatArray
    uncertain: Mapping[str, BoolArray]
    bands: Mapping[str, FloatArray]

    def metrics(self, position: int) -> dict[str, float | None]:
        """Metric key -> estimate of a candidate; None where the target has no figure."""
        return {key: plain(column[position]) for key, column in self.estimates.columns.items()}

    def intervals(self, position: int) -> dict[str, Any]:
        """What a record says of the intervals of a candidate's estimates, where there are any.

        ``bands``: metric key -> relative half width; ``uncertain``: metrics whose interval holds a bound.
        """
        bands = {
            key: width for key, column in self.bands.items() if (width := plain(column[position])) is not None
        }
        held = [name for name, column in self.uncertain.items() if column[position]]
        return {"bands": bands, "uncertain": held} if bands else {}


def price(problem: Problem, goals: Goals, rows: FloatArray) -> Priced:
    """Price (P, D) rows, all at once."""
    estimates = problem.estimate(rows)
    parts, total = goals.free_violations(estimates)
    bands = estimates.bands if isinstance(estimates, BandedEstimates) else {}
    return Priced(estimates, problem.describe(rows), parts, total, goals.uncertain(estimates), bands)


def make_record(
    priced: Priced, position: int, goals: Goals, *, index: int, generation: int, outcome: Outcome | None
) -> Record:
    """The record of a candidate, without its cost report.

    Args:
        priced: The batch it is in.
        position: Its place there.
        goals: Objectives and constraints.
        index: Its number in the run.
        generation: Number of the batch.
        outcome: What became of its evaluation; None for a candidate that the estimate rules out.
    """
    identifier, assignment = priced.described[position]
    metrics: dict[str, float | None] = priced.metrics(position)
    macs, parameters = metrics.pop("macs", None), metrics.pop("parameters", None)
    violations = {name: float(part[position]) for name, part in priced.parts.items()}
    reason: Mapping[str, str] | None = None
    artifact = None
    status = "infeasible"
    if violations.get("unsupported"):
        reason = {"kind": "unsupported", "message": priced.estimates.unsupported(position)}
    if outcome is not None:
        scored = dict(outcome.metrics)
        artifact = scored.pop("artifact", None)
        metrics |= {key: plain(value) for key, value in scored.items()}
        reason = outcome.reason or _incomplete(metrics, goals)
        status = "failed" if reason else "ok"
    if status == "ok":
        violations |= goals.trained_violations(metrics)
        status = "infeasible" if any(violations.values()) else "ok"
        if status == "ok" and (metrics.get("share") or 1.0) < 1.0:
            status = "stopped"
    known = {**metrics, "macs": macs, "parameters": parameters}
    started = outcome.started if outcome is not None else datetime.now(UTC)
    took = outcome.wall_s if outcome is not None else 0.0
    finished = datetime.fromtimestamp(started.timestamp() + took, UTC)
    return {
        "index": index,
        "id": identifier,
        "generation": generation,
        "status": status,
        "reason": dict(reason) if reason else None,
        "assignment": assignment,
        "objectives": {
            name: known[METRICS[name].key]
            for name in goals.objectives
            if known.get(METRICS[name].key) is not None
        },
        "violations": violations,
        "macs": _whole(macs),
        "parameters": _whole(parameters),
        "metrics": metrics,
        **priced.intervals(position),
        "cost": None,
        "artifact": artifact,
        **({"same_as": outcome.same_as} if outcome is not None and outcome.same_as is not None else {}),
        "timestamps": {
            "started": started.isoformat(timespec="milliseconds"),
            "finished": finished.isoformat(timespec="milliseconds"),
            "wall_s": round(took, 3),
        },
    }


def outcome_of(record: Mapping[str, Any]) -> Outcome:
    """What became of the evaluation of a candidate, from its record."""
    metrics = {key: value for key, value in record["metrics"].items() if key not in ESTIMATED}
    if record.get("artifact") is not None:
        metrics["artifact"] = record["artifact"]
    times = record["timestamps"]
    reason = record["reason"] if record["status"] == "failed" else None
    started = datetime.fromisoformat(times["started"])
    return Outcome(metrics, reason, started, float(times["wall_s"]), record.get("same_as"))


def plain(value: object) -> float | None:
    """A finite float for JSON, or None."""
    if not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _incomplete(metrics: Mapping[str, Any], goals: Goals) -> dict[str, str] | None:
    """The failure of an evaluation that left out a number it was made for."""
    names = dict.fromkeys([*goals.objectives, *(c.metric for c in goals.constraints)])
    missing = [n for n in names if METRICS[n].key in metrics and metrics[METRICS[n].key] is None]
    missing += [n for n in names if not METRICS[n].estimated and METRICS[n].key not in metrics]
    if not missing:
        return None
    return {"kind": "no-figure", "message": f"no finite figure for: {', '.join(missing)}"}
