"""What a report shows, read from a run directory and free of any drawing.

A run that was killed leaves a torn last line and no artifact for it; both are read around and named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hannah_hw.documents import read_document
from hannah_hw.errors import ConfigError, InputError
from hannah_hw.quantities import parse_quantity
from hannah_hw.report.axes import Axis, axis, metric_key
from hannah_hw.report.finalists import Finalist, read_finalists, tuned_record
from hannah_hw.report.fronts import History, front_indices, history
from hannah_hw.report.measurements import Measured, decided_record, read_measurements
from hannah_hw.report.records import LARGE, Json, finite_numbers, read_records
from hannah_hw.search.metrics import METRICS, Constraint, Goals
from hannah_hw.search.preference import achievement, knee_index
from hannah_hw.showing import Shown
from hannah_hw.targets.amounts import Amount

#: Files of a run directory.
CONFIG: Final = "config.yaml"
RECORDS: Final = "candidates.jsonl"
STATE: Final = "state.json"


@dataclass(frozen=True)
class Objective:
    """One objective: the name in the configuration, the metric it stands for, ``min`` or ``max``."""

    name: str
    key: str
    direction: str


@dataclass(frozen=True)
class Budget:
    """One hard constraint.

    Attributes:
        name: Name in the configuration, ``ram``.
        key: The metric, ``ram_bytes``.
        text: As a person writes it, ``<= 64 KiB``.
        bound: The number in the metric's unit; None when the text is not a bound this page can draw.
        upper: Whether values above the bound are the forbidden ones.
    """

    name: str
    key: str
    text: str
    bound: float | None
    upper: bool = True

    @property
    def constraint(self) -> Constraint | None:
        """The constraint that a search checks; None where this is not one."""
        if self.bound is None or self.name not in METRICS:
            return None
        return Constraint(self.name, "<=" if self.upper else ">=", self.bound)


@dataclass(frozen=True)
class Candidate(Shown):
    """One evaluated candidate.

    Attributes:
        index: Its number in the run.
        id: Hash of its active parameters.
        status: ``ok``, ``infeasible`` or ``failed``.
        reason: Kind and message of a failure, or why it is infeasible.
        values: Metric key -> finite number; missing where there is none. Measured instead of estimated where a
            measurement decides; see `hannah_hw.search.settling`.
        objectives: Objective name -> finite number, as measured: larger is better for ``max``; complete for
            ``ok`` candidates.
        assignment: Its active parameters.
        cost: The CostReport as a document, or an empty mapping.
        artifact: Path of its ONNX file inside the run directory, None when there is no such file.
        on_front: No feasible candidate is better in every objective.
        estimated: Metric key -> estimate, of those values that were measured since.
        bands: Metric key -> relative half width of the 90 % interval of its estimate.
        uncertain: Bounded metrics whose interval holds the bound.
    """

    index: int
    id: str
    status: str
    reason: tuple[str, str] | None
    values: Mapping[str, float]
    objectives: Mapping[str, float]
    assignment: Mapping[str, Any]
    cost: Mapping[str, Any]
    artifact: str | None
    on_front: bool = False
    estimated: Mapping[str, float] = field(default_factory=dict)
    bands: Mapping[str, float] = field(default_factory=dict)
    uncertain: tuple[str, ...] = ()

    def estimate(self, key: str) -> float | None:
        """The estimate of a metric, also where its value was measured since."""
        return self.estimated.get(key, self.values.get(key))

    @property
    def open(self) -> bool:
        """Whether nobody knows yet if it keeps a bound: the interval of its estimate holds it."""
        return self.status == "ok" and bool(self.uncertain) and not self.estimated

    def __repr__(self) -> str:
        figures = [f"{name} {value:.4g}" for name, value in self.objectives.items()]
        return f"Candidate({self.id}: {', '.join([self.status, *figures])})"


@dataclass(frozen=True)
class HardwareAxis:
    """A param of the target that was searched together with the network.

    Attributes:
        id: Its id in assignments, ``target.wmem``.
        name: Its name in the target's file, ``wmem``.
        dimension: Of its values, a key of `hannah_hw.quantities.UNITS`, or ``word``.
    """

    id: str
    name: str
    dimension: str

    def text(self, candidate: Candidate) -> str:
        """The value of a candidate as a person reads it; a dash where it has none."""
        value = candidate.assignment.get(self.id)
        return str(Amount(value, self.dimension)) if isinstance(value, int | float | str) else "-"


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one kind, with the first few messages by candidate id."""

    kind: str
    count: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReportData:
    """A run, ready to be drawn.

    Attributes:
        folder: The run directory.
        config: The resolved configuration without its ``resolved`` part.
        resolved: What the search wrote beside it: hash, versions, data split, target figures.
        objectives: The objectives.
        budgets: The hard constraints.
        axes: Every quantity that some candidate has, objectives first.
        candidates: In the order of evaluation.
        front: Positions in `candidates`, sorted by the first objective.
        knee: Position in `candidates` of the knee of the front; None when the front is empty.
        preferred: The same of what is nearest to the configuration's preference; None without one.
        history: Hypervolume and front size over the evaluations.
        failures: Failed candidates grouped by kind, most frequent first.
        warnings: What could not be read.
        measured: Candidate id -> what was measured after the search.
        finalists: Candidate id -> what fine-tuning made of it.
        hardware: Params of the target that were searched too.
        predictor: Where a learned predictor stood at the end; empty where there was none.
        models_only: Whether only candidates with a model of their own can be on the front.
    """

    folder: Path
    config: Json
    resolved: Json
    objectives: tuple[Objective, ...]
    budgets: tuple[Budget, ...]
    axes: tuple[Axis, ...]
    candidates: tuple[Candidate, ...]
    front: tuple[int, ...]
    knee: int | None
    history: History
    failures: tuple[FailureGroup, ...]
    warnings: tuple[str, ...] = field(default=())
    preferred: int | None = None
    measured: Mapping[str, Measured] = field(default_factory=dict)
    finalists: Mapping[str, Finalist] = field(default_factory=dict)
    hardware: tuple[HardwareAxis, ...] = ()
    predictor: Json = field(default_factory=dict)
    models_only: bool = False

    def name(self, part: str) -> str:
        """The name of the run's ``space``, ``target`` or ``data``, without a path and without options."""
        value = self.config.get(part)
        value = value.get("name") if isinstance(value, dict) else value
        return Path(str(value)).stem if value is not None else "-"

    @property
    def accelerator(self) -> bool:
        """Whether the run's target is an accelerator."""
        target = self.resolved.get("target")
        return isinstance(target, dict) and target.get("family") == "accelerator"

    def count(self, status: str) -> int:
        """Number of candidates of a status."""
        return sum(candidate.status == status for candidate in self.candidates)


