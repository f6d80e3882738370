"""Pricing whole networks on an Ethos-U: operations in the order in which they run, and the memory that they need.

A layer by itself is priced as if the operation before it ran as long as it does; here the operation before it is known,
so the copies of weights that run under it are too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import PLACEMENT_COLUMNS, Layers
from hannah_hw.cost.accelerators.residence import INPUT, OUTPUT, RESERVED, Placement, place, residence
from hannah_hw.cost.block.columns import BY_TABLE
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.lowering import lower
from hannah_hw.cost.block.memory import TABLES, peak, stored
from hannah_hw.cost.block.model import processor
from hannah_hw.cost.block.operations import IntArray
from hannah_hw.cost.block.order import execution_order, reordered
from hannah_hw.cost.block.sequence import Run, Settled, settle
from hannah_hw.targets import Accelerator
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.workload.table import ACTIVATIONS, KERNEL_COLUMNS, KERNEL_KINDS, Workload

FloatArray = NDArray[np.float64]

_WORD: Final = 2**64 - 1


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
    columns["activation"] = _with_tables(workload)
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
    distinct, which = _distinct(layers)
    operations = lower(distinct, npu.spills, means)
    run = Run.of(operations["layer"], len(distinct), which, where // shape[1])
    place_of, candidate = where[run.layer], run.candidate
    settled = settle(operations, npu, encoding or assumed, run)
    cycles = np.bincount(place_of, settled.cycles, shape[0] * shape[1]).astype(np.float64).reshape(shape)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    found = stored(workload)
    counted = placement.buffers if npu.spills else np.ones_like(placement.buffers)
    return NetworkCosts(
        cycles[:, back],
        cycles.sum(axis=1),
        peak(workload, found, counted, _weight_buffers(settled, run, place_of, shape)),
        np.bincount(candidate, settled.bytes, shape[0]).astype(np.int64),
    )


def _distinct(layers: Layers) -> tuple[Layers, IntArray]:
    """Distinct layers, and (N,) which of them each layer is."""
    key = layers.kinds.astype(np.uint64)
    factors = np.random.default_rng(0xB10C).integers(0, 2**63, len(layers.columns), np.int64)
    for factor, column in zip(factors, layers.columns.values(), strict=True):
        key = key + column.astype(np.uint64) * np.uint64(2 * int(factor) + 1 & _WORD)
    _, chosen, which = np.unique(key, return_index=True, return_inverse=True)
    return layers.at(chosen), which


def _weight_buffers(settled: Settled, run: Run, place_of: IntArray, shape: tuple[int, ...]) -> IntArray:
    """(P, K) most bytes of buffers for weights while a kernel runs.

    First its own; then, while its last slice is computed, that slice's and the first of the operation after it.
    """
    held = settled.late_bytes.copy()
    held[:-1] += np.where(run.first[1:], 0, settled.early_bytes[1:])
    held = np.maximum(held, settled.buffer_bytes)
    largest = np.zeros(shape[0] * shape[1], np.int64)
    np.maximum.at(largest, place_of, held)
    return largest.reshape(shape)


def _with_tables(workload: Workload) -> IntArray:
    """(P, K) activations; a kernel that only a table reads applies that table."""
    kernels, buffers = workload.kernels, workload.buffers
    activation = np.broadcast_to(kernels["activation"], kernels.active.shape).copy()
    slots = {name: k for k, name in enumerate(kernels.names)}
    for k in [k for k, kind in enumerate(kernels.kinds) if kind in TABLES]:
        for b in np.flatnonzero(workload.reads[k]):
            writer = slots.get(buffers.names[b], k)
            # The buffer dies where the table reads it.
            mine = kernels.active[:, k] & (buffers.bytes[:, b] > 0) & (buffers.last[:, b] == k)
            if writer != k and workload.reads[:, b].sum() <= 1 + workload.reads[writer, b]:
                activation[mine & (activation[:, writer] == ACTIVATIONS.index("none")), writer] = BY_TABLE
    return activation


def _places(placement: Placement, target: Accelerator, where: IntArray) -> dict[str, IntArray]:
    """Columns that say where the values of active kernels lie."""
    codes = placement.codes.T.reshape(-1)[where].astype(np.int64)
    return {
        **{name: np.full(len(where), default, np.int64) for name, default in PLACEMENT_COLUMNS.items()},
        "input_on_chip": codes // INPUT % 2,
        "output_on_chip": codes // OUTPUT % 2,
        "reserved_bytes": codes // RESERVED * residence(target).granule,
    }
