"""Why nothing is feasible: which constraint binds, and how close the space comes to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hannah_hw.search.metrics import METRICS, Constraint, Goals
from hannah_hw.search.protocols import Estimates, FloatArray, half_widths


def explain_empty(records: Iterable[Mapping[str, Any]], goals: Goals) -> str:
    """Why a run that trained candidates has an empty front.

    Args:
        records: All its records.
        goals: The constraints.
    """
    count = failed = 0
    last: Mapping[str, str] = {}
    best: dict[Constraint, float] = {}
    trained = [c for c in goals.constraints if not METRICS[c.metric].estimated]
    for record in records:
        count += 1
        if record["status"] == "failed":
            failed, last = failed + 1, record["reason"]
        for c in trained:
            value = record["metrics"].get(METRICS[c.metric].key)
            if value is not None:
                choose = min if c.sign == "<=" else max
                best[c] = choose(best.get(c, value), value)
    lines = [f"no candidate was trained within the constraints ({count} candidates, {failed} failed)"]
    if failed:
        lines.append(f"the last failure: {last['kind']}: {last['message']}")
    for constraint, value in best.items():
        metric = METRICS[constraint.metric]
        lines.append(
            f"{metric.name} {constraint.sign} {metric.format(constraint.bound)}: "
            f"best value seen {metric.format(value)}"
        )
    lines.append("relax the constraint that binds, train for longer, or allow more evaluations with --resume")
    return "; ".join(lines)


def explain_left(left: Sequence[Mapping[str, Any]]) -> str:
    """Why a front of estimates is empty now that it is measured.

    Args:
        left: Records that measurements took off it.
    """
    failed = [r["reason"]["message"] for r in left if r["status"] == "failed"]
    beyond = [r["reason"]["message"] for r in left if r["status"] == "infeasible"]
    lines = [f"{len(left)} candidates keep every constraint by their estimates, and none as measured"]
    lines += [f"{len(beyond)} are beyond a bound, the last: {beyond[-1]}"] if beyond else []
    lines += [f"{len(failed)} could not be measured, the last: {failed[-1]}"] if failed else []
    lines.append(
        "relax the constraint that binds, or calibrate the target again and search with what it says"
    )
    return "; ".join(lines)


class Misses:
    """Collects the best value of every constrained metric while no candidate keeps all constraints.

    Args:
        goals: The constraints.
    """

    def __init__(self, goals: Goals) -> None:
        self._constraints = [c for c in goals.constraints if METRICS[c.metric].estimated]
        self._best = [math.nan for _ in self._constraints]
        self._reached = [False for _ in self._constraints]
        self._smallest = math.inf
        self._closest: dict[str, float] = {}
        self._unsupported = ""

    def add(self, estimates: Estimates, parts: Mapping[str, FloatArray], total: FloatArray) -> bool:
        """Take in P infeasible candidates.

        Args:
            estimates: Their estimates.
            parts: Violation of each constraint: (P,) each.
            total: (P,) their sums.

        Returns:
            Whether one of them comes closer than any before.
        """
        for index, constraint in enumerate(self._constraints):
            key = METRICS[constraint.metric].key
            values = np.asarray(estimates.columns[key], float)
            least = constraint.sign == "<="
            known = values[~np.isnan(values)]
            if len(known):
                best = known.min() if least else known.max()
                choose = np.fmin if least else np.fmax
                self._best[index] = float(choose(self._best[index], best))
                missed = constraint.violation(values, half_widths(estimates, key))
                self._reached[index] |= bool((missed == 0).any())
        nearest = int(total.argmin())
        if total[nearest] < self._smallest:
            self._smallest = float(total[nearest])
            self._closest = {name: float(part[nearest]) for name, part in parts.items()}
            self._unsupported = estimates.unsupported(nearest) if self._closest.get("unsupported") else ""
            return True
        return False

    def explain(self, estimated: int, *, exhausted: bool) -> str:
        """The message for the user.

        Args:
            estimated: Candidates that were priced.
            exhausted: Whether that is the whole space.
        """
        looked = "the whole space" if exhausted else "the space"
        lines = [f"no candidate keeps every constraint ({estimated} estimates, {looked} searched)"]
        out_of_reach = False
        for constraint, best, reached in zip(self._constraints, self._best, self._reached, strict=True):
            metric = METRICS[constraint.metric]
            missed = not reached
            out_of_reach |= missed
            verdict = "out of reach" if missed else "reachable alone"
            bound = f"{metric.name} {constraint.sign} {metric.format(constraint.bound)}"
            shown = metric.format(best)
            if missed and shown == metric.format(constraint.bound):
                shown = f"{best:.10g} {metric.unit}".rstrip()
            lines.append(f"{bound}: best value seen {shown} ({verdict})")
        if self._closest.get("unsupported"):
            lines.append(f"the target cannot run even the closest candidate: {self._unsupported}")
            lines.append("hannah-hw targets ops TARGET lists what it runs")
        elif not out_of_reach and self._closest:
            misses = ", ".join(
                f"{name} by {excess:.1%}" for name, excess in self._closest.items() if excess > 0
            )
            lines.append(f"the constraints exclude one another; the closest candidate misses {misses}")
        lines.append("relax the constraint that binds, or choose a smaller space")
        return "; ".join(lines)