def read_run(folder: str | Path) -> ReportData:
    """Read a run directory.

    Args:
        folder: The directory that ``hannah-hw search --out`` wrote.

    Raises:
        ConfigError: It is not a run directory, or its configuration cannot be read.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"this is not a run directory: it has no {CONFIG}; "
            "give the folder that 'hannah-hw search --out FOLDER' wrote",
            where=str(folder),
        )
    config = read_document(folder / CONFIG, ConfigError).data
    resolved = _mapping(config.pop("resolved", None))
    records, warnings = read_records(folder / RECORDS, leave=LARGE)
    measured, unread = read_measurements(folder)
    finalists, left_out = read_finalists(folder)
    unread += left_out
    keys = _metric_keys(records)
    objectives = tuple(
        Objective(str(name), metric_key(str(name), keys), str(direction))
        for name, direction in _mapping(config.get("objectives")).items()
    )
    budgets = tuple(
        _budget(str(name), str(text), keys) for name, text in _mapping(config.get("constraints")).items()
    )
    constraints = [c for budget in budgets if (c := budget.constraint) is not None]
    goals = Goals({o.name: o.direction for o in objectives if o.name in METRICS}, tuple(constraints))
    tuned = [tuned_record(record, finalists.get(record["id"]), goals) for record in records]
    settled = [decided_record(record, measured.get(record["id"]), constraints) for record in tuned]
    candidates = [_candidate(record, objectives, folder) for record in settled]
    signs = [-1.0 if o.direction == "max" else 1.0 for o in objectives]
    # Of a supernet nothing but finalists has a model of its own, and an error of that.
    models_only = bool(finalists) and config.get("supernet") is not None
    usable = [
        i
        for i, c in enumerate(candidates)
        if c.status == "ok"
        and len(c.objectives) == len(objectives)
        and (c.artifact is not None or not models_only)
    ]
    state = read_state(folder / STATE)
    points = [
        [candidates[i].objectives[o.name] * sign for o, sign in zip(objectives, signs, strict=True)]
        for i in usable
    ]
    best = front_indices(points)
    front, chosen = [usable[i] for i in best], [points[i] for i in best]
    knee = knee_index(chosen)
    preferred = _preferred(objectives, _mapping(config.get("preference")), chosen)
    for i in front:
        candidates[i] = replace(candidates[i], on_front=True)
    leading = [o.key for o in objectives if o.key in keys]
    family = _mapping(resolved.get("target")).get("family", "")
    axes = tuple(axis(key, family) for key in [*leading, *(key for key in keys if key not in leading)])
    return ReportData(
        folder=folder,
        config=config,
        resolved=resolved,
        objectives=objectives,
        budgets=budgets,
        axes=axes,
        candidates=tuple(candidates),
        front=tuple(front),
        knee=front[knee] if knee is not None else None,
        history=history(points, usable, len(candidates), _reference(state, signs)),
        failures=_failures(candidates),
        warnings=(*warnings, *unread),
        preferred=front[preferred] if preferred is not None else None,
        measured=measured,
        finalists=finalists,
        hardware=tuple(
            HardwareAxis(key, key.removeprefix("target."), str(_mapping(value).get("dimension")))
            for key, value in _mapping(resolved.get("hardware")).items()
        ),
        predictor=_mapping(state.get("predictor")),
        models_only=models_only,
    )


def _preferred(
    objectives: Sequence[Objective], preference: Mapping[str, Any], front: Sequence[Sequence[float]]
) -> int | None:
    """Position on the front of what is nearest to a preference, if there is one."""
    if not preference or not front:
        return None
    goals = Goals({o.name: o.direction for o in objectives}, (), finite_numbers(preference))
    return int(achievement(goals, np.array(front)).argmin())


def read_state(path: Path) -> Json:
    """The summary beside the log, ``state.json``; empty where there is none that can be read."""
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _reference(state: Json, signs: Sequence[float]) -> list[float] | None:
    """The run's own reference point, minimised, so that the page and the terminal show one hypervolume."""
    try:
        reference = [float(value) * sign for value, sign in zip(state["reference"], signs, strict=True)]
    except (ValueError, TypeError, KeyError):
        return None
    return reference if all(map(math.isfinite, reference)) else None


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _part(value: Any) -> Mapping[str, Any]:
    """A mapping in a record, which may still be on the disk."""
    return value if isinstance(value, Mapping) else {}


