"""Layers that the array does not run: on the vector unit, or on a processor beside the accelerator.

Vector unit. A lane finishes one operation a cycle and writes at most one value; values come from and go to the memory
that they lie in, the on-chip one or the outermost one, while it computes: cycles = max(operations / lanes, values
written / lanes, bits through each port / its width). Energy = operations x energy of an operation + accesses.

Processor. Cycles = multiply-accumulates x cycles of one + values read and written x cycles of one, or only the latter
for anything else, counted at its own clock and told in cycles of the accelerator, which waits. Energy = its power x
that time + accesses of the outermost memory, where all its data lie: handing them over is the traffic that its
neighbours pay there, and its own loads and stores are part of the cycles of a value.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import MAC_KINDS, LayerCosts, Layers
from hannah_hw.cost.accelerators.moved import Moved, operations
from hannah_hw.cost.accelerators.residence import residence
from hannah_hw.cost.accelerators.streams import Stream, stream
from hannah_hw.errors import TargetError
from hannah_hw.targets.accelerator import Accelerator

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_PICO: Final = 1e-12


def price_vector(layers: Layers, target: Accelerator) -> LayerCosts:
    """Price layers on the vector unit.

    Raises:
        TargetError: The target has none.
    """
    unit = target.vector
    if unit is None:
        raise TargetError(f"{target.name} has no vector unit", where="vector")
    moved, work = Moved.of(layers), operations(layers)
    lanes = unit.lanes.value
    computing = np.ceil(np.maximum(work, moved.outputs) / lanes)
    traffic = _Traffic(layers, target, moved)
    cycles = np.maximum(computing, traffic.cycles())
    each = float("nan") if unit.op_pj is None else unit.op_pj.value
    parts = {"vector": np.where(work > 0, work * each, 0.0), **traffic.energy_parts()}
    return _costs(cycles, {"compute": computing, "stall": cycles - computing}, parts)


def price_processor(layers: Layers, target: Accelerator) -> LayerCosts:
    """Price layers on the processor beside the accelerator.

    Raises:
        TargetError: The target has none.
    """
    cpu = target.cpu_fallback
    if cpu is None:
        raise TargetError(f"{target.name} has no section cpu_fallback", where="cpu_fallback")
    moved = Moved.of(layers)
    values = (moved.inputs + moved.outputs) * cpu.cycles_per_value.value
    multiplied = np.where(layers.is_kind(*MAC_KINDS), layers["macs"] * cpu.cycles_per_mac.value, 0.0)
    own = np.ceil(multiplied + values)
    clock = cpu.clock_hz or target.clock_hz
    power = float("nan") if cpu.active_w is None else cpu.active_w.value
    away = Layers(
        layers.kinds, {**layers.columns, **dict.fromkeys(_ON_CHIP, np.zeros(len(layers), np.int64))}
    )
    parts = {"cpu": own / clock * power / _PICO, **_Traffic(away, target, moved).energy_parts()}
    cycles = own * (target.clock_hz / clock)
    return _costs(cycles, {"cpu": cycles}, parts)


_ON_CHIP: Final = ("input_on_chip", "output_on_chip", "weights_on_chip")


def _costs(
    cycles: FloatArray, cycle_parts: dict[str, FloatArray], parts: dict[str, FloatArray]
) -> LayerCosts:
    total = np.zeros(len(cycles))
    for part in parts.values():
        total = total + part
    failed = np.full(len(cycles), -1, np.int32)
    return LayerCosts(cycles, total, failed, cycle_parts=cycle_parts, energy_parts=parts)


class _Traffic:
    """What layers move through which memories.

    Args:
        layers: M layers.
        target: The target.
        moved: What they move.
    """

    def __init__(self, layers: Layers, target: Accelerator, moved: Moved) -> None:
        where = residence(target)
        self._described = bool(target.memories)
        #: Label of an energy part, the stream, and (M,) bits through it.
        self._streams: list[tuple[str, Stream, FloatArray]] = []
        #: (M,) whether something moves that the description of the memories does not cover.
        self._unknown: BoolArray = np.zeros(len(layers), np.bool_)
        for operand, flag, bits, near, direction in (
            ("I", "input_on_chip", moved.input_bits, where.activations, "read"),
            ("W", "weights_on_chip", moved.weight_bits, where.weights, "read"),
            ("O", "output_on_chip", moved.output_bits, where.activations, "write"),
        ):
            inside = (layers[flag] > 0) & (near is not None)
            for here, name in ((inside, near), (~inside, None)):
                through = np.where(here, bits, 0.0)
                if not through.any():
                    continue
                found = stream(target, name, operand, direction)  # type: ignore[arg-type]
                if found is None:
                    self._unknown |= through > 0
                else:
                    self._streams.append((f"{found.memory} {operand}", found, through))

    def cycles(self) -> FloatArray:
        """(M,) cycles of the busiest port; 0 where no memory is described."""
        ports: dict[str, FloatArray] = {}
        for _, found, bits in self._streams:
            ports[found.port] = ports.get(found.port, 0.0) + found.cycles(bits)
        busiest = np.zeros(len(self._unknown))
        for taken in ports.values():
            busiest = np.maximum(busiest, taken)
        return busiest

    def energy_parts(self) -> dict[str, FloatArray]:
        """Memory and operand -> (M,) picojoules; NaN where a figure is not known."""
        parts: dict[str, FloatArray] = {}
        for label, found, bits in self._streams:
            parts[label] = parts.get(label, 0.0) + found.energy_pj(bits)
        if self._unknown.any():
            parts["memories"] = np.where(self._unknown, np.nan, 0.0)
        return parts
