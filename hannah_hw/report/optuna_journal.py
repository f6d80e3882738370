"""A run as a journal file of Optuna, which `optuna.load_study` and optuna-dashboard open.

The format is that of ``optuna.storages.JournalStorage``: one JSON object a line, each an operation of its enumeration
``JournalOperation``. A trial that is already over takes one line, so a run of 100,000 candidates is written in
seconds and without Optuna.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from hannah_hw.report.data import RECORDS, Budget, Candidate, ReportData
from hannah_hw.report.records import LARGE, read_records

#: Numbers of operations, study directions and trial states in Optuna 3 to 5.
_CREATE_STUDY, _SET_STUDY_USER_ATTRIBUTE, _SET_STUDY_SYSTEM_ATTRIBUTE, _CREATE_TRIAL = 0, 2, 3, 4
_DIRECTIONS: Final = {"min": 1, "max": 2}
#: A candidate that was not trained to the end, or not at all as a constraint forbade it, is what Optuna calls pruned.
_STATES: Final = {"ok": 1, "infeasible": 2, "stopped": 2, "failed": 3}
#: Whose operations these are; Optuna asks for a name that no other process has.
_WRITER: Final = "hannah-hw"


def optuna_journal(data: ReportData) -> bytes:
    """The journal file of a run: one study, named as the run's folder, and one trial for each candidate.

    Parameters range over the values that occur in the run. Values of objectives are as the search states them;
    constraints are value - bound, not above 0 where they are kept. Candidates that were ruled out are pruned trials.
    Ids, states, reasons and all other figures are user attributes.
    """
    lines = [json.dumps(line, separators=(",", ":"), allow_nan=False) for line in _operations(data)]
    return "".join(line + "\n" for line in lines).encode()


def _operations(data: ReportData) -> Iterator[dict[str, Any]]:
    directions = [_DIRECTIONS[objective.direction] for objective in data.objectives]
    name = data.folder.resolve().name
    yield _operation(_CREATE_STUDY, study_name=name, directions=directions)
    names = [objective.name for objective in data.objectives]
    yield _operation(_SET_STUDY_SYSTEM_ATTRIBUTE, study_id=0, system_attr={"study:metric_names": names})
    for part in ("space", "target", "data"):
        if part in data.config:
            yield _operation(_SET_STUDY_USER_ATTRIBUTE, study_id=0, user_attr={part: data.name(part)})
    domains = _domains(data.candidates)
    times = _times(data)
    for candidate in data.candidates:
        yield _operation(
            _CREATE_TRIAL, study_id=0, **_trial(candidate, data, domains, times.get(candidate.index))
        )


def _operation(code: int, **fields: Any) -> dict[str, Any]:
    return {"op_code": code, "worker_id": _WRITER, **fields}


def _trial(
    candidate: Candidate, data: ReportData, domains: Mapping[str, _Domain], times: tuple[str, str] | None
) -> dict[str, Any]:
    values = [candidate.objectives.get(objective.name) for objective in data.objectives]
    complete = candidate.status == "ok" and None not in values
    started, finished = times or (_EPOCH, _EPOCH)
    excess = [_excess(candidate, budget) for budget in data.budgets]
    known = [value for value in excess if value is not None]
    attributes = {
        "id": candidate.id,
        "status": candidate.status,
        "on_front": candidate.on_front,
        **candidate.values,
    }
    if candidate.reason is not None:
        attributes["reason"] = ": ".join(candidate.reason)
    if candidate.artifact is not None:
        attributes["artifact"] = candidate.artifact
    return {
        "state": _STATES["ok" if complete else "failed" if candidate.status == "ok" else candidate.status],
        "value": values[0] if complete and len(values) == 1 else None,
        "values": values if complete and len(values) > 1 else None,
        "datetime_start": started,
        "datetime_complete": finished,
        "distributions": {key: domains[key].text for key in candidate.assignment},
        "params": {key: domains[key].number(value) for key, value in candidate.assignment.items()},
        "user_attrs": attributes,
        "system_attrs": {"constraints": known} if len(known) == len(excess) and known else {},
        "intermediate_values": {},
    }


def _excess(candidate: Candidate, budget: Budget) -> float | None:
    """Value - bound of an upper bound, the reverse of a lower one; None where either is unknown."""
    value = candidate.values.get(budget.key)
    if value is None or budget.bound is None:
        return None
    return value - budget.bound if budget.upper else budget.bound - value


#: Optuna wants a time of every trial; this one says that the record has none.
_EPOCH: Final = "1970-01-01T00:00:00.000000+00:00"


def _times(data: ReportData) -> dict[int, tuple[str, str]]:
    """Index of a record -> when its evaluation began and ended."""
    times = {}
    for record in read_records(data.folder / RECORDS, leave=LARGE)[0]:
        stated = record.get("timestamps")
        if isinstance(stated, dict) and _is_time(stated.get("started")) and _is_time(stated.get("finished")):
            times[int(record.get("index", 0))] = str(stated["started"]), str(stated["finished"])
    return times


def _is_time(text: object) -> bool:
    try:
        return datetime.fromisoformat(str(text)).tzinfo is not None
    except ValueError:
        return False


class _Domain:
    """What Optuna calls a distribution: the values that a parameter has in a run.

    Attributes:
        text: The distribution in Optuna's JSON.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._choices: dict[str, int] | None = None
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        attributes: dict[str, Any]
        if len(numbers) < len(values):
            choices = {json.dumps(v): v for v in values}
            ordered = sorted(choices)
            self._choices = {text: index for index, text in enumerate(ordered)}
            shown = [
                choices[t] if isinstance(choices[t], bool | int | float | str | None) else t for t in ordered
            ]
            kind, attributes = "CategoricalDistribution", {"choices": shown}
        elif all(isinstance(v, int) for v in numbers):
            kind = "IntDistribution"
            attributes = {"log": False, "step": 1, "low": min(numbers), "high": max(numbers)}
        else:
            kind = "FloatDistribution"
            attributes = {"step": None, "low": min(numbers), "high": max(numbers), "log": False}
        self.text = json.dumps({"name": kind, "attributes": attributes})

    def number(self, value: Any) -> float:
        """A value as Optuna stores it: itself, or the index of a choice."""
        return float(value) if self._choices is None else self._choices[json.dumps(value)]


def _domains(candidates: Sequence[Candidate]) -> dict[str, _Domain]:
    """Parameter -> its values in the run."""
    values: dict[str, dict[str, Any]] = {}
    for candidate in candidates:
        for key, value in candidate.assignment.items():
            values.setdefault(key, {})[json.dumps(value)] = value
    return {key: _Domain(list(found.values())) for key, found in values.items()}
