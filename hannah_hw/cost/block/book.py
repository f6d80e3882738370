"""What was computed before, by key: a run prices the same operations again and again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.block.blocks import Blocks, find_blocks
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.model import Prepared
from hannah_hw.cost.block.npu import EthosU
from hannah_hw.cost.block.operations import IntArray, Operations

Keys = NDArray[np.uint64]

#: Rows beyond which a table begins anew.
_MOST_ROWS: Final = 1 << 20


class Table:
    """Rows of whole numbers by key of 64 bits.

    Args:
        width: Numbers of a row.
    """

    def __init__(self, width: int) -> None:
        self._known: tuple[Keys, IntArray] = (np.zeros(0, np.uint64), np.zeros((0, width), np.int64))

    def find(self, keys: Keys, compute: Callable[[IntArray], IntArray]) -> IntArray:
        """(N, width) rows of keys (N,).

        Args:
            keys: The keys.
            compute: Positions of keys without a row, each key once -> their rows.
        """
        known, rows = self._known
        place = np.searchsorted(known, keys)
        there = place < len(known)
        there[there] = known[place[there]] == keys[there]
        if not there.all():
            new, first = np.unique(keys[~there], return_index=True)
            made = compute(np.flatnonzero(~there)[first])
            if len(known) > _MOST_ROWS:
                known, rows = known[:0], rows[:0]
                new, first = np.unique(keys, return_index=True)
                made = compute(first)
            merged = np.concatenate([known, new])
            order = np.argsort(merged)
            known, rows = merged[order], np.concatenate([rows, made])[order]
            self._known = known, rows
            place = np.searchsorted(known, keys)
        found: IntArray = rows[place]
        return found


class Book:
    """What is known of the operations of one processor.

    Args:
        npu: The processor.
        encoding: Assumed compression of weights.
    """

    def __init__(self, npu: EthosU, encoding: Encoding) -> None:
        self.npu, self.encoding = npu, encoding
        self._blocks = Table(9)
        #: Operation -> its cycles.
        self.alone = Table(1)
        #: Operation, slack and whether it is the first -> see `hannah_hw.cost.block.network`.
        self.after = Table(6)

    def prepared(self, operations: Operations, keys: Keys) -> Prepared:
        """Operations with their blocks.

        Args:
            operations: N operations.
            keys: Their keys (N,).
        """

        def search(new: IntArray) -> IntArray:
            blocks = find_blocks(operations.at(new), self.npu)
            flags = (blocks.part_kernel, blocks.wide_accumulators, blocks.found)
            return np.concatenate([blocks.ofm, blocks.ifm, np.stack(flags, axis=1)], axis=1)

        rows = self._blocks.find(keys, search)
        part_kernel, wide, found = (rows[:, column] > 0 for column in (6, 7, 8))
        blocks = Blocks(rows[:, :3], rows[:, 3:6], part_kernel, wide, found)
        return Prepared.of(operations, self.npu, self.encoding, blocks)


@functools.lru_cache(maxsize=32)
def book_of(npu: EthosU, encoding: Encoding) -> Book:
    """The book of a processor and an assumption, for the rest of the run."""
    return Book(npu, encoding)


def keys_of(operations: Operations) -> Keys:
    """(N,) keys of operations: sums of columns times odd factors, modulo 2^64, which layers they are of apart."""
    key = (operations.units.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for factor, (name, column) in zip(_factors(), operations.columns.items(), strict=True):
        if name != "layer":
            key = key + column.astype(np.uint64) * factor
    return key


@functools.cache
def _factors() -> Keys:
    """An odd factor a column."""
    count = len(Operations.of("pool").columns)
    drawn = np.random.default_rng(0xB10C).integers(0, 2**63, count, np.int64).astype(np.uint64)
    factors: Keys = drawn * np.uint64(2) + np.uint64(1)
    return factors
