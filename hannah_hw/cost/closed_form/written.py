"""Closed forms that a target's file writes out: formulas over the columns of a layer and the figures of the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form.machine import Counts, FloatArray
from hannah_hw.targets.accelerator import Accelerator
from hannah_hw.targets.figures import figures
from hannah_hw.targets.formulas import Formula
from hannah_hw.targets.legality import Predicate
from hannah_hw.targets.models.closed_form import ClosedFormModel, LayerFormulas

_NO_FORMULA: Final = "{kind}: the target has no formula for this layer"
_NO_NUMBER: Final = "{kind}: the formula {text!r} gives no number of at least 0"


def _steps(texts: Mapping[str, str]) -> dict[str, Formula]:
    return {name: Formula.parse(text) for name, text in texts.items()}


@dataclass(frozen=True)
class _Entry:
    """The compiled formulas of some kinds."""

    kinds: tuple[str, ...]
    when: tuple[Predicate, ...]
    let: Mapping[str, Formula]
    cycles: Mapping[str, Formula]
    energy: Mapping[str, Formula] | None

    @classmethod
    def of(cls, given: LayerFormulas) -> _Entry:
        energy = given.energy_parts
        return cls(
            kinds=given.kinds,
            when=tuple(Predicate.parse(text) for text in given.when),
            let=_steps(given.let),
            cycles=_steps(given.cycle_parts),
            energy=None if energy is None else _steps(energy),
        )

    def fits(self, layers: Layers) -> NDArray[np.bool_]:
        """(M,) whether the formulas are meant for a layer."""
        fits = layers.is_kind(*self.kinds)
        for condition in self.when:
            fits &= condition(layers.columns)
        return fits


class WrittenForm:
    """The formulas of one target, compiled.

    Args:
        target: The target, whose file was checked when it was read.
        model: Its model.
    """

    def __init__(self, target: Accelerator, model: ClosedFormModel) -> None:
        self._figures = figures(target)
        self._let = _steps(model.let)
        self._entries = [_Entry.of(given) for given in model.layers]

    def __call__(self, layers: Layers) -> Counts:
        """Count layers; one that no entry fits, or whose formula has no value, cannot run."""
        refusals = _Refusals(layers)
        cycles: dict[str, FloatArray] = {}
        energy: dict[str, FloatArray] = {}
        left = np.ones(len(layers), bool)
        for entry in self._entries:
            chosen = np.flatnonzero(left & entry.fits(layers))
            left[chosen] = False
            values: dict[str, Any] = {**self._figures, **layers.at(chosen).columns}
            for name, formula in (*self._let.items(), *entry.let.items()):
                values[name] = formula(values)
            for sums, formulas in ((cycles, entry.cycles), (energy, entry.energy or {})):
                for name, formula in formulas.items():
                    found = np.broadcast_to(formula(values), (len(chosen),))
                    sums.setdefault(name, np.zeros(len(layers)))[chosen] = found
                    wrong = chosen[~(np.isfinite(found) & (found >= 0))]
                    refusals.add(wrong, _NO_NUMBER, formula.text)
            if entry.energy is None:
                energy.setdefault("unknown", np.zeros(len(layers)))[chosen] = np.nan
        refusals.add(np.flatnonzero(left), _NO_FORMULA)
        return Counts(cycles=cycles, energy=energy, failed=refusals.failed, rules=tuple(refusals.rules))


class _Refusals:
    """Layers that cannot run, and why; the first reason of a layer stays."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.failed = np.full(len(layers), -1, np.int32)
        self.rules: list[str] = []

    def add(self, which: NDArray[np.int64], message: str, text: str = "") -> None:
        new = which[self.failed[which] < 0]
        for kind in dict.fromkeys(self._layers.kind(int(i)) for i in new):
            of_kind = new[self._layers.at(new).is_kind(kind)]
            self.failed[of_kind] = len(self.rules)
            self.rules.append(message.format(kind=kind, text=text))
