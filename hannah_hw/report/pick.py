"""Choosing candidates of a run: the knee, the preferred one, the front, an id, or conditions as ``latency<5ms``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Final

from hannah_hw.errors import InputError
from hannah_hw.quantities import parse_quantity
from hannah_hw.report.axes import axis, metric_key
from hannah_hw.report.data import Candidate, ReportData

#: Names that choose.
_NAMES: Final = ("knee", "preferred", "front", "best")
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|<|>)\s*([^<>=&,]+?)\s*")


def pick_candidates(run: ReportData, pick: str) -> list[Candidate]:
    """The candidates that a ``--pick`` names.

    Args:
        run: The run.
        pick: ``knee``; ``preferred`` (nearest to the run's preference); ``front``; ``best`` (the lowest first
            objective); ``all`` (that were trained); an id or the beginning of one; several ids separated by commas; or
            conditions joined by ``and``, as in ``latency < 5 ms and ram <= 32 KiB``, which choose from the front.

    Raises:
        InputError: Nothing matches, or the text is none of these.
    """
    text = pick.strip()
    front = [run.candidates[i] for i in run.front]
    if text in _NAMES and not front:
        raise InputError(
            "the front is empty: no candidate was trained within the constraints", where=str(run.folder)
        )
    if text == "knee" and run.knee is not None:
        return [run.candidates[run.knee]]
    if text == "preferred":
        if run.preferred is None:
            raise InputError(
                "the run has no preference; a search has one by its section 'preference'", where="--pick"
            )
        return [run.candidates[run.preferred]]
    if text == "front":
        return front
    if text == "best":
        return front[:1]
    if text == "all":
        return [candidate for candidate in run.candidates if candidate.status == "ok"]
    if any(sign in text for sign in "<>"):
        return _by_conditions(run, front, text)
    return [_by_id(run, part.strip()) for part in text.split(",") if part.strip()] or [_by_id(run, text)]


def _by_id(run: ReportData, text: str) -> Candidate:
    trained = [candidate for candidate in run.candidates if candidate.status == "ok"]
    found = {c.id: c for c in trained if c.id == text} or {
        c.id: c for c in trained if text and c.id.startswith(text)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError(f"{text!r} begins several ids", allowed=sorted(found)[:8])
    raise InputError(
        f"{text!r} is no trained candidate of this run",
        where="--pick",
        allowed=[
            "knee",
            "preferred",
            "front",
            "best",
            "all",
            "'latency < 5 ms'",
            *(run.candidates[i].id for i in run.front[:8]),
        ],
        given=text,
    )


def _by_conditions(run: ReportData, front: list[Candidate], text: str) -> list[Candidate]:
    keys = [a.key for a in run.axes]
    chosen = front
    used: list[str] = []
    for part in re.split(r"\band\b|&&|&|,", text):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise InputError(
                f"{part.strip()!r} is not a condition; write NAME < VALUE, for example 'latency < 5 ms'",
                where="--pick",
            )
        name, sign, number = match.groups()
        key = metric_key(name, keys)
        if key not in keys:
            raise InputError(f"no candidate has {name!r}", where="--pick", allowed=keys, given=name)
        bound = parse_quantity(number, axis(key).dimension, where="--pick")
        compare = _OPERATORS[sign]
        chosen = [c for c in chosen if key in c.values and compare(c.values[key], bound)]
        used.append(key)
    if not chosen:
        ranges = "; ".join(_range(front, key) for key in dict.fromkeys(used))
        raise InputError(f"no candidate of the front satisfies {text!r}; {ranges}", where="--pick")
    return chosen


def _range(front: list[Candidate], key: str) -> str:
    """Least and largest value of a metric on the front, in words."""
    known = [c.values[key] for c in front if key in c.values]
    if not known:
        return f"none has a figure of {axis(key).label}"
    return f"{axis(key).label} is {axis(key).format(min(known))} to {axis(key).format(max(known))} there"
