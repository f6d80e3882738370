"""Model kind ``loop_nest``: prices of layers under the best mapping of each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import MAC_KINDS, FloatArray, IntArray, LayerCosts, Layers
from hannah_hw.cost.accelerators.residence import residence
from hannah_hw.cost.loop_nest.description import hierarchy
from hannah_hw.cost.loop_nest.hierarchy import OPERANDS, Hierarchy
from hannah_hw.cost.loop_nest.mapper import Choices, Mappings, best_mappings
from hannah_hw.cost.loop_nest.nests import LoopNests
from hannah_hw.cost.loop_nest.spatial import Mode, wanted
from hannah_hw.cost.loop_nest.transposed import as_convolutions, dilated
from hannah_hw.errors import TargetError
from hannah_hw.targets import Accelerator
from hannah_hw.targets.models.loop_nest import LoopNestModel

#: Parts of the cycles, as `Evaluation` names them.
CYCLE_PARTS: Final = ("temporal", "stall", "onload", "offload", "drain")

_MODES: Final[dict[str, Mode]] = {"whole": "whole", "fractional": "zigzag"}


def cost_layers(layers: Layers, target: Accelerator) -> LayerCosts:
    """Price layers under the mapping of each that is best by the target's objective.

    Args:
        layers: M layers; those of kinds that are no multiply-accumulates cannot run.
        target: Of model kind ``loop_nest``.

    Raises:
        TargetError: A description that no layer can be mapped onto.
    """
    costs = Assembly(layers, target)
    choices = choices_of(target)
    for places, placed in costs.groups():
        nests = LoopNests.of(costs.nests.at(places), placed.partial_bits)
        for some, mappings in best_mappings(placed, nests, choices, costs.reserved(places)):
            costs.enter(places[some], mappings)
    return costs.finished()


@lru_cache(maxsize=64)
def choices_of(target: Accelerator) -> Choices:
    """What mappings of a target may be chosen from.

    Raises:
        TargetError: An unrolling that the array cannot have, or another kind of target.
    """
    model, array = target.model, hierarchy(target).array
    if not isinstance(model, LoopNestModel):
        raise TargetError(
            f"{target.name} has a model of kind {target.kind}, not loop_nest", where=target.name
        )
    given, temporal = target.dataflow.spatial, target.dataflow.temporal
    return Choices(
        spatial="search"
        if given == "search"
        else tuple(
            wanted(array, option, where=f"{target.name} dataflow.spatial[{number}]")
            for number, option in enumerate(given)
        ),
        temporal=None if temporal == "search" else tuple(temporal),
        objective=model.objective,
        factors=model.factors,
        half_full=model.half_full,
        mode=_MODES[model.tiles],
    )


@lru_cache(maxsize=256)
def placed_hierarchy(target: Accelerator, inputs: bool, outputs: bool, weights: bool) -> Hierarchy:
    """The hierarchy of layers of which some operands stay on chip."""
    where = residence(target)
    named = {
        "I": where.activations if inputs else None,
        "O": where.activations if outputs else None,
        "W": where.weights if weights else None,
    }
    ends = {operand: name for operand, name in named.items() if name is not None}
    return hierarchy(target).ending(ends) if ends else hierarchy(target)


class Assembly:
    """Columns of `LayerCosts` that are filled group by group.

    Args:
        layers: M layers.
        target: The target.

    Attributes:
        nests: The layers, transposed convolutions as convolutions.
    """

    def __init__(self, layers: Layers, target: Accelerator) -> None:
        self.nests = as_convolutions(layers)
        self._layers = layers
        self._target = target
        count = len(layers)
        self._cycles, self._energy = np.full((2, count), np.nan)
        self._failed = np.full(count, -1, np.int32)
        self._rules: dict[str, int] = {}
        self._cycle_parts = {name: np.full(count, np.nan) for name in CYCLE_PARTS}
        self._energy_parts: dict[str, FloatArray] = {}
        self._found: dict[int, tuple[Mappings, int]] = {}
        for kind in dict.fromkeys(layers.kinds.tolist()):
            name = layers.kind(int(np.flatnonzero(layers.kinds == kind)[0]))
            if name not in MAC_KINDS:
                self._fail(
                    np.flatnonzero(layers.kinds == kind), f"{name}: no loop nest of multiply-accumulates"
                )
        self._fail(
            np.flatnonzero(dilated(layers)),
            "conv_transpose: a dilated window has no loop nest; dilation must be 1",
        )

    def groups(self) -> Iterator[tuple[IntArray, Hierarchy]]:
        """Positions of layers that can run and whose operands lie in the same memories, and their hierarchy."""
        open_ = np.flatnonzero(self._failed < 0)
        flags = np.stack(
            [
                self._layers[name][open_] != 0
                for name in ("input_on_chip", "output_on_chip", "weights_on_chip")
            ],
            axis=1,
        )
        code = flags @ np.array([4, 2, 1])
        for number in np.unique(code).tolist():
            inputs, outputs, weights = bool(number & 4), bool(number & 2), bool(number & 1)
            yield open_[code == number], placed_hierarchy(self._target, inputs, outputs, weights)

    def reserved(self, places: IntArray) -> dict[str, IntArray]:
        """Memory -> bits of it that other buffers take beside some layers."""
        name = residence(self._target).activations
        taken = self._layers["reserved_bytes"][places]
        return {name: 8 * taken} if name is not None and taken.any() else {}

    def enter(self, places: IntArray, mappings: Mappings) -> None:
        """Enter the costs of some layers."""
        fits = np.array([reason is None for reason in mappings.reasons], np.bool_)
        of_reason: dict[str, list[int]] = {}
        for place, reason in zip(places.tolist(), mappings.reasons, strict=True):
            if reason is not None:
                of_reason.setdefault(reason, []).append(place)
        for reason, same in of_reason.items():
            self._fail(np.array(same, np.int64), f"no mapping: {reason}")
        costs, mine = mappings.costs, places[fits]
        self._cycles[mine], self._energy[mine] = costs.cycles[fits], costs.energy_pj[fits]
        for name, column in self._cycle_parts.items():
            column[mine] = getattr(costs, name)[fits]
        self._add_energy("mac", mine, costs.mac_pj[fits])
        for link, energy in zip(costs.links, costs.link_pj, strict=True):
            memory = mappings.hierarchy.memories[link.memory].name
            self._add_energy(f"{memory} {OPERANDS[link.operand]}", mine, energy[fits])
        for number in np.flatnonzero(fits).tolist():
            self._found[int(places[number])] = (mappings, number)

    def finished(self) -> LayerCosts:
        """The columns."""
        units = hierarchy(self._target).array.units
        macs = self._layers.loops().astype(np.float64).prod(axis=1)
        parts = {
            ("compute" if name == "temporal" else name): column for name, column in self._cycle_parts.items()
        }
        return LayerCosts(
            cycles=self._cycles,
            energy_pj=self._energy,
            failed=self._failed,
            rules=tuple(self._rules),
            cycle_parts=parts,
            energy_parts=self._energy_parts,
            utilisation=macs / (self._cycles * units),
            detail=self._detail,
        )

    def _fail(self, places: NDArray[Any], rule: str) -> None:
        if len(places):
            self._failed[places] = self._rules.setdefault(rule, len(self._rules))

    def _add_energy(self, part: str, places: IntArray, energy: FloatArray) -> None:
        column = self._energy_parts.setdefault(part, np.zeros(len(self._layers)))
        column[places] += energy

    def _detail(self, layer: int) -> dict[str, Any]:
        if layer not in self._found:
            return {}
        mappings, number = self._found[layer]
        mapping = mappings.mapping(number)
        return {
            "mapping": mapping.to_dict(),
            "loops": mapping.text(),
            "mappings_tried": int(mappings.tried[number]),
        }
