"""Figures of whole networks on real chips: those that were published, and a user's own measurements."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hannah_hw import catalog
from hannah_hw.errors import CatalogError, DataError

#: Published figures of the MLPerf Tiny networks, beside the cost models.
PUBLISHED: Final = "mlperf_tiny_published.csv"
#: Columns of a user's measurements: a latency or an energy has to be given in one of its units.
LATENCY_COLUMNS: Final[Mapping[str, float]] = {"latency_s": 1.0, "latency_ms": 1e-3}
ENERGY_COLUMNS: Final[Mapping[str, float]] = {"energy_j": 1.0, "energy_uj": 1e-6}
_COLUMNS: Final = ("model", *LATENCY_COLUMNS, *ENERGY_COLUMNS, "source")
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Reference:
    """Figures of one network on one target, in SI units; None where nothing is stated."""

    network: str
    latency_s: float | None
    energy_j: float | None
    source: str


def published(name: str) -> list[Reference]:
    """The figures published for a target.

    Raises:
        CatalogError: There are none.
    """
    found: list[Reference] = []
    targets: set[str] = set()
    for folder in catalog.directories("cost_models"):
        path = folder / PUBLISHED
        if path.is_file():
            for number, record in enumerate(_records(path), start=2):
                targets.add(record.get("target") or "")
                if record.get("target") == name:
                    where = f"{path}:{number}"
                    found.append(_reference(record, record.get("network"), where, record.get("source") or ""))
            break
    if not found:
        raise CatalogError(
            f"no figures are published for the target {name!r}; give your own with --against FILE.csv",
            allowed=sorted(targets),
            given=name,
        )
    return found


def read_reference(path: Path) -> list[Reference]:
    """A user's measurements.

    Args:
        path: A CSV file with the columns ``model``, ``latency_s`` or ``latency_ms``, ``energy_j`` or ``energy_uj``,
            and ``source``; all but the first may be missing or empty, but not latency and energy both.

    Raises:
        DataError: The file cannot be read, or a row is wrong.
    """
    rows = [
        _reference(record, record.get("model"), f"{path}:{number}", record.get("source") or path.name)
        for number, record in enumerate(_records(path), start=2)
    ]
    if not rows:
        raise DataError("the file has no rows", where=str(path), allowed=_COLUMNS)
    return rows


def _records(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"the file is larger than {_MAX_BYTES} bytes", where=str(path))
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise DataError(f"cannot read the measurements: {reason}", where=str(path)) from failure


def _reference(record: Mapping[str, str | None], network: str | None, where: str, source: str) -> Reference:
    if not network:
        raise DataError("the column 'model' is missing or empty", where=where, allowed=_COLUMNS)
    latency = _figure(record, LATENCY_COLUMNS, where)
    energy = _figure(record, ENERGY_COLUMNS, where)
    if latency is None and energy is None:
        columns = ", ".join((*LATENCY_COLUMNS, *ENERGY_COLUMNS))
        raise DataError(f"neither a latency nor an energy is given; fill one of: {columns}", where=where)
    return Reference(network, latency, energy, source)


def _figure(record: Mapping[str, str | None], columns: Mapping[str, float], where: str) -> float | None:
    """The figure of the one column that is filled, in SI units."""
    given = [name for name in columns if (record.get(name) or "").strip()]
    if len(given) > 1:
        raise DataError(f"{' and '.join(given)} are both given; give one of them", where=where)
    for name in given:
        text = record[name]
        try:
            value = float(text or "")
        except ValueError as failure:
            raise DataError(f"{name} = {text!r} is not a number", where=where) from failure
        if not math.isfinite(value) or value <= 0:
            raise DataError(f"{name} = {text!r} is not positive", where=where)
        return value * columns[name]
    return None
