"""D and E: NAS-Bench-201 from a table with one row for each of its 15,625 cells.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020. Columns of
the table that are read: ``arch_str`` (the benchmark's notation), ``lat_ms_DEVICE``, ``acc12ep_cifar100_val``
(validation accuracy in per cent after 12 epochs), ``macs_cifar10_calc``, ``params_cifar10_calc``.

Many cells are the same network: an edge without operation, and whatever only such edges reach, is no part of it,
an identity joins two nodes, and sums know no order. Here rows of the same network share the mean of their errors
(they were trained separately) and the least of their latencies, MACs and parameters (some of the others also compute
what nothing uses). Evaluating one of them evaluates all. Cells whose output is not connected to their input are
ruled out by a constraint that is known beforehand; on raspi4 they include all rows below 0.02 ms, where nothing was
left to measure.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from benchmarks.search.columns import Choice, Columns
from benchmarks.search.problems import Formula
from hannah_hw.search.dominance import pareto_mask
from hannah_hw.search.hypervolume import hypervolume
from hannah_hw.search.protocols import FloatArray, IntArray

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES: Final = 6
CELLS: Final = len(OPERATIONS) ** EDGES

#: What a node computes: the sorted terms of its sum; a term is an operation on another such sum.
Terms = tuple[Any, ...]


class NasBench201(Formula):
    """Error after 12 epochs on CIFAR-100 (to be trained) and log latency on a device (free); the front is known.

    Args:
        table: The CSV file, plain or ``.gz``.
        device: As in the column ``lat_ms_DEVICE``.
        name: Letter in tables and file names.

    Raises:
        ValueError: The table has no such column or not every cell.
    """

    free = (1,)
    modes = ("free",)
    #: Errors are shares; the log of latency runs from 0 to 1 over all networks.
    REFERENCE: ClassVar[tuple[float, float]] = (1.0, 1.01)

    def __init__(self, table: Path, device: str = "raspi4", name: str = "D") -> None:
        self.name, self.title = name, f"NAS-Bench-201, {device}"
        self.columns = Columns({f"edge{i}": Choice(OPERATIONS) for i in range(EDGES)})
        self.reference = np.array(self.REFERENCE)
        cells, columns = _read(table, ("acc12ep_cifar100_val", f"lat_ms_{device}", *_SIZES))
        self._network, connected = _networks(cells)
        error = 1 - _of_groups(columns[:, 0], self._network, "mean") / 100
        figures = np.stack(
            [_of_groups(column, self._network, "least") for column in columns[:, 1:].T], axis=1
        )
        latency, sizes = figures[:, 0], np.log10(1 + figures[:, 1:])
        low, high = np.log(latency[connected].min()), np.log(latency[connected].max())
        position = np.clip((np.log(latency) - low) / (high - low), 0, 1)
        self._objectives = np.stack([error, position], axis=1)
        self._excess = np.where(connected, 0.0, 1.0)[:, None]
        self._sizes = (sizes - sizes[connected].mean(axis=0)) / sizes[connected].std(axis=0)
        points = np.unique(self._objectives[connected], axis=0)
        self.front = points[pareto_mask(points)]
        self.best = hypervolume(self.front, self.reference)

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, 2) error and position of the log latency; (P, 1) 1 where the cell is not connected."""
        at = _index(rows)
        return self._objectives[at], self._excess[at]

    def features(self, rows: FloatArray) -> FloatArray:
        """(P, 3) position of the log latency, standardised logs of MACs and of parameters."""
        at = _index(rows)
        return np.concatenate([self._objectives[at, 1:], self._sizes[at]], axis=1)

    def networks(self, rows: FloatArray) -> list[bytes]:
        """Rows that are the same network have one key."""
        return [number.tobytes() for number in self._network[_index(rows)]]


_SIZES: Final = ("macs_cifar10_calc", "params_cifar10_calc")


def terms_of(operations: tuple[str, ...]) -> Terms:
    """What a cell computes, as nested terms of the input ``x``; empty if its output is not connected to it.

    Args:
        operations: Those of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
    """
    nodes: list[Terms] = [("x",)]
    edges = iter(operations)
    for target in range(1, 4):
        terms: list[Any] = []
        for source in range(target):
            operation = next(edges)
            if operation == "skip_connect":
                terms += nodes[source]
            elif operation != "none" and nodes[source]:
                terms.append((operation, nodes[source]))
        nodes.append(tuple(sorted(terms, key=repr)))
    return nodes[-1]


def _networks(cells: list[tuple[str, ...]]) -> tuple[IntArray, FloatArray]:
    """(CELLS,) number of the network that a cell is, and whether it is connected."""
    numbers: dict[Terms, int] = {}
    network, connected = np.zeros(CELLS, np.int64), np.zeros(CELLS, bool)
    for at, operations in enumerate(cells):
        terms = terms_of(operations)
        network[at] = numbers.setdefault(terms, len(numbers))
        connected[at] = bool(terms)
    return network, connected


def _of_groups(values: FloatArray, groups: IntArray, kind: str) -> FloatArray:
    """(CELLS,) mean or least value of the group of each cell."""
    count = groups.max() + 1
    if kind == "mean":
        return (np.bincount(groups, values, count) / np.bincount(groups, minlength=count))[groups]
    least = np.full(count, np.inf)
    np.minimum.at(least, groups, values)
    return least[groups]


def _index(rows: FloatArray) -> IntArray:
    """(P,) place of rows in tables: edge i counts 5^i."""
    return rows.astype(np.int64) @ len(OPERATIONS) ** np.arange(EDGES)


def _read(table: Path, columns: tuple[str, ...]) -> tuple[list[tuple[str, ...]], FloatArray]:
    """Operations of every cell and (CELLS, len(columns)) figures, in the order of `_index`."""
    opened = gzip.open if table.suffix == ".gz" else open
    with opened(table, "rt", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in ("arch_str", *columns) if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{table} has no column {', '.join(missing)}; it has {reader.fieldnames}")
        found: dict[tuple[str, ...], list[float]] = {}
        for row in reader:
            nodes = row["arch_str"].split("|+|")
            edges = tuple(edge.split("~")[0] for node in nodes for edge in node.strip("|").split("|"))
            found[edges] = [float(row[name]) for name in columns]
    grid = np.array(np.unravel_index(np.arange(CELLS), (len(OPERATIONS),) * EDGES, order="F")).T
    cells = [tuple(OPERATIONS[level] for level in levels) for levels in grid.tolist()]
    absent = [cell for cell in cells if cell not in found]
    if absent:
        raise ValueError(f"{table} lacks {len(absent)} of {CELLS} cells, the first {absent[0]}")
    return cells, np.array([found[cell] for cell in cells])
