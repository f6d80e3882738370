"""A front that measurements decide: what is measured counts as measured, until every member of the front is.

A latency that was learned from some kernels has an interval. After the search its front is measured; a candidate that
measurement finds beyond a bound leaves, others follow, and they are measured in turn. The log of the search is not
touched: what a measurement changes about a record is computed from both, the same in a run and in its report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from hannah_hw.errors import RunError
from hannah_hw.search.archive import minimised
from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.measuring import Measuring
from hannah_hw.search.metrics import METRICS, Constraint, Goals
from hannah_hw.search.observers import Record
from hannah_hw.search.protocols import BoolArray, FloatArray

#: What is measured beside the front: candidates whose interval holds a bound, or all whose interval reaches the front.
Scope = Literal["front", "contenders"]
#: Measurements that fail, without a single success, after which nothing more is tried.
FAILURES: Final = 8


@dataclass(frozen=True)
class Settled:
    """What measurements left of a front.

    Attributes:
        front: Its members, all measured, as `decided` says; oldest first.
        left: What measurements took off it: ``infeasible`` or ``failed``, with the reason.
    """

    front: list[Record]
    left: list[Record]


def decided(record: Record, measured: Mapping[str, Any] | None, constraints: Sequence[Constraint]) -> Record:
    """A record as a measurement leaves it.

    Args:
        record: Of the search; not changed.
        measured: Of `hannah_hw.search.measuring`; None: the candidate was not measured.
        constraints: Of the search.

    Returns:
        The record itself where no measurement decides about it. Otherwise its metrics and objectives are those that
        were measured, and ``estimated`` keeps what they were; it is ``infeasible`` with a ``reason`` where one of them
        breaks a bound, and ``failed`` where the candidate could not be measured.
    """
    if measured is None or not measured.get("decides") or record["status"] != "ok":
        return record
    if measured["status"] != "ok":
        return {**record, "status": "failed", "reason": measured["reason"]}
    figures = measured["measurement"]["figures"]
    named = {metric.key: metric for metric in METRICS.values() if metric.estimated}
    values = {key: float(figure["value"]) for key, figure in figures.items() if key in named}
    beyond = [
        f"{c.metric} of {METRICS[c.metric].format(values[METRICS[c.metric].key])} is not {c.sign} "
        f"{METRICS[c.metric].format(c.bound)}"
        for c in constraints
        if METRICS[c.metric].key in values and c.violation(np.array(values[METRICS[c.metric].key]))
    ]
    objectives = {name: values.get(METRICS[name].key, value) for name, value in record["objectives"].items()}
    changed = {
        **record,
        "objectives": objectives,
        "metrics": {**record["metrics"], **values},
        "estimated": {key: record["metrics"].get(key) for key in values},
    }
    if beyond:
        changed |= {"status": "infeasible", "reason": {"kind": "measured", "message": "; ".join(beyond)}}
    return changed


def front_of(records: Sequence[Record], goals: Goals) -> list[Record]:
    """The non-dominated records with status ``ok``, oldest first."""
    running = [record for record in records if record["status"] == "ok"]
    if not running:
        return []
    mask = pareto_mask(np.array([minimised(record, goals) for record in running]))
    return [record for record, kept in zip(running, mask, strict=True) if kept]


def settle(records: Sequence[Record], goals: Goals, measuring: Measuring, scope: Scope) -> Settled:
    """Measure the front, and what may belong to it, until every member of it is measured.

    The front comes first. When all of it is measured, candidates follow that may be on it at the better end of their
    interval, as `Scope` says. What was measured before is not measured again; the order depends on the records and on
    what was measured alone, so a run that was stopped goes on as if it had not been.

    Args:
        records: All records of the search.
        goals: Objectives and constraints.
        measuring: Measures and keeps the records of it.
        scope: What is measured beside the front.

    Raises:
        RunError: The first measurements all fail; or see `hannah_hw.search.follow_up.FollowUp.run`.
    """
    running = {record["id"]: record for record in records if record["status"] == "ok"}
    # What an earlier run measured counts when it is asked for, so that all runs ask in the same order; and at the end.
    known: dict[str, Record] = {}
    while True:
        now = [decided(r, known.get(name), goals.constraints) for name, r in running.items()]
        front = front_of(now, goals)
        wanted = [record["id"] for record in front if record["id"] not in known]
        wanted = wanted or _contenders(now, front, goals, known, scope)
        wanted = wanted or [n for n in measuring.known if n in running and n not in known]
        if not wanted:
            return Settled(front, [record for record in now if record["status"] != "ok"])
        measured = measuring.run([running[name] for name in wanted])
        known |= zip(wanted, measured, strict=True)
        _check_failures(measuring)


def _contenders(
    records: Sequence[Record], front: Sequence[Record], goals: Goals, known: Mapping[str, Any], scope: Scope
) -> list[str]:
    """Ids of unmeasured candidates that no member of a measured front beats at the better end of their interval."""
    open_ = [
        record
        for record in records
        if record["status"] == "ok"
        and record["id"] not in known
        and (record.get("uncertain") if scope == "front" else record.get("bands"))
    ]
    if not open_ or not front:
        return [record["id"] for record in open_]
    points = np.array([_at_best(record, goals) for record in open_])
    members = np.array([minimised(record, goals) for record in front])
    return [
        record["id"] for record, beaten in zip(open_, _beaten(points, members), strict=True) if not beaten
    ]


def _at_best(record: Record, goals: Goals) -> FloatArray:
    """(M,) minimised objectives at the better ends of their intervals."""
    bands = record.get("bands", {})
    widths = np.array([bands.get(METRICS[name].key, 0.0) for name in goals.objectives])
    # A minimised objective is less there, a maximised one is more: its negative is less too, as figures are positive.
    point = minimised(record, goals)
    best: FloatArray = point - widths * np.abs(point)
    return best


def _beaten(points: FloatArray, members: FloatArray) -> BoolArray:
    """(P,) whether one of (F, M) members is as good as a point in every objective, and better in one."""
    no_worse: BoolArray = np.all(members[None] <= points[:, None], axis=2)
    better: BoolArray = np.any(members[None] < points[:, None], axis=2)
    return np.asarray(np.any(no_worse & better, axis=1))


def _check_failures(measuring: Measuring) -> None:
    """Nothing more is tried where everything fails."""
    failed = [record for record in measuring.known.values() if record["status"] != "ok"]
    if len(failed) >= FAILURES and len(failed) == len(measuring.known):
        reason = failed[-1]["reason"]
        raise RunError(
            f"all of the first {len(failed)} measurements failed; the last: {reason['kind']}: {reason['message']}; "
            f"remove what is in the way and the lines of {measuring.path.name}, then --resume"
        )
