"""Numbers with units, as people write them: ``64 KiB``, ``120 MHz``, ``5 ms``, ``250e3``."""

from __future__ import annotations

import math
import re
from typing import Final

from hannah_hw.errors import InputError

_SI: Final = {"": 1.0, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}

#: Spelling of a unit -> factor to the base unit, by dimension. The first key is the base unit.
UNITS: Final[dict[str, dict[str, float]]] = {
    "bytes": {
        "B": 1.0,
        "KiB": 1024.0,
        "MiB": 1024.0**2,
        "GiB": 1024.0**3,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
    },
    "seconds": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0},
    "hertz": {f"{p}Hz": f for p, f in _SI.items() if f >= 1.0},
    "joules": {f"{p}J": f for p, f in _SI.items() if f <= 1.0},
    "watts": {f"{p}W": f for p, f in _SI.items() if f <= 1.0},
    "square_millimetres": {"mm2": 1.0, "mm²": 1.0, "um2": 1e-6, "µm²": 1e-6},
    "count": {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "ratio": {"": 1.0, "%": 0.01},
}

_PATTERN: Final = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµ%]*[2²]?)\s*")


def parse_quantity(text: str | float, dimension: str, *, where: str = "") -> float:
    """A number in the base unit of its dimension.

    Args:
        text: A number (already in the base unit) or a string with an optional unit.
        dimension: A key of `UNITS`.
        where: File, line and field, for the message.

    Raises:
        InputError: Not a finite number, or a unit of another dimension.
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise InputError(f"{text!r} is not a quantity in {dimension}", where=where)
    if isinstance(text, int | float):
        return _finite(float(text), text, where)
    units = UNITS[dimension]
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise InputError(
            f"{text!r} is not a number with a unit", where=where, allowed=[f"12 {u}".strip() for u in units]
        )
    number, unit = match.groups()
    if unit and unit not in units:
        raise InputError(
            f"{text!r} has the unit {unit!r}, which is none of {dimension}",
            where=where,
            allowed=[u for u in units if u],
            given=unit,
        )
    return _finite(float(number) * (units[unit] if unit else 1.0), text, where)


def _finite(value: float, text: object, where: str) -> float:
    if not math.isfinite(value):
        raise InputError(f"{text!r} is not a finite number", where=where)
    return value


def format_bytes(value: float) -> str:
    """``12.3 KiB``; bytes below 1 KiB are whole."""
    if abs(value) < 1024:
        return f"{value:.0f} B"
    for unit in ("KiB", "MiB"):
        value /= 1024
        if abs(value) < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GiB"


def format_si(value: float, unit: str) -> str:
    """Three significant digits with an SI prefix: ``4.21 ms``, ``52.3 µJ``."""
    if value == 0 or value != value:
        return f"{value:g} {unit}"
    for prefix, factor in (
        ("G", 1e9),
        ("M", 1e6),
        ("k", 1e3),
        ("", 1.0),
        ("m", 1e-3),
        ("µ", 1e-6),
        ("n", 1e-9),
    ):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value / 1e-12:.3g} p{unit}"
