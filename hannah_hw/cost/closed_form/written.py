"""Closed forms that a target's file writes out: formulas over the columns of a layer and the figures of the target."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form.machine import Counts, FloatArray, Machine
from hannah_hw.errors import TargetError
from hannah_hw.targets.formulas import Formula
from hannah_hw.targets.legality import Predicate
from hannah_hw.targets.models.closed_form import ClosedFormModel, LayerFormulas
from hannah_hw.workload.table import KERNEL_COLUMNS

_NO_FORMULA: Final = "{kind}: the target has no formula for this layer"
_NO_NUMBER: Final = "{kind}: the formula {text!r} gives no number of at least 0"


def constants(machine: Machine) -> dict[str, float]:
    """Figures of a target that formulas may read, by name; NaN of one that is not known."""
    figures: dict[str, float] = {"mac_pj": machine.mac_pj, **machine.dims, **machine.settings}
    for level in (*machine.near.values(), *machine.far.values()):
        figures |= {
            f"{level.name}_bytes": level.capacity,
            f"{level.name}_read_bits": level.read_bits,
            f"{level.name}_write_bits": level.write_bits,
            f"{level.name}_read_pj": level.read_pj,
            f"{level.name}_write_pj": level.write_pj,
        }
    return figures


class _Compiler:
    """Compiles the texts of a file, and names the field of one that is wrong."""

    def __init__(self, name: str, figures: Mapping[str, float]) -> None:
        self._name = name
        self._figures = figures

    def formula(self, text: str, known: Collection[str], field: str) -> Formula:
        where = f"{self._name}: model.{field}"
        try:
            formula = Formula.parse(text, known)
        except TargetError as failure:
            raise TargetError(
                failure.message, where=where, allowed=failure.allowed, given=failure.given
            ) from failure
        for name in formula.names:
            if np.isnan(self._figures.get(name, 0.0)):
                raise TargetError(
                    f"the formula {text!r} reads {name!r}, of which the target says nothing", where=where
                )
        return formula

    def sums(self, parts: Mapping[str, str], known: Collection[str], field: str) -> dict[str, Formula]:
        return {name: self.formula(text, known, f"{field}.{name}") for name, text in parts.items()}

    def steps(self, texts: Mapping[str, str], known: Collection[str], field: str) -> dict[str, Formula]:
        """Formulas each of which may read those before it."""
        compiled: dict[str, Formula] = {}
        for name, text in texts.items():
            compiled[name] = self.formula(text, [*known, *compiled], f"{field}.{name}")
        return compiled


@dataclass(frozen=True)
class _Entry:
    """The compiled formulas of some kinds."""

    kinds: tuple[str, ...]
    when: tuple[Predicate, ...]
    let: Mapping[str, Formula]
    cycles: Mapping[str, Formula]
    energy: Mapping[str, Formula] | None

    @classmethod
    def of(cls, given: LayerFormulas, known: Collection[str], compiler: _Compiler, field: str) -> _Entry:
        let = compiler.steps(given.let, known, f"{field}.let")
        names = [*known, *let]
        energy = given.energy_parts
        return cls(
            kinds=given.kinds,
            when=tuple(Predicate.parse(text) for text in given.when),
            let=let,
            cycles=compiler.sums(given.cycle_parts, names, f"{field}.cycles"),
            energy=None if energy is None else compiler.sums(energy, names, f"{field}.energy_pj"),
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
        model: What the file says.
        machine: The target.

    Raises:
        TargetError: A formula reads a name that there is not, or a figure that is not known.
    """

    def __init__(self, model: ClosedFormModel, machine: Machine) -> None:
        self._figures = constants(machine)
        compiler = _Compiler(machine.name, self._figures)
        known = [*KERNEL_COLUMNS, *self._figures]
        self._let = compiler.steps(model.let, known, "let")
        known += self._let
        self._entries = [
            _Entry.of(given, known, compiler, f"layers[{i}]") for i, given in enumerate(model.layers)
        ]

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
        self.failed = np.full(len(layers), -1, np.int16)
        self.rules: list[str] = []

    def add(self, which: NDArray[np.int64], message: str, text: str = "") -> None:
        new = which[self.failed[which] < 0]
        for kind in dict.fromkeys(self._layers.kind(int(i)) for i in new):
            of_kind = new[self._layers.at(new).is_kind(kind)]
            self.failed[of_kind] = len(self.rules)
            self.rules.append(message.format(kind=kind, text=text))
