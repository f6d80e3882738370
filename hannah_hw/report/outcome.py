"""How a search ended, for a person at a terminal: the model to look at first, what would help, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.errors import HannahError
from hannah_hw.report.data import Budget, Candidate, ReportData
from hannah_hw.report.provenance import error_interval
from hannah_hw.report.run import Run
from hannah_hw.targets import Target, load_target, split_runtime

if TYPE_CHECKING:
    from hannah_hw.advice import Insight

#: Share of a budget from which on it is worth advice.
_TIGHT: Final = 0.75


@dataclass(frozen=True)
class Step:
    """Something to do next.

    Attributes:
        purpose: What for.
        command: The command line.
    """

    purpose: str
    command: str


@dataclass(frozen=True)
class Outcome:
    """What to say at the end of a search.

    Attributes:
        chosen: The preferred candidate, or the knee of the front; None where the front is empty.
        mark: ``preferred`` or ``knee``.
        figures: Label -> the candidate's figure beside its bound, of objectives and bounded metrics.
        insight: What costs most of it, and what would help; None where there is none, or its space is not there.
        steps: What to do next.
    """

    chosen: Candidate | None
    mark: str
    figures: dict[str, str]
    insight: Insight | None
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        return {
            "chosen": None if self.chosen is None else {"id": self.chosen.id, "as": self.mark},
            "insight": None if self.insight is None else self.insight.to_dict(),
            "next": [{"purpose": step.purpose, "command": step.command} for step in self.steps],
        }


def outcome(data: ReportData, ending: str | None) -> Outcome:
    """How a search ended.

    Args:
        data: The run.
        ending: Why it did; see `hannah_hw.search.observers.Ending`.
    """
    mark, index = ("knee", data.knee) if data.preferred is None else ("preferred", data.preferred)
    steps = tuple(_steps(data, mark, ending))
    if index is None:
        return Outcome(None, mark, {}, None, steps)
    chosen = data.candidates[index]
    return Outcome(chosen, mark, _figures(data, chosen), _insight(data, chosen), steps)


def target_name(data: ReportData) -> str:
    """The run's target, as verbs take it: the file that it was searched for where that is still there."""
    chosen, used = str(data.config.get("target")), data.resolved.get("target")
    file = used.get("file") if isinstance(used, dict) else None
    if isinstance(file, str) and Path(file).is_file():
        runtime = split_runtime(chosen)[1]
        return file if runtime is None else f"{file}:{runtime}"
    return chosen


def _figures(data: ReportData, chosen: Candidate) -> dict[str, str]:
    bounds = {budget.key: budget.text for budget in data.budgets}
    asked = {objective.key for objective in data.objectives} | set(bounds)
    shown = {}
    for axis in data.axes:
        if axis.key in asked:
            bound = next((b.bound for b in data.budgets if b.key == axis.key), None)
            of = "" if bound is None else f" of {axis.format(bound)}"
            value = chosen.values.get(axis.key)
            interval = error_interval(data, axis.key, value)
            behind = f", {interval}" if interval else ""
            shown[axis.label] = f"{axis.format(value)}{of}{behind}"
    return shown


def _insight(data: ReportData, chosen: Candidate) -> Insight | None:
    """Advice in parameters of the space, on the figures that the search is about."""
    from hannah_hw.advice import advise

    try:
        target = _target(data, chosen)
        found = advise(Run(data.folder).network(chosen.id), target)
    except HannahError:
        return None
    asked = {objective.key for objective in data.objectives}
    asked |= {budget.key for budget in data.budgets if _tight(budget, chosen)}
    return replace(found, advice=tuple(one for one in found.advice if one.metric in asked))


def _tight(budget: Budget, chosen: Candidate) -> bool:
    """Whether a candidate uses most of a budget."""
    value = chosen.values.get(budget.key)
    return value is not None and budget.bound is not None and budget.upper and value > _TIGHT * budget.bound


def _target(data: ReportData, chosen: Candidate) -> Target:
    """The target of a candidate, with the values of its params that were searched."""
    from hannah_hw.hardware import HardwareAxes

    target, fixed = load_target(target_name(data)), data.config.get("params")
    if not isinstance(fixed, dict) or not (fixed or data.hardware):
        return target
    axes = HardwareAxes(target, fixed)
    return axes.target([chosen.assignment.get(axis.id, axis.default) for axis in axes.parameters])


def _steps(data: ReportData, mark: str, ending: str | None) -> Iterator[Step]:
    folder = shlex.quote(str(data.folder))
    used = data.resolved.get("target")
    family = used.get("family") if isinstance(used, dict) else None
    if data.front:
        pick = f"hannah-hw export {folder} --pick {mark}"
        trained = any(data.candidates[i].artifact for i in data.front)
        yield Step("take it away", f"{pick} --to {'onnx,csv' if trained else 'csv'} --out models")
        if trained and family == "microcontroller":
            yield Step("as C for the chip", f"{pick} --to c --out firmware")
        again = f"hannah-hw search --resume --out {folder} --set"
        if trained and not data.measured and family == "microcontroller":
            yield Step("run the front on an emulated core", f"{again} measure.emulate=front")
        if trained and not data.measured and family == "host":
            yield Step("time the front on this machine", f"{again} measure.profile=front")
    search = data.config.get("search")
    count = search.get("evaluations") if isinstance(search, dict) else None
    if ending in ("budget", "stopped") and isinstance(count, int):
        more = count if ending == "stopped" else 2 * count
        command = f"hannah-hw search --resume --out {folder} --set search.evaluations={more}"
        yield Step("search on", command)
