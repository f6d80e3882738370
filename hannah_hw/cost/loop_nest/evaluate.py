"""Cycles and energy of orderings.

cycles = temporal loops + stall + on-loading + off-loading + drain. Energy = multiply-accumulates + words over every
link x energy of a word.

Two modes (`spatial` gives the reason in numbers). ``zigzag`` gives what zigzag-dse 3.9.1 gives for the same mapping:
unrolled extents that do not divide are average in energy and capacities and rounded down in latency, and words of a
link are rounded down. ``whole``, the default, rounds partial tiles up everywhere: what a real array moves, and what no
memory overflows with. Where every unrolling divides its loop both give the same cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.allocate import allocate_walk, enter_positions, filled
from hannah_hw.cost.loop_nest.boundaries import Boundaries
from hannah_hw.cost.loop_nest.buffering import loaded_ahead
from hannah_hw.cost.loop_nest.levels import Link
from hannah_hw.cost.loop_nest.loading import Loads, load_of_port, offload, onload
from hannah_hw.cost.loop_nest.occupancy import occupied
from hannah_hw.cost.loop_nest.ports import transfers
from hannah_hw.cost.loop_nest.stalls import stall_of_port
from hannah_hw.cost.loop_nest.tables import Tables
from hannah_hw.cost.loop_nest.walk import Position, Walk


@dataclass(frozen=True)
class Evaluation:
    """B rows.

    Attributes:
        cycles: (B,) clock cycles; infinite where the mapping does not fit.
        energy_pj: (B,) pJ; infinite where it does not fit, NaN where the hierarchy has no figure.
        temporal: (B,) cycles of the temporal loops.
        stall: (B,) cycles in which the array waits.
        onload: (B,) cycles before the first multiply-accumulate.
        offload: (B,) cycles after the last.
        drain: (B,) cycles in which the last results leave a systolic array.
        mac_pj: (B,) pJ of the multiply-accumulates.
        fits: (B,) whether every memory holds what it must.
        positions: (levels, B) loops at or below each level.
        links: Directions of each operand at each memory; empty without detail.
        words: (links, B) words that pass; empty without detail.
        link_pj: (links, B) energy; empty without detail.
    """

    cycles: FloatArray
    energy_pj: FloatArray
    temporal: FloatArray
    stall: FloatArray
    onload: FloatArray
    offload: FloatArray
    drain: FloatArray
    mac_pj: FloatArray
    fits: BoolArray
    positions: NDArray[np.int8]
    links: tuple[Link, ...]
    words: FloatArray
    link_pj: FloatArray

    def __len__(self) -> int:
        return len(self.cycles)


def evaluate(
    tables: Tables,
    cases: IntArray,
    orders: NDArray[np.uint8],
    positions: NDArray[np.integer] | None = None,
    *,
    fill: Mapping[str, float] | None = None,
    chunk: int = 4096,
    detail: bool = False,
) -> Evaluation:
    """Evaluate rows of (case, ordering, allocation).

    Args:
        tables: Tables of the cases.
        cases: (B,) case of each row, best sorted: what holds for all cases of a chunk is not looked at row by row.
        orders: (L, B) kinds of loops, innermost first, filled up with `PAD`.
        positions: (levels, B) loops at or below each level, such as a published mapping has; None: as `allocate` does.
        fill: Memory -> fraction that the allocation may use.
        chunk: Rows handled at a time; 4,000 to 10,000 keep the arrays in the cache.
        detail: Also words and energy of every link.
    """
    rows = len(cases)
    links = tables.shape.links if detail else ()
    columns = np.empty((6, rows))
    fits = np.empty(rows, np.bool_)
    found = np.empty((len(tables.levels), rows), np.int8)
    words = np.empty((len(links), rows))
    capacity = filled(tables, fill)
    for start in range(0, rows, chunk):
        part = slice(start, start + chunk)
        walk = Walk(tables, cases[part], orders[:, part])
        kept: list[Position]
        if positions is None:
            kept, fits[part] = allocate_walk(walk, capacity)
        else:
            kept = walk.given(positions[:, part])
            fits[part] = (occupied(walk, kept) <= capacity[:, walk.cases]).all(axis=0)
        enter_positions(walk, kept, found[:, part])
        _evaluate(walk, kept, columns[:, part], words[:, part] if detail else None)
    cycles, energy, temporal, stall, before, after = columns
    cycles[~fits] = np.inf
    energy[~fits] = np.inf
    costs = np.array([link.word_pj for link in links])
    return Evaluation(
        cycles=cycles,
        energy_pj=energy,
        temporal=temporal,
        stall=stall,
        onload=before,
        offload=after,
        drain=tables.drain[cases],
        mac_pj=tables.mac_pj[cases],
        fits=fits,
        positions=found,
        links=links,
        words=words,
        link_pj=words * costs[:, None],
    )


def _evaluate(walk: Walk, positions: list[Position], columns: FloatArray, words: FloatArray | None) -> None:
    """Fill the columns cycles, energy, temporal, stall, on-loading and off-loading of some rows."""
    tables = walk.tables
    boundaries = Boundaries(walk, positions)
    ahead = loaded_ahead(boundaries)
    uses = [transfers(port, boundaries, ahead) for port in tables.shape.ports]
    stall = np.zeros(walk.rows)
    for port_uses in uses:
        np.maximum(stall, stall_of_port(port_uses, walk.total), out=stall)
    loads: Loads = {}
    for port, port_uses in zip(tables.shape.ports, uses, strict=True):
        load_of_port(port, port_uses, boundaries, walk.total + stall, loads)
    before, after = onload(tables.shape, loads), offload(tables.shape, loads)
    columns[0] = walk.total + stall + before + after + tables.drain[walk.cases]
    columns[1] = _energy(boundaries, words)
    columns[2], columns[3], columns[4], columns[5] = walk.total, stall, before, after


def _energy(boundaries: Boundaries, words: FloatArray | None) -> FloatArray:
    """(B,) pJ; fills (links, B) words where wanted."""
    walk = boundaries.walk
    tables = walk.tables
    energy: FloatArray = tables.mac_pj[walk.cases].copy()
    if words is None and tables.mode == "whole":
        for (operand, boundary), table in tables.crossing_pj.items():
            count = boundaries.at(operand, boundary).count
            energy += table.take(boundaries.index(operand, boundary)) * count
        return energy
    for number, link in enumerate(tables.shape.links):
        index = boundaries.index(link.operand, link.boundary)
        passed = tables.words[number].take(index) * boundaries.at(link.operand, link.boundary).count
        if tables.mode == "zigzag":
            passed = np.floor(passed)
        if words is not None:
            words[number] = passed
        energy += passed * link.word_pj
    return energy
