"""Rows of an encoding as inputs of a model, without knowing what a parameter does.

`Features` show a linear model what a parameter is worth: a category is one 0/1 column a choice; a number is its
position u in [-1/2, 1/2] and 2 u^2, so that the model can bend; a parameter that is inactive contributes nothing, and
whether it is active is a column of its own. `row_features` are for regressions that bend by themselves.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hannah_hw.search.protocols import BoolArray, Encoding, FloatArray, IntArray

#: Random rows that show which parameters can be inactive, and which always are so together.
PROBES: Final = 256


class Features:
    """The map from rows to features of one encoding.

    Args:
        encoding: The parameter space.

    Attributes:
        count: Number of features F.
        binary: (F,) which features are 0 or 1: choices, and whether a parameter is active.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        levels, movable = encoding.levels, encoding.levels != 1
        category = ~encoding.ordered & (levels > 0)
        choices = [(c, level) for c in np.flatnonzero(category & movable) for level in range(levels[c])]
        self._choice_column: IntArray = np.array([column for column, _ in choices], np.int64)
        self._choice_level = np.array([level for _, level in choices], float)
        self._number: IntArray = np.flatnonzero(~category & movable)
        self._top = np.where(levels == 0, 1, np.maximum(levels - 1, 1))[self._number].astype(float)
        active = encoding.active(encoding.sample(PROBES, np.random.default_rng(0)))
        switched = np.flatnonzero(~active.all(axis=0))
        # Parameters that are switched together share one column.
        _, first = np.unique(active[:, switched], axis=1, return_index=True)
        self._switched: IntArray = switched[np.sort(first)]
        widths = (len(choices), 2 * len(self._number), len(self._switched))
        self.count = sum(widths)
        self.binary: BoolArray = np.repeat([True, False, True], widths)

    def __call__(self, rows: FloatArray) -> FloatArray:
        """(P, F) features of (P, D) canonical rows, between -1/2 and 1."""
        chosen = rows[:, self._choice_column] == self._choice_level
        position = rows[:, self._number] / self._top - 0.5
        bent = 2.0 * position * position
        if not len(self._switched):
            return np.concatenate([chosen, position, bent], axis=1)
        active = self._encoding.active(rows)
        chosen &= active[:, self._choice_column]
        alive = active[:, self._number]
        return np.concatenate([chosen, position * alive, bent * alive, active[:, self._switched]], axis=1)


def row_features(encoding: Encoding, rows: FloatArray) -> FloatArray:
    """(P, F) what regressions are given of (P, D) canonical rows.

    A number is its position from 0 to 1, an unordered category one column a level, and where parameters can be
    inactive there is a column that says so; an inactive parameter is 0.
    """
    active = encoding.active(rows)
    top = np.where(encoding.levels > 0, np.maximum(encoding.levels - 1, 1), 1)
    columns = [np.where(active, rows / top, 0.0)]
    for column in np.flatnonzero(~encoding.ordered & (encoding.levels > 2)):
        levels = np.arange(encoding.levels[column])
        columns.append((rows[:, column, None] == levels) & active[:, column, None])
    columns.append(active)
    return np.concatenate(columns, axis=1).astype(float)
