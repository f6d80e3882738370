"""Codes: parameters in a row that say the same thing about one layer after another.

A space knows them by their ids, ``layer.doublechannel.0``, ``layer.doublechannel.1``, ...: as a list or a ``code`` of a
YAML space names its entries. Vega's evolutionary searches vary a code as a whole, by segments or by moving its ones.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.search.protocols import BoolArray, Encoding, FloatArray, IntArray


def find_codes(encoding: Encoding) -> list[IntArray]:
    """Columns of each code, in the order of its entries.

    Columns belong to one code if their ids differ in the number at the end alone and they have equally many levels.
    A column without such neighbours is no code; neither are continuous ones.
    """
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for column, (name, levels) in enumerate(zip(encoding.ids, encoding.levels, strict=True)):
        stem, _, entry = name.rpartition(".")
        if stem and entry.isdigit() and levels > 1:
            found.setdefault((stem, int(levels)), []).append((int(entry), column))
    return [np.array([c for _, c in sorted(code)], np.int64) for code in found.values() if len(code) > 1]


def move_ones(codes: FloatArray, reach: int, rng: np.random.Generator) -> FloatArray:
    """Binary codes with as many ones as before, elsewhere.

    A one is put in at a random place and a random one is taken out, which moves what lies between by one place; then
    a random zero changes places with an entry at most `reach` away.

    Args:
        codes: (P, L) zeros and ones.
        reach: At least 1.
        rng: Source of randomness.

    Returns:
        (P, L); some may be what they were.
    """
    count, length = codes.shape
    place = np.arange(length + 1)
    inserted = rng.integers(length + 1, size=(count, 1))
    source = np.minimum(place - (place > inserted), length - 1)
    longer = np.where(place == inserted, 1.0, np.take_along_axis(codes, source, axis=1))
    removed = _random_place(longer == 1, rng)
    place = np.arange(length)
    moved: FloatArray = np.take_along_axis(longer, place + (place >= removed[:, None]), axis=1)
    zero = _random_place(moved == 0, rng)
    steps = rng.integers(1, max(reach, 1) + 1, size=count) * rng.choice([-1, 1], size=count)
    other = np.clip(zero + steps, 0, length - 1)
    rows = np.flatnonzero((moved == 0).any(axis=1))
    moved[rows, zero[rows]] = moved[rows, other[rows]]
    moved[rows, other[rows]] = 0.0
    return moved


def _random_place(allowed: BoolArray, rng: np.random.Generator) -> IntArray:
    """(P,) a random True of each row; anything where there is none."""
    place: IntArray = np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1)
    return place


def random_segments(count: int, length: int, rng: np.random.Generator) -> BoolArray:
    """(P, L) one run of at least one entry in each row, its ends drawn uniformly."""
    ends = np.sort(rng.integers(length, size=(count, 2)), axis=1)
    place = np.arange(length)
    inside: BoolArray = (place >= ends[:, :1]) & (place <= ends[:, 1:])
    return inside


def resample(rows: FloatArray, levels: IntArray, rng: np.random.Generator) -> FloatArray:
    """(P, L) other levels than those of `rows`, uniformly; a column of one level keeps it.

    Args:
        rows: (P, L) level indices.
        levels: (L,) number of levels of each column.
        rng: Source of randomness.
    """
    step = 1 + np.floor(rng.random(rows.shape) * np.maximum(levels - 1, 0))
    other: FloatArray = np.mod(rows + step, levels)
    return other
