"""Why candidates are not on the table: those that failed by kind, and those over a budget by which one."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.report.axes import axis
from hannah_hw.report.escaping import escape

if TYPE_CHECKING:
    from hannah_hw.report.data import Budget, Candidate, ReportData

#: Examples that a reason has in the page.
EXAMPLES: Final = 5


@dataclass(frozen=True)
class Loss:
    """Candidates that were lost for one reason; one over two budgets counts for both.

    Attributes:
        status: ``failed`` or ``infeasible``.
        title: The reason: kind of the failure, or the budget.
        count: How many.
        alone: How many have no other reason.
        note: What else is to be known of them all; may be empty.
        examples: Candidate id and message, the first few.
    """

    status: str
    title: str
    count: int
    alone: int
    note: str
    examples: tuple[tuple[str, str], ...]


def losses(run: ReportData) -> list[Loss]:
    """The reasons, those of failures first, and of each sort the most frequent first."""
    groups = [
        Loss("failed", group.kind, group.count, group.count, "", group.examples) for group in run.failures
    ]
    over = [(c, _beyond(c, run.budgets)) for c in run.candidates if c.status == "infeasible"]
    found = [
        _over(budget, [(c, names) for c, names in over if budget.name in names]) for budget in run.budgets
    ]
    other: dict[str, list[Candidate]] = {}
    for candidate, names in over:
        if not names:
            kind, _ = candidate.reason or ("unknown", "")
            other.setdefault(kind or "unknown", []).append(candidate)
    found += [
        Loss("infeasible", kind, len(members), len(members), "", _examples(members))
        for kind, members in other.items()
    ]
    return groups + sorted((loss for loss in found if loss.count), key=lambda loss: (-loss.count, loss.title))


def _beyond(candidate: Candidate, budgets: Sequence[Budget]) -> list[str]:
    """Names of the budgets that a candidate does not keep; of an interval, the end nearer to keeping it counts."""
    return [b.name for b in budgets if (missed := _missed(candidate, b)) is not None and missed > 0]


def _missed(candidate: Candidate, budget: Budget) -> float | None:
    """By how much of the bound a candidate misses it; None where one of the two is not known."""
    value, constraint = candidate.values.get(budget.key), budget.constraint
    if value is None or constraint is None:
        return None
    width = 0.0 if budget.key in candidate.estimated else candidate.bands.get(budget.key, 0.0)
    return float(constraint.excess(np.array(value), width))


def _over(budget: Budget, members: Sequence[tuple[Candidate, Collection[str]]]) -> Loss:
    """Those over one budget."""
    shares = [missed for c, _ in members if (missed := _missed(c, budget)) is not None]
    note = (
        f"by {100 * statistics.median(shares):.3g} % in the median, {100 * min(shares):.2g} % at least"
        if shares
        else ""
    )
    shown = axis(budget.key)
    nearest = sorted(members, key=lambda member: (_missed(member[0], budget), member[0].index))
    examples = tuple(
        (c.id, f"{shown.label} {shown.format(c.values.get(budget.key))}") for c, _ in nearest[:EXAMPLES]
    )
    alone = sum(len(names) == 1 for _, names in members)
    return Loss("infeasible", f"{budget.name} {budget.text}", len(members), alone, note, examples)


def _examples(members: Sequence[Candidate]) -> tuple[tuple[str, str], ...]:
    return tuple((c.id, (c.reason or ("", ""))[1]) for c in members[:EXAMPLES])


def failures_section(run: ReportData, shown: Collection[str]) -> str:
    """The section's content: a bar and a number for each reason, and under it examples.

    Where there is no front, the first reason is open.

    Args:
        run: The run.
        shown: Ids of the candidates that the page can select.
    """
    reasons = losses(run)
    if not run.candidates:
        return "<p>No candidate was evaluated.</p>"
    if not reasons:
        return "<p>No candidate failed, and none is over a budget.</p>"
    most = max(loss.count for loss in reasons)
    rows = (
        _reason(loss, most, shown, opened=place == 0 and not run.front) for place, loss in enumerate(reasons)
    )
    return f'<div id="losses">{"".join(rows)}</div>{_legend(reasons)}'


def _reason(loss: Loss, most: int, shown: Collection[str], *, opened: bool) -> str:
    words = {"failed": "failed", "infeasible": "over the budget"}[loss.status]
    alone = f", {loss.alone} of them nothing else" if loss.alone < loss.count else ""
    label = f"{words}: {loss.count}{alone}"
    bars = "".join(
        f'<i class="{name}" style="width:{100 * share / most:.1f}%"></i>'
        for name, share in (("alone", loss.alone), ("shared", loss.count - loss.alone))
        if share
    )
    note = f'<p class="note">{escape(loss.note)}</p>' if loss.note else ""
    left = loss.count - len(loss.examples)
    more = f"<li>and {left} more in candidates.jsonl</li>" if left > 0 else ""
    return (
        f'<details class="loss {loss.status}"{" open" if opened else ""}><summary>'
        f'<span class="reason">{escape(loss.title)}</span>'
        f'<span class="bar" role="img" aria-label="{label}">{bars}</span><span class="count">{loss.count}</span>'
        f"</summary>{note}<ul>{''.join(_items(loss, shown))}{more}</ul></details>"
    )


def _items(loss: Loss, shown: Collection[str]) -> Iterator[str]:
    for name, message in loss.examples:
        button = f'<button type="button" class="pick" data-pick="{escape(name)}">{escape(name)}</button>'
        yield f"<li>{button if name in shown else f'<code>{escape(name)}</code>'} {escape(message)}</li>"


def _legend(reasons: Sequence[Loss]) -> str:
    parts = []
    if any(loss.status == "failed" for loss in reasons):
        parts.append('<span class="failed"><i></i> failed</span>')
    if any(loss.status == "infeasible" for loss in reasons):
        parts.append('<span class="infeasible"><i class="alone"></i> over this budget alone</span>')
    if any(loss.alone < loss.count for loss in reasons):
        parts.append('<span class="infeasible"><i class="shared"></i> and over another one</span>')
    hint = "Open a reason for examples; those of a budget are the nearest to it."
    return f'<p class="legend losses">{"".join(parts)} {hint}</p>'
