"""Operations one after the other: what each takes once that before it is known.

The first copy of an operation's weights runs under the end of the operation before it, its slack. How long that end is
depends in turn on the slack of that operation, and so on to the first one, which has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.cost.block.book import book_of, keys_of
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.model import Prepared, price_operations
from hannah_hw.cost.block.npu import EthosU
from hannah_hw.cost.block.operations import BoolArray, IntArray, Operations

#: Odd; what slack counts for in a key.
_SLACK_FACTOR: Final = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True)
class Run:
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
    def of(cls, owner: IntArray, count: int, which: IntArray, candidates: IntArray) -> Run:
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
class Settled:
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


def settle(operations: Operations, npu: EthosU, encoding: Encoding, run: Run) -> Settled:
    """Price operations after the slack that the operations before them leave.

    All are priced at once, each as if the one before ran by itself, and then again those whose slack was another. The
    n-th operation of a candidate is right after n rounds at the latest, because it depends on those before it alone, so
    there are at most as many rounds as a candidate has operations.

    Args:
        operations: Distinct operations.
        npu: The processor.
        encoding: Assumed compression of weights.
        run: Which of them each candidate runs.
    """
    book, keys = book_of(npu, encoding), keys_of(operations)
    mine = keys[run.operation] + run.first.astype(np.uint64)

    def prepared(places: IntArray) -> Prepared:
        return book.prepared(operations.at(places), keys[places])

    def priced(places: IntArray, slack: IntArray) -> IntArray:
        """Rows of operations of the run (n,), each after some slack (n,)."""

        def compute(new: IntArray) -> IntArray:
            chosen = places[new]
            found = price_operations(prepared(run.operation[chosen]), slack[new], run.first[chosen])
            plan, repeats = found.plan, found.operations["repeats"]
            return np.stack(
                [
                    plan.last_slice,
                    found.total * repeats,
                    plan.bytes * repeats,
                    plan.buffer_bytes,
                    plan.early_bytes,
                    plan.late_bytes,
                ],
                axis=1,
            )

        return book.after.find(mine[places] + slack.astype(np.uint64) * _SLACK_FACTOR, compute)

    alone = book.alone.find(keys, lambda new: prepared(new).alone[:, None])[:, 0]
    slack = run.before(alone[run.operation])
    rows = priced(np.arange(len(mine)), slack)
    while True:
        left = run.before(rows[:, 0])
        changed = np.flatnonzero(left != slack)
        if not len(changed):
            return Settled(*rows[:, 1:].T)
        slack = left
        rows[changed] = priced(changed, slack[changed])
