"""The best temporal mapping of each of many cases.

Every ordering of a case is tried where there are at most `EXHAUSTIVE`; beyond, orders that keep one operand in place
and random ones start a beam search: all exchanges of two loops of the best orders so far, until none of those is new.
Then the best of them are priced with other allocations. The allocation rule fills memories from the array outwards,
and a tensor that it keeps whole is loaded before the first operation; with half of a memory the tile is smaller and
its loading overlaps with computation. Neither is always better, so both are tried, and less than half of large
memories.

Rows of all cases go through the evaluation together, in batches of a few thousand, so that memory does not grow with
the number of cases. What is found for a case does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import BoolArray, FloatArray, IntArray
from hannah_hw.cost.loop_nest.allocate import allocate
from hannah_hw.cost.loop_nest.beam import BEAM, beam
from hannah_hw.cost.loop_nest.candidates import (
    ROWS,
    Candidates,
    Objective,
    criteria,
    first_best,
    leading,
    together,
)
from hannah_hw.cost.loop_nest.hierarchy import Hierarchy
from hannah_hw.cost.loop_nest.orderings import MOST_LOOPS, Orders, batches, count, enumerated
from hannah_hw.cost.loop_nest.states import PAD
from hannah_hw.cost.loop_nest.tables import Tables
from hannah_hw.errors import InputError, TargetError

#: Fractions of memories that an allocation may fill.
Fill = Mapping[str, float]

#: Most orderings of a case that are all tried: those of seven different loops.
EXHAUSTIVE: Final = 5040

#: Orderings of a case that are tried with other allocations: the best with full memories. On 41 layers of MLPerf Tiny
#: and AlexNet and six architectures all orderings would find 0.05 % fewer cycles in the mean, 1.5 % at most.
_REFILLED: Final = 64

#: Bits of a memory from which smaller parts of it are tried (8 KiB), and those parts. On a ResNet and buffers of 32 to
#: 128 KiB they find 1 to 3 % fewer cycles.
_LARGE_BITS: Final = 8 << 13
_LESS: Final = (0.25, 0.125, 0.0625)

#: Random factors of hashes of allocations.
_MIXER: Final = np.random.default_rng(5).integers(1, 2**62, 64) | 1


@dataclass(frozen=True)
class Found:
    """The best mappings of M cases.

    Attributes:
        orders: (loops, M) orderings.
        positions: (levels, M) loops held at and below each level.
        cycles: (M,), infinite where no mapping fits.
        energy_pj: (M,).
        tried: (M,) mappings that were priced.
    """

    orders: Orders
    positions: NDArray[np.int8]
    cycles: FloatArray
    energy_pj: FloatArray
    tried: IntArray

    @property
    def fits(self) -> BoolArray:
        """(M,) whether any mapping fits."""
        return np.isfinite(self.cycles)


def fills(hierarchy: Hierarchy) -> tuple[Fill, ...]:
    """Allocations that are tried beside full memories.

    Each bounded memory half full, then all of them; then less of those that are large, so that a chip is not slower
    for a buffer that could hold more than a mapping needs.
    """
    outermost = {chain[-1] for chain in hierarchy.chains.values()}
    inner = [
        memory
        for place, memory in enumerate(hierarchy.memories)
        if memory.size_bits is not None and not (place in outermost and len(memory.holds) == 1)
    ]
    names = [memory.name for memory in inner]
    single: list[Fill] = [{name: 0.5} for name in names]
    joint: list[Fill] = [dict.fromkeys(names, 0.5)] if len(names) > 1 else []
    large = [memory.name for memory in inner if (memory.size_bits or 0) >= _LARGE_BITS]
    less: list[Fill] = [{name: fraction} for name in large for fraction in _LESS]
    return (*single, *joint, *less)


def search(
    tables: Tables,
    objective: Objective = "cycles",
    allocations: Sequence[Fill] | None = None,
    *,
    cases: IntArray | None = None,
    exhaustive: int = EXHAUSTIVE,
    seed: int = 0,
) -> Found:
    """The best mapping of every case.

    Equals in the objective are decided by the other figure (cycles by energy, energy and their product by cycles).
    Of equals in both, full memories come first, then the lexicographically first ordering, then the earlier fill.

    Args:
        tables: Tables of M cases.
        objective: What is to be least; ``edp`` is energy x cycles.
        allocations: Fills to try beside full memories; None: those of `fills`.
        cases: Sorted positions of the cases that are wanted; None: all. The others have no mapping then.
        exhaustive: Most orderings of a case that are all tried.
        seed: Of random orders of the other cases.

    Raises:
        InputError: An unknown objective, or more loops than `MOST_LOOPS`.
        TargetError: An objective with energy on a target that does not know it.
    """
    _check(tables, objective)
    found = _nothing(tables)
    loops = len(found.orders)
    number = count(tables.repeats)
    wanted = np.arange(len(tables)) if cases is None else cases
    whole, sampled = wanted[number[wanted] <= exhaustive], wanted[number[wanted] > exhaustive]
    each = np.full(len(sampled), BEAM * loops * loops // 2)
    every = (
        Candidates.priced(tables, *enumerated(tables.repeats, whole[part], loops))
        for part in batches(number[whole], ROWS)
    )
    some = (beam(tables, sampled[part], loops, objective, seed) for part in batches(each, ROWS))
    for rows in (every, some):
        _finish(tables, rows, objective, _tries(tables, allocations), found)
    return found


def best_of(
    tables: Tables,
    cases: IntArray,
    orders: Orders,
    objective: Objective = "cycles",
    allocations: Sequence[Fill] | None = None,
) -> Found:
    """The best of given orderings of every case; see `search`.

    Args:
        tables: Tables of M cases.
        cases: (B,) sorted case of each ordering.
        orders: (loops, B) orderings.
        objective: What is to be least.
        allocations: Fills to try beside full memories; None: those of `fills`.

    Raises:
        InputError: As `search` does.
        TargetError: As `search` does.
    """
    _check(tables, objective)
    found = _nothing(tables)
    if len(cases):
        rows = Candidates.priced(tables, cases, orders)
        _finish(tables, iter([rows]), objective, _tries(tables, allocations), found)
    return found


def _check(tables: Tables, objective: Objective) -> None:
    if objective not in get_args(Objective):
        raise InputError(
            f"{objective!r} is no objective", where="objective", allowed=get_args(Objective), given=objective
        )
    _check_energy(tables.hierarchy, objective)
    loops = int(tables.loops.max(initial=0))
    if loops > MOST_LOOPS:
        raise InputError(f"{loops} loop factors; ask for at most {MOST_LOOPS}", where="factors")


def _nothing(tables: Tables) -> Found:
    total = len(tables)
    return Found(
        orders=np.full((int(tables.loops.max(initial=0)), total), PAD, np.uint8),
        positions=np.zeros((len(tables.levels), total), np.int8),
        cycles=np.full(total, np.inf),
        energy_pj=np.full(total, np.inf),
        tried=np.zeros(total, np.int64),
    )


def _tries(tables: Tables, allocations: Sequence[Fill] | None) -> tuple[Fill, ...]:
    return fills(tables.hierarchy) if allocations is None else tuple(allocations)


def _finish(
    tables: Tables, parts: Iterator[Candidates], objective: Objective, tries: Sequence[Fill], found: Found
) -> None:
    """Try other allocations of the best rows of each case, and enter the best.

    Few rows of a case are left for the other allocations, so that those of several parts go through them together.
    """
    waiting: list[Candidates] = []
    for rows in parts:
        found.tried[:] += np.bincount(rows.cases, minlength=len(tables))
        waiting.append(rows.at(leading(rows, objective, _REFILLED if tries else 1)))
        if sum(len(part.cases) for part in waiting) >= ROWS:
            _enter(tables, together(waiting), objective, tries, found)
            waiting = []
    if waiting:
        _enter(tables, together(waiting), objective, tries, found)


def _enter(
    tables: Tables, rows: Candidates, objective: Objective, tries: Sequence[Fill], found: Found
) -> None:
    """Enter the best of the best rows of some cases, with full memories or others."""
    if tries:
        more = _refilled(tables, rows, tries)
        found.tried[:] += np.bincount(more.cases, minlength=len(tables))
        rows = together([rows, more])
        rows = rows.at(np.argsort(rows.cases, kind="stable"))
    begins = np.flatnonzero(np.diff(rows.cases, prepend=-1))
    cases = rows.cases[begins]
    chosen = first_best(begins, *criteria(objective, rows.cycles, rows.energy_pj))
    found.orders[:, cases] = rows.orders[:, chosen]
    found.positions[:, cases] = rows.positions[:, chosen]
    found.cycles[cases] = rows.cycles[chosen]
    found.energy_pj[cases] = rows.energy_pj[chosen]


def _check_energy(hierarchy: Hierarchy, objective: Objective) -> None:
    known = [hierarchy.array.mac_pj]
    for memory in hierarchy.memories:
        known += [memory.read_pj, memory.write_pj]
    if objective != "cycles" and np.isnan(known).any():
        raise TargetError(
            f"mappings of least {objective} need the energy of every memory and of a multiply-accumulate; "
            "give read_pj, write_pj and mac_pj, or take objective: cycles",
            where=hierarchy.name,
        )


def _refilled(tables: Tables, rows: Candidates, tries: Sequence[Fill]) -> Candidates:
    """The same orderings with other allocations, where these differ from full memories and from each other."""
    which, positions = [np.zeros(0, np.int64)], [rows.positions[:, :0]]
    for fill in tries:
        near = np.flatnonzero(_matters(tables, fill)[rows.cases])
        if len(near):
            other = allocate(tables, rows.cases[near], rows.orders[:, near], fill, chunk=ROWS)
            new = np.flatnonzero(other.fits & (other.positions != rows.positions[:, near]).any(axis=0))
            which.append(near[new])
            positions.append(other.positions[:, new])
    of, kept = np.concatenate(which), np.concatenate(positions, axis=1)
    # Numbers that differ for different allocations of one row, but for one chance in 2^50 or so.
    key = of * _MIXER[-1] + (kept.T.astype(np.int64) * _MIXER[: len(kept)]).sum(axis=1)
    _, first = np.unique(key, return_index=True)
    first.sort()
    first = first[np.argsort(of[first], kind="stable")]
    of = of[first]
    return Candidates.priced(tables, rows.cases[of], rows.orders[:, of], np.ascontiguousarray(kept[:, first]))


def _matters(tables: Tables, fill: Fill) -> BoolArray:
    """(M,) whether a memory that is filled less would be too small for everything it may hold."""
    found = np.zeros(len(tables), np.bool_)
    for name, fraction in fill.items():
        memory = tables.hierarchy.memory(name)
        place = tables.hierarchy.memories.index(memory)
        needed = tables.in_full[place] * (2 if memory.double_buffer else 1)
        found |= needed > fraction * tables.capacity[place]
    return found
