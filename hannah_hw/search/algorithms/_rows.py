"""Rows of an encoding as such: what makes two of them equal, joining them, and all rows of a small space."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import TypeAlias

import numpy as np

from hannah_hw.search.protocols import Encoding, FloatArray

#: (P, D) rows and their (P,) violation of what is known.
Scored: TypeAlias = tuple[FloatArray, FloatArray]


def row_keys(rows: FloatArray) -> list[bytes]:
    """One hashable key a row; equal rows have equal keys (-0.0 counts as 0.0)."""
    data = np.ascontiguousarray(rows + 0.0)
    width = data.shape[1] * data.itemsize
    raw = data.tobytes()
    return [raw[start : start + width] for start in range(0, len(raw), width)] if width else [raw] * len(data)


def new_places(rows: FloatArray, seen: Container[bytes], besides: FloatArray | None = None) -> list[int]:
    """Where rows are that are neither seen, nor among those besides, nor equal to one before them, in their order."""
    known = set() if besides is None else set(row_keys(besides))
    fresh = []
    for index, key in enumerate(row_keys(rows)):
        if key not in known and key not in seen:
            known.add(key)
            fresh.append(index)
    return fresh


def merged(first: Scored, second: Scored) -> Scored:
    """The first rows, then the second."""
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def count_rows(encoding: Encoding) -> float:
    """Number of combinations of levels, inactive parameters counted as well; inf with a continuous parameter."""
    levels = encoding.levels.astype(float)
    return float(np.prod(levels)) if (levels > 0).all() else float("inf")


def every_row(encoding: Encoding) -> FloatArray:
    """(P, D) all different canonical rows of a space without continuous parameters, in ascending order."""
    levels = tuple(encoding.levels)
    grid = np.indices(levels).reshape(len(levels), math.prod(levels)).T
    return np.unique(encoding.canonical(grid.astype(float)), axis=0)
