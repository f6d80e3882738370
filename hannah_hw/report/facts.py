"""What a run recorded about itself, as lists, and the description of its target, as a table with sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from hannah_hw.report.axes import axis
from hannah_hw.report.data import HardwareAxis, ReportData
from hannah_hw.report.escaping import escape
from hannah_hw.targets.amounts import Amount

#: Sections of a configuration that are listed with the run, beside those that have a place of their own.
_SECTIONS: Final = (
    "preference",
    "training",
    "score",
    "fidelity",
    "supernet",
    "predictor",
    "proxies",
    "finalists",
)
#: What a run decided, in words.
_WORDS: Final = {"reason": "why this algorithm"}
#: Most values of a searched param that are listed one by one.
_LISTED: Final = 8
#: What the keys of a target's description end in -> unit of their values, where it is none of the page's.
_UNITS: Final = {"_pj": "pJ", "_pj_per_bit": "pJ a bit", ".size": "B"}


def run_facts(run: ReportData) -> str:
    """How a run was configured, and what it decided."""
    search = run.config.get("search")
    facts = [row for key in ("space", "target", "data") for row in _flat(run.config.get(key), f"{key}.")]
    facts += [("objectives", ", ".join(f"{o.direction} {o.name}" for o in run.objectives))]
    facts += [("constraints", ", ".join(f"{b.name} {b.text}" for b in run.budgets) or "none")]
    own = ("target", "data", "legalized", "hardware")
    resolved = {key: value for key, value in run.resolved.items() if key not in own}
    if isinstance(search, Mapping):
        # What a configuration leaves open is said once, as the run decided it.
        facts += _flat({key: value for key, value in search.items() if key not in resolved})
    facts += [row for key in _SECTIONS for row in _flat(run.config.get(key), f"{key}.")]
    legalized = run.resolved.get("legalized")
    if isinstance(legalized, Mapping) and legalized.get("summary"):
        facts.append(("narrowed to the target", str(legalized["summary"])))
    facts += _flat({_WORDS.get(key, key): value for key, value in resolved.items()})
    facts += _flat(run.predictor, "predictor.")
    facts += [
        (f"searched {h.name}", _levels(run.resolved["hardware"][h.id].get("values"), h)) for h in run.hardware
    ]
    return _facts([*facts, ("folder", str(run.folder))])


def recorded(document: Any) -> str:
    """A nested document as a list of dotted names and values."""
    return _facts(_flat(document))


def _levels(values: Any, hardware: HardwareAxis) -> str:
    """The values of a searched param; of many, the first and the last."""
    texts = [str(Amount(value, hardware.dimension)) for value in values or ()]
    return ", ".join(texts if len(texts) <= _LISTED else [*texts[:3], "...", texts[-1]])


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as rows of dotted keys and text."""
    if isinstance(value, Mapping):
        return [row for key, item in value.items() for row in _flat(item, f"{prefix}{key}.")]
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(_short(item) for item in value)
    return [(prefix.rstrip(".") or "value", _short(value))] if value is not None else []


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in rows)
    return f"<dl>{body}</dl>" if body else "<p>Nothing was recorded.</p>"


def target_table(target: Any) -> str:
    """The figures of a target's description; a mapping with ``value`` becomes one row with its provenance."""
    rows = list(_sourced(target, ""))
    if not rows:
        return "<p>Nothing was recorded.</p>"
    body = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td><td>{escape(source)}</td></tr>'
        if source
        else f'<tr><th scope="row">{escape(key)}</th><td colspan="2">{escape(value)}</td></tr>'
        for key, value, source in rows
    )
    return (
        '<table class="provenance"><thead><tr><th scope="col">Figure</th><th scope="col">Value</th>'
        f'<th scope="col">Source</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _sourced(value: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Nested mappings as rows of dotted key, value and provenance."""
    key = prefix.rstrip(".")
    if isinstance(value, Mapping) and "value" in value:
        shown = _quantity(key, value["value"])
        if not axis(key).unit:
            shown = f"{shown} {value.get('unit', '')}".strip()
        notes = [str(value[name]) for name in ("source", "reference", "note") if value.get(name)]
        error = value.get("error")
        band = f" ± {100 * error:.3g} %" if isinstance(error, int | float) else ""
        yield key, shown + band, ": ".join(notes)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _sourced(item, f"{prefix}{name}.")
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            name = item.get("name", index) if isinstance(item, Mapping) else index
            rest = {k: v for k, v in item.items() if k != "name"} if isinstance(item, Mapping) else item
            yield from _sourced(rest, f"{prefix}{name}.")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, _quantity(key, value), ""
    else:
        for name, text in _flat(value, prefix) if value != [] else ():
            yield name, text, ""


def _quantity(key: str, value: Any) -> str:
    """A number with the unit that its key ends in."""
    unit = axis(key)
    if unit.unit and isinstance(value, int | float):
        return unit.format(value)
    shown = next((name for suffix, name in _UNITS.items() if key.endswith(suffix)), "")
    return (
        f"{value:.4g} {shown}" if shown and isinstance(value, float) else f"{_short(value)} {shown}".strip()
    )
