"""Systolic arrays that keep weights, outputs or inputs in place.

A layer is ``groups`` products of a (pixels, inner) with an (inner, filters) matrix, one after the other. An array of R
rows and C columns takes a *fold* of it at a time:

=====================  =========  =========  ==================================  =======
kept in place          rows hold  columns    streamed through in one fold        refilled
=====================  =========  =========  ==================================  =======
weights                inner      filters    2 R + C + pixels - 2 cycles         each fold
outputs                pixels     filters    R + C + inner - 2 cycles            each fold
inputs                 inner      pixels     2 R + C + filters - 2 cycles        each fold
=====================  =========  =========  ==================================  =======

R of the 2 R cycles load what stays; R + C - 2 are the skew with which a wavefront enters and leaves. A layer takes one
cycle less than all its folds, as SCALE-Sim counts from zero: these are the ``Total Cycles`` minus the ``Stall Cycles``
of SCALE-Sim 3.0.0 (Samajdar et al., "A systematic methodology for characterizing scalability of DNN accelerators using
SCALE-Sim", ISPASS 2020), which has no groups; a grouped layer is as many runs of one group.

Stalls are a bound: values that come from or go to the outermost memory take at least their bits over its bandwidth,
all overlapped with the computation. SCALE-Sim's own stalls follow the addresses in its prefetch buffers and can be
more. A tensor that does not fit in the memory nearest to the array is fetched anew for each fold that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form.gemm import IntArray, Products, ceil_div
from hannah_hw.cost.closed_form.machine import Counts, Direction, FloatArray, Machine
from hannah_hw.cost.closed_form.traffic import far_traffic, transfer_cycles
from hannah_hw.targets.hardware import Operand

Stationary = Literal["weights", "outputs", "inputs"]


@dataclass(frozen=True)
class Folds:
    """How M products pass through an array.

    Attributes:
        cycles: (M,) cycles of all groups.
        values: Operand and direction -> (M,) values between the array and its memories, of all groups.
        visits: Operand -> (M,) times that each of its values is fetched.
    """

    cycles: IntArray
    values: dict[tuple[Operand, Direction], IntArray]
    visits: dict[Operand, IntArray]


def folds(products: Products, rows: int, columns: int, stationary: Stationary) -> Folds:
    """Count the folds of layers and what moves in them.

    Args:
        products: M layers.
        rows: Rows of the array.
        columns: Columns of the array.
        stationary: What stays in the array during a fold.
    """
    pixels, inner, filters, groups = products.pixels, products.inner, products.filters, products.groups
    down, across, stream, length = {
        "weights": (inner, filters, pixels, 2 * rows + columns - 2),
        "outputs": (pixels, filters, inner, rows + columns - 2),
        "inputs": (inner, pixels, filters, 2 * rows + columns - 2),
    }[stationary]
    vertical, horizontal = ceil_div(down, rows), ceil_div(across, columns)
    one = np.ones_like(pixels)
    # How often each operand passes: once for each fold along the dimension that it does not have.
    visits: dict[Operand, IntArray] = {
        "I": one if stationary == "inputs" else horizontal,
        "W": {"weights": one, "outputs": vertical, "inputs": horizontal}[stationary],
        "O": one if stationary == "outputs" else vertical,
    }
    inputs, weights, outputs = groups * pixels * inner, groups * inner * filters, groups * pixels * filters
    return Folds(
        cycles=groups * (vertical * horizontal * (length + stream) - 1),
        values={
            ("I", "read"): inputs * visits["I"],
            ("W", "read"): weights * visits["W"],
            ("O", "write"): outputs * visits["O"],
            # A sum that is not complete comes back to be added to.
            ("O", "read"): outputs * (visits["O"] - 1),
        },
        visits=visits,
    )


def _systolic(stationary: Stationary) -> Callable[[Layers, Machine], Counts]:
    def form(layers: Layers, machine: Machine) -> Counts:
        rows, columns = machine.sides()
        found = folds(Products.of(layers), rows, columns, stationary)
        compute = found.cycles.astype(np.float64)
        near = _near(layers, found, machine)
        far = far_traffic(layers, found.visits, machine)
        transfer = transfer_cycles(far, machine, len(layers))
        return Counts(
            cycles={"compute": compute, "stall": np.maximum(transfer - compute, 0.0)},
            near=near,
            far=far,
        )

    form.__doc__ = f"Systolic array that keeps {stationary} in place; see the module."
    return form


weight_stationary: Final = _systolic("weights")
output_stationary: Final = _systolic("outputs")
input_stationary: Final = _systolic("inputs")


def _near(layers: Layers, found: Folds, machine: Machine) -> dict[tuple[Operand, Direction], FloatArray]:
    """Bits between the array and its memories; sums are as wide as partial sums until they are complete."""
    partial = np.full(len(layers), machine.partial_sum_bits)
    widths: dict[tuple[Operand, Direction], IntArray] = {
        ("I", "read"): layers["activation_bits"],
        ("W", "read"): layers["weight_bits"],
        ("O", "write"): np.where(found.visits["O"] > 1, partial, layers["output_bits"]),
        ("O", "read"): partial,
    }
    return {move: np.multiply(found.values[move], bits, dtype=np.float64) for move, bits in widths.items()}