def _values(record: Json) -> dict[str, float]:
    values = finite_numbers(record.get("metrics"))
    values.update(finite_numbers({key: record.get(key) for key in ("macs", "parameters")}))
    return values


def _metric_keys(records: Sequence[Json]) -> list[str]:
    seen: dict[str, None] = {}
    for record in records:
        seen.update(dict.fromkeys(_values(record)))
    tail = [key for key in ("macs", "parameters") if key in seen]
    return [key for key in seen if key not in tail] + tail


def _budget(name: str, text: str, keys: Sequence[str]) -> Budget:
    key = metric_key(name, keys)
    number = text.strip().lstrip("<>=").strip()
    try:
        bound = parse_quantity(number, axis(key).dimension)
    except InputError:
        return Budget(name, key, text, None)
    upper = not text.strip().startswith(">")
    shown = axis(key).format(bound).replace(".0 ", " ")
    return Budget(name, key, f"{'<=' if upper else '>='} {shown}", bound, upper)


def _candidate(record: Json, objectives: Sequence[Objective], folder: Path) -> Candidate:
    reason, artifact, uncertain = record.get("reason"), record.get("artifact"), record.get("uncertain")
    values = _values(record)
    numbers = finite_numbers(record.get("objectives")) | {
        o.name: values[o.key] for o in objectives if o.key in values
    }
    return Candidate(
        index=record.get("index", 0),
        id=record["id"],
        status=str(record.get("status", "failed")),
        reason=(str(reason.get("kind", "")), str(reason.get("message", "")))
        if isinstance(reason, dict)
        else None,
        values=values,
        objectives={o.name: numbers[o.name] for o in objectives if o.name in numbers},
        assignment=_part(record.get("assignment")),
        cost=_part(record.get("cost")),
        artifact=artifact if isinstance(artifact, str) and _holds(folder, artifact) else None,
        estimated=finite_numbers(record.get("estimated")),
        bands=finite_numbers(record.get("bands")),
        uncertain=tuple(map(str, uncertain)) if isinstance(uncertain, list) else (),
    )


def _holds(folder: Path, artifact: str) -> bool:
    """Whether a file lies in a run directory, links followed."""
    try:
        path = (folder / artifact).resolve(strict=True)
    except (OSError, ValueError):  # nothing there, or no name of a file
        return False
    return path.is_file() and path.is_relative_to(folder.resolve())


def _failures(candidates: Sequence[Candidate]) -> tuple[FailureGroup, ...]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for candidate in candidates:
        if candidate.status == "failed":
            kind, message = candidate.reason or ("unknown", "")
            groups.setdefault(kind or "unknown", []).append((candidate.id, message))
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(FailureGroup(kind, len(items), tuple(items[:5])) for kind, items in ranked)
