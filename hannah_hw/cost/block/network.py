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
from hannah_hw.cost.block.book import book_of, keys_of
from hannah_hw.cost.block.columns import BY_TABLE
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.lowering import lower
from hannah_hw.cost.block.memory import TABLES, peak, stored
from hannah_hw.cost.block.model import Prepared, price_operations, processor
from hannah_hw.cost.block.npu import EthosU
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations
from hannah_hw.cost.block.order import execution_order, reordered
from hannah_hw.targets import Accelerator
from hannah_hw.targets.models.block import BlockModel
from hannah_hw.workload.table import ACTIVATIONS, KERNEL_COLUMNS, KERNEL_KINDS, Workload

FloatArray = NDArray[np.float64]

#: Rounds until the slack of operations that follow each other settles; a change of one reaches the next in a round.
_ROUNDS: Final = 8
#: Odd; what slack counts for in a key.
_SLACK_FACTOR: Final = np.uint64(0xD1B54A32D192ED03)
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
    run = _Run.of(operations["layer"], len(distinct), which, where // shape[1])
    place_of, candidate = where[run.layer], run.candidate
    settled = _settled(operations, npu, encoding or assumed, run)
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


@dataclass(frozen=True)
class _Run:
    """The operations of all candidates, one after the other, R of them.

    Attributes:
        operation: (R,) which of the distinct operations.
        layer: (R,) which of the layers.
        candidate: (R,) which of the candidates.
        first: (R,) whether it is the first of its candidate.
    """

    operation: IntArray
    layer: IntArray
    candidate: IntArray
    first: BoolArray

    @classmethod
    def of(cls, owner: IntArray, count: int, which: IntArray, candidates: IntArray) -> _Run:
        """Lay out operations.

        Args:
            owner: (U,) distinct layer of each distinct operation, ascending.
            count: Number of distinct layers.
            which: (N,) distinct layer of each layer.
            candidates: (N,) candidate of each layer.
        """
        sizes = np.bincount(owner, minlength=count)
        begins = np.concatenate([[0], np.cumsum(sizes)])
        lengths = sizes[which]
        layer = np.repeat(np.arange(len(which)), lengths)
        within = np.arange(len(layer)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        candidate = candidates[layer]
        first = np.ones(len(layer), np.bool_)
        first[1:] = candidate[1:] != candidate[:-1]
        return cls(begins[which[layer]] + within, layer, candidate, first)

    def before(self, values: IntArray) -> IntArray:
        """(R,) the value of the operation before, 0 of first ones."""
        shifted = np.zeros_like(values)
        shifted[1:] = values[:-1]
        shifted[self.first] = 0
        return shifted


@dataclass(frozen=True)
class _Settled:
    """What R operations cost after those before them; all (R,).

    Attributes:
        cycles: Of all repetitions.
        bytes: Of encoded weights, of all repetitions.
        buffer_bytes: See `WeightPlan`.
        early_bytes: The same.
        late_bytes: The same.
    """

    cycles: IntArray
    bytes: IntArray
    buffer_bytes: IntArray
    early_bytes: IntArray
    late_bytes: IntArray


def _settled(operations: Operations, npu: EthosU, encoding: Encoding, run: _Run) -> _Settled:
    """Price distinct operations after distinct slacks, until no slack changes any more."""
    book, keys = book_of(npu, encoding), keys_of(operations)

    def prepared(places: IntArray) -> Prepared:
        return book.prepared(operations.at(places), keys[places])

    alone = book.alone.find(keys, lambda new: prepared(new).alone[:, None])[:, 0]
    slack = run.before(alone[run.operation])
    mine = keys[run.operation] + run.first.astype(np.uint64)
    for _ in range(_ROUNDS):
        of, given = run.operation, slack

        def after(new: IntArray, of: IntArray = of, given: IntArray = given) -> IntArray:
            priced = price_operations(prepared(of[new]), given[new], run.first[new])
            plan, repeats = priced.plan, priced.operations["repeats"]
            return np.stack(
                [
                    plan.last_slice,
                    priced.total * repeats,
                    plan.bytes * repeats,
                    plan.buffer_bytes,
                    plan.early_bytes,
                    plan.late_bytes,
                ],
                axis=1,
            )

        rows = book.after.find(mine + slack.astype(np.uint64) * _SLACK_FACTOR, after)
        slack = run.before(rows[:, 0])
        if np.array_equal(given, slack):
            break
    return _Settled(rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5])


def _distinct(layers: Layers) -> tuple[Layers, IntArray]:
    """Distinct layers, and (N,) which of them each layer is."""
    key = layers.kinds.astype(np.uint64)
    factors = np.random.default_rng(0xB10C).integers(0, 2**63, len(layers.columns), np.int64)
    for factor, column in zip(factors, layers.columns.values(), strict=True):
        key = key + column.astype(np.uint64) * np.uint64(2 * int(factor) + 1 & _WORD)
    _, chosen, which = np.unique(key, return_index=True, return_inverse=True)
    return layers.at(chosen), which


def _weight_buffers(settled: _Settled, run: _Run, place_of: IntArray, shape: tuple[int, ...]) -> IntArray:
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
