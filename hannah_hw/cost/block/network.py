"""Pricing whole networks on an Ethos-U: operations in the order in which they run, and the memory that they need.

A layer by itself is priced as if the operation before it ran as long as it does; here the operation before it is known,
so the copies of weights that run under it are too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import PLACEMENT_COLUMNS, Layers
from hannah_hw.cost.accelerators.residence import INPUT, OUTPUT, RESERVED, Placement, place, residence
from hannah_hw.cost.block.lowering import LOWERED, lower
from hannah_hw.cost.block.memory import peak, stored
from hannah_hw.cost.block.model import Priced, price_operations, processor
from hannah_hw.cost.block.operations import IntArray
from hannah_hw.cost.block.order import execution_order, reordered
from hannah_hw.cost.block.weights import Encoding
from hannah_hw.targets import Accelerator
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.workload.table import KERNEL_COLUMNS, KERNEL_KINDS, Workload

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class NetworkCosts:
    """What P networks with K kernels take.

    Attributes:
        kernel_cycles: (P, K) cycles, 0 of kernels that are inactive or that the processor has no operation for.
        cycles: (P,) their sum.
        ram_bytes: (P,) peak of the on-chip memory.
        flash_bytes: (P,) encoded weights and scales.
    """

    kernel_cycles: FloatArray
    cycles: FloatArray
    ram_bytes: IntArray
    flash_bytes: IntArray


def price_networks(
    workload: Workload, target: Accelerator, encoding: Encoding | None = None, *, as_listed: bool = False
) -> NetworkCosts:
    """Price networks whose kernels all run on the processor of a target.

    Args:
        workload: P candidates.
        target: A target of the kind ``block``.
        encoding: How well the weights compress, if it is known better than the target's assumption.
        as_listed: Whether kernels run in the order of the workload rather than in that of `execution_order`.

    Raises:
        TargetError: The target is priced in another way.
    """
    npu, assumed = processor(target)
    order = np.arange(len(workload.kernels)) if as_listed else execution_order(workload)
    workload = reordered(workload, order)
    kernels = workload.kernels
    shape = kernels.active.shape
    columns = {name: np.broadcast_to(kernels[name], shape) for name in KERNEL_COLUMNS}
    bits = columns["weights"] * columns["weight_bits"] + 7
    weights = np.where(kernels.active, bits // 8, 0).T
    placement = place(workload, target, weights, np.zeros(shape[::-1], np.bool_))
    where = np.flatnonzero(kernels.active.reshape(-1))
    kinds = np.array(
        [KERNEL_KINDS.index(kind) if kind in KERNEL_KINDS else -1 for kind in kernels.kinds], np.int16
    )
    layers = Layers(
        np.broadcast_to(kinds, shape).reshape(-1)[where],
        {
            **{name: column.reshape(-1)[where] for name, column in columns.items()},
            **_places(placement, target, where),
        },
    )
    means = not isinstance(target.model, BlockModel) or target.model.global_average == "mean"
    operations = lower(layers, npu.spills, means)
    candidate = where[operations["layer"]] // shape[1]
    starts = np.ones(len(operations), np.bool_)
    starts[1:] = candidate[1:] != candidate[:-1]
    priced = price_operations(operations, npu, encoding or assumed, starts)
    place_of = where[operations["layer"]]
    repeats = operations["repeats"]
    cycles = (
        np.bincount(place_of, priced.total * repeats, shape[0] * shape[1]).astype(np.float64).reshape(shape)
    )
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    found = stored(workload)
    counted = placement.buffers if npu.spills else np.ones_like(placement.buffers)
    return NetworkCosts(
        cycles[:, back],
        cycles.sum(axis=1),
        peak(workload, found, counted, _weight_buffers(priced, place_of, candidate, shape)),
        np.bincount(candidate, priced.plan.bytes * repeats, shape[0]).astype(np.int64),
    )


def _weight_buffers(
    priced: Priced, place_of: IntArray, candidate: IntArray, shape: tuple[int, ...]
) -> IntArray:
    """(P, K) most bytes of buffers for weights while a kernel runs.

    First its own; then, while its last slice is computed, that slice's and the first of the operation after it.
    """
    plan = priced.plan
    held = plan.late_bytes.copy()
    if len(held):
        held[:-1] += np.where(candidate[1:] == candidate[:-1], plan.early_bytes[1:], 0)
    held = np.maximum(held, plan.buffer_bytes)
    largest = np.zeros(shape[0] * shape[1], np.int64)
    np.maximum.at(largest, place_of, held)
    return largest.reshape(shape)


def _places(placement: Placement, target: Accelerator, where: IntArray) -> dict[str, IntArray]:
    """Columns that say where the values of active kernels lie."""
    codes = placement.codes.T.reshape(-1)[where].astype(np.int64)
    return {
        **{name: np.full(len(where), default, np.int64) for name, default in PLACEMENT_COLUMNS.items()},
        "input_on_chip": codes // INPUT % 2,
        "output_on_chip": codes // OUTPUT % 2,
        "reserved_bytes": codes // RESERVED * residence(target).granule,
    }


def unpriced(workload: Workload) -> tuple[str, ...]:
    """Kernel kinds of a workload that the processor has no operation for."""
    return tuple(dict.fromkeys(kind for kind in workload.kernels.kinds if kind not in LOWERED))
