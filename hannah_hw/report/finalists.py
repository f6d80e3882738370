"""What fine-tuning made of the finalists of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.report.escaping import escape
from hannah_hw.report.records import Json, finite_numbers, read_records
from hannah_hw.search.finalists import tuned
from hannah_hw.search.metrics import Goals

if TYPE_CHECKING:
    from hannah_hw.report.data import ReportData

#: File of a run directory.
FINALISTS: Final = "finalists.jsonl"
#: Error of a part of the data -> its heading.
_PARTS: Final = {"error": "validation", "test_error": "test"}


@dataclass(frozen=True)
class Finalist:
    """What became of fine-tuning one candidate.

    Attributes:
        id: Of the candidate.
        reason: Kind and message of a failure; None where there are figures.
        before: ``error`` and ``test_error`` of the int8 model before.
        after: The same after, of the better of the two.
        kept: Whether fine-tuning was better.
        record: As it was read.
    """

    id: str
    reason: tuple[str, str] | None
    before: Mapping[str, float]
    after: Mapping[str, float]
    kept: bool
    record: Mapping[str, Any]


def read_finalists(folder: Path) -> tuple[dict[str, Finalist], list[str]]:
    """Candidate id -> what fine-tuning made of it, the latest where there are several; warnings of unread lines.

    Args:
        folder: The run directory; without the file there are none.
    """
    path = folder / FINALISTS
    if not path.is_file():
        return {}, []
    records, unread = read_records(path, "a finalist")
    return {record["id"]: _finalist(record) for record in records}, unread


def _finalist(record: Json) -> Finalist:
    found, reason = _mapping(record.get("tuned")), _mapping(record.get("reason"))
    after = finite_numbers({key: found.get(key) for key in _PARTS})
    whole = len(after) == len(_PARTS) and isinstance(found.get("artifact"), str)
    return Finalist(
        id=record["id"],
        reason=(str(reason.get("kind", "")), str(reason.get("message", ""))) if reason else None,
        before=finite_numbers(dict(_mapping(found.get("before")))),
        after=after,
        kept=found.get("kept") is True,
        record=record if whole else {},
    )


def tuned_record(record: Json, finalist: Finalist | None, goals: Goals | None) -> Json:
    """A record of the search as fine-tuning leaves it; see `hannah_hw.search.finalists.tuned`."""
    if finalist is None or not finalist.record or goals is None:
        return record
    parts = {key: dict(_mapping(record.get(key))) for key in ("objectives", "metrics", "violations")}
    return tuned({**record, **parts, "status": record.get("status")}, finalist.record, goals)


def finalists_section(run: ReportData) -> str:
    """The section of the page: errors before and after; empty without any."""
    if not run.finalists:
        return ""
    heads = "".join(
        f'<th scope="col">{part} error, before</th><th scope="col">after</th>' for part in _PARTS.values()
    )
    rows = []
    for name, finalist in run.finalists.items():
        if finalist.reason is not None:
            text = ": ".join(part for part in finalist.reason if part)
            cells = f'<td colspan="{2 * len(_PARTS) + 1}">{escape(text)}</td>'
        else:
            figures = [side.get(key) for key in _PARTS for side in (finalist.before, finalist.after)]
            cells = "".join(f'<td class="number">{_percent(value)}</td>' for value in figures)
            cells += f"<td>{'fine-tuned' if finalist.kept else 'as it was'}</td>"
        rows.append(
            f'<tr data-id="{escape(name)}"><td><button type="button" class="pick">{escape(name)}</button></td>'
            f"{cells}</tr>"
        )
    return (
        '<section class="card" aria-labelledby="h-finalists"><h2 id="h-finalists">Finalists, fine-tuned</h2>'
        f'<div class="scroll"><table id="finalists"><thead><tr><th scope="col">Candidate</th>{heads}'
        f'<th scope="col">model</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f'<p class="note">{escape(summary(run))}. Errors are those of the models as they are exported, by ONNX '
        "Runtime; the validation part alone decides which model is kept.</p></section>"
    )


def summary(run: ReportData) -> str:
    """How many models got better and what their mean error was before and is now, in one line."""
    done = [finalist for finalist in run.finalists.values() if finalist.reason is None and finalist.after]
    kept = [finalist for finalist in done if finalist.kept]
    text = f"{len(kept)} of {len(run.finalists)} finalists are better fine-tuned"
    if done:
        before, after = (
            [sum(getattr(f, side).get(key, 0.0) for f in done) / len(done) for key in _PARTS]
            for side in ("before", "after")
        )
        changes = [
            f"{part} {_percent(old)} to {_percent(new)}"
            for part, old, new in zip(_PARTS.values(), before, after, strict=True)
        ]
        text += f"; mean error of all, {', '.join(changes)}"
    failed = [finalist for finalist in run.finalists.values() if finalist.reason is not None]
    if failed and failed[0].reason is not None:
        text += f"; {len(failed)} failed: {failed[0].id}: {': '.join(failed[0].reason)}"
    return text


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
