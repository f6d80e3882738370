"""What latency is explained by: how often a cell runs each operation, and what lies on each path through it.

A device that runs one operation after another takes the sum over all operations; one that runs independent
operations side by side also waits for the longest path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.transfer.cells import Cell, Edge

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class CellFeatures:
    """Features of N cells.

    Args:
        names: (F,) what is counted.
        counts: (N, F) how often.
        operations: (O,) the operations of paths.
        paths: (N, P, O) how often a path from input to output has each operation; cells with fewer paths than P
            have empty ones, which take no time.
    """

    names: tuple[str, ...]
    counts: FloatArray
    operations: tuple[str, ...]
    paths: FloatArray


def describe(cells: Sequence[Cell]) -> CellFeatures:
    """Count the operations of cells and of their paths.

    Where some cell has an operation that the output does not depend on, operations as written and live ones are
    counted apart: whether a device runs the dead ones depends on what converted the network for it.
    """
    operations = sorted({edge.operation for cell in cells for edge in cell.edges})
    column = {operation: at for at, operation in enumerate(operations)}

    def count(edges: Sequence[Edge]) -> list[int]:
        found = Counter(edge.operation for edge in edges)
        return [found[operation] for operation in operations]

    size = len(operations)
    written = np.array([count(cell.edges) for cell in cells], np.float64).reshape(len(cells), size)
    live = np.array([count(cell.live) for cell in cells], np.float64).reshape(len(cells), size)
    names, counts = tuple(operations), live
    if not np.array_equal(written, live):
        names = (*names, *(f"{operation} written" for operation in operations))
        counts = np.concatenate([live, written], axis=1)
    found = [_paths(cell, column) for cell in cells]
    paths = np.zeros((len(cells), max((len(rows) for rows in found), default=0), size))
    for at, rows in enumerate(found):
        paths[at, : len(rows)] = np.reshape(rows, (len(rows), size))
    return CellFeatures(names, counts, tuple(operations), paths)


def _paths(cell: Cell, column: dict[str, int]) -> list[NDArray[np.int64]]:
    """Operation counts of every path from the input to the output."""
    reached: list[list[NDArray[np.int64]]] = [[] for _ in range(cell.nodes)]
    reached[0] = [np.zeros(len(column), np.int64)]
    unit = np.eye(len(column), dtype=np.int64)
    for edge in sorted(cell.live, key=lambda edge: edge.node):
        reached[edge.node] += [path + unit[column[edge.operation]] for path in reached[edge.source]]
    return reached[-1]


def representatives(cells: Sequence[Cell], usable: NDArray[np.bool_] | None = None) -> IntArray:
    """One row of each canonical cell, so that no cell is both sample and test.

    Of several, that with the fewest operations, which has none that is dead; then the first. Cells whose output
    does not depend on their input are left out.

    Args:
        cells: N cells.
        usable: (N,) which rows may be taken; all.

    Returns:
        The rows, ascending.
    """
    best: dict[str, int] = {}
    for row, cell in enumerate(cells):
        if (usable is None or usable[row]) and cell.key:
            other = best.setdefault(cell.key, row)
            if len(cell.edges) < len(cells[other].edges):
                best[cell.key] = row
    return np.array(sorted(best.values()), np.int64)


def duplicates(cells: Sequence[Cell], rows: IntArray) -> list[tuple[int, int]]:
    """Pairs of rows that are the same cell, with nothing dead and as many of each operation, written differently.

    Two latencies of such a pair differ by noise alone. Each cell gives one pair, of its first two rows.
    """
    first: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for row in rows.tolist():
        cell = cells[row]
        if cell.key and len(cell.live) == len(cell.edges):
            first.setdefault((cell.key, tuple(sorted(edge.operation for edge in cell.edges))), []).append(row)
    return [(same[0], same[1]) for same in first.values() if len(same) > 1]
