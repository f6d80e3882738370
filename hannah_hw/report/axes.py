"""The quantities of a run: their keys, units and how a person reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hannah_hw.quantities import format_bytes, format_si

#: Suffix of a metric's key -> unit of its values.
_SUFFIXES: Final = {"_s": "s", "_j": "J", "_bytes": "B", "_hz": "Hz", "_w": "W", "_mm2": "mm²"}

#: Unit -> dimension, as `hannah_hw.quantities` names it.
_DIMENSIONS: Final = {
    "B": "bytes",
    "s": "seconds",
    "J": "joules",
    "W": "watts",
    "Hz": "hertz",
    "%": "ratio",
    "mm²": "square_millimetres",
}

#: The same the other way round.
UNITS: Final = {dimension: unit for unit, dimension in _DIMENSIONS.items()}

#: Labels of the metrics that every search has.
_LABELS: Final = {
    "error": "Error, validation",
    "test_error": "Error, test",
    "float_error": "Error, float32",
    "balanced_error": "Balanced error, validation",
    "test_balanced_error": "Balanced error, test",
    "macro_f1": "Macro F1, validation",
    "test_macro_f1": "Macro F1, test",
    "latency_s": "Latency",
    "energy_j": "Energy",
    "ram_bytes": "RAM",
    "flash_bytes": "Flash",
    "area_mm2": "Area",
    "macs": "MACs",
    "parameters": "Parameters",
    "cycles": "Cycles",
    "share": "Share of the training",
    "inherited": "Inherited weights",
}

#: What the keys of errors after the stages of a training begin with; see `hannah_hw.search.fidelity`.
_STAGE: Final = "error_stage_"


#: The same of metrics that mean something of their own on an accelerator.
_OF_ACCELERATORS: Final = {"ram_bytes": "Activations", "flash_bytes": "Weights"}


@dataclass(frozen=True)
class Axis:
    """One quantity that every candidate may have.

    Attributes:
        key: Its key in a candidate's values, with the unit as in ``latency_s``.
        label: What a person calls it.
        unit: ``s``, ``J``, ``B``, ``Hz``, ``W``, ``mm²``, ``%`` (of values that are fractions) or empty for a count.
    """

    key: str
    label: str
    unit: str

    @property
    def of_training(self) -> bool:
        """Whether it says how a candidate was trained, not what it is worth."""
        return self.key in ("share", "inherited") or self.key.startswith(_STAGE)

    @property
    def dimension(self) -> str:
        """The dimension that values of this axis are written in, a key of `hannah_hw.quantities.UNITS`."""
        return _DIMENSIONS.get(self.unit, "count")

    def format(self, value: float | None) -> str:
        """The value as a person reads it; a dash when there is none."""
        if value is None:
            return "-"
        if self.unit == "B":
            return format_bytes(value)
        if self.unit == "mm²":
            return f"{value:.3g} mm²"
        if self.unit == "%":
            return f"{100 * value:.2f} %"
        if self.unit:
            return format_si(value, self.unit)
        if 0 < abs(value) < 1:
            return f"{value:.3g}"  # a score of 0.97 is no 970 m
        return format_si(value, "").strip()


def axis(key: str, family: str = "") -> Axis:
    """The axis of a metric's key.

    Args:
        key: The key.
        family: Of the target, whose memories have names of their own.
    """
    unit = next((unit for suffix, unit in _SUFFIXES.items() if key.endswith(suffix)), "")
    if (
        key in ("error", "share", "inherited")
        or key.endswith(("_error", "macro_f1"))
        or key.startswith(_STAGE)
    ):
        unit = "%"
    stem = key.replace(_STAGE, "error, stage ")
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    own = _OF_ACCELERATORS if family == "accelerator" else {}
    return Axis(key, own.get(key) or _LABELS.get(key, stem.replace("_", " ").capitalize()), unit)


def metric_key(name: str, keys: Iterable[str]) -> str:
    """The metric that an objective or a constraint speaks of: ``latency`` means ``latency_s``.

    Args:
        name: As the configuration has it.
        keys: The metrics that candidates have; a run that has just begun has none, and its names are those of any.
    """
    keys = list(keys)
    names = (name, *(f"{name}{suffix}" for suffix in _SUFFIXES))
    return next((key for known in (keys, _LABELS) for key in names if key in known), name)
