"""What layers move between memories, how long that takes and what energy it needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.accelerators.moved import Moved
from hannah_hw.cost.closed_form.gemm import IntArray
from hannah_hw.cost.closed_form.machine import Counts, Direction, FloatArray, Machine
from hannah_hw.targets.hardware import Operand


def far_traffic(
    layers: Layers, visits: Mapping[Operand, IntArray], machine: Machine
) -> dict[tuple[Operand, Direction], FloatArray]:
    """(M,) bits at the outermost memory of each operand that is not placed on the chip.

    Args:
        layers: M layers.
        visits: Operand -> (M,) times that it passes through the array; a tensor that fits in the memory nearest to
            the array is fetched once all the same.
        machine: The accelerator; an operand with one memory only has none further out.
    """
    moved = Moved.of(layers)
    bits: dict[Operand, FloatArray] = {"I": moved.input_bits, "W": moved.weight_bits, "O": moved.output_bits}
    resident = {
        "I": layers["input_on_chip"],
        "W": layers["weights_on_chip"],
        "O": layers["output_on_chip"],
    }
    traffic: dict[tuple[Operand, Direction], FloatArray] = {}
    for operand in machine.far:
        near = machine.near[operand]
        # What other buffers take of the memory in which activations stay is not free.
        taken = layers["reserved_bytes"] if near.name == machine.on_chip else 0
        fits = bits[operand] <= 8 * (near.capacity - taken)
        times = np.where(fits | (operand == "O"), 1, visits[operand])
        through = np.where(resident[operand] == 1, 0.0, bits[operand] * times)
        traffic[operand, "write" if operand == "O" else "read"] = through
    return traffic


def transfer_cycles(
    far: Mapping[tuple[Operand, Direction], FloatArray], machine: Machine, count: int
) -> FloatArray:
    """(M,) least cycles in which the outermost memories move their bits.

    Args:
        far: Operand and direction -> (M,) bits.
        machine: The accelerator.
        count: M.
    """
    levels = {level.name: level for level in machine.far.values()}
    cycles = np.zeros(count)
    for name, level in levels.items():
        busy = {"read": np.zeros(count), "write": np.zeros(count)}
        for (operand, direction), bits in far.items():
            if machine.far[operand].name == name:
                busy[direction] = busy[direction] + bits
        cycles = np.maximum(cycles, np.ceil(level.cycles(busy["read"], busy["write"])))
    return cycles


def energy_parts(layers: Layers, counts: Counts, machine: Machine) -> dict[str, FloatArray]:
    """Part -> (M,) picojoules of multiply-accumulates and of accesses to the memories.

    What an outermost memory delivers is written to the nearest one, and what it takes was read from there. A part
    whose energy is not known is NaN.

    Args:
        layers: M layers.
        counts: What a form counted.
        machine: The accelerator.
    """
    parts: dict[str, FloatArray] = {"mac": layers["macs"].astype(np.float64) * machine.mac_pj}

    def add(name: str, operand: Operand, energy: FloatArray) -> None:
        part = f"{name} {operand}"
        parts[part] = parts.get(part, np.zeros(len(layers))) + energy

    for (operand, direction), bits in counts.near.items():
        level = machine.near.get(operand)
        if level is not None:
            add(level.name, operand, level.energy(bits, direction))
    for (operand, direction), bits in counts.far.items():
        level, near = machine.far[operand], machine.near[operand]
        add(level.name, operand, level.energy(bits, direction))
        add(near.name, operand, near.energy(bits, "write" if direction == "read" else "read"))
    return parts
