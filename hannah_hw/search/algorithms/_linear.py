"""Ridge regression that learns row by row, cheap enough to be asked about every offspring.

Recursive least squares with exponential forgetting (Haykin, "Adaptive Filter Theory", chapter on RLS): only the
F x F normal equations are kept, so the cost of a row does not grow with the number of rows seen.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hannah_hw.search.protocols import FloatArray

#: Weight of the penalty on the coefficients, in units of squared features.
PENALTY: Final = 0.3
#: What a row still weighs after one more: about the last 500 rows count.
FORGETTING: Final = 0.998


class LinearModel:
    """Linear models of several outputs of the same features, fitted to a stream of rows.

    Args:
        features: Number of features F.
        outputs: Number of outputs O.

    Attributes:
        seen: Number of rows learnt.
    """

    def __init__(self, features: int, outputs: int) -> None:
        self._ridge = np.r_[1e-6, np.full(features, PENALTY)]
        self._gram: FloatArray = np.diag(self._ridge)
        self._moment: FloatArray = np.zeros((features + 1, outputs))
        self._weights: FloatArray | None = None
        self.seen = 0

    def learn(self, features: FloatArray, outputs: FloatArray) -> None:
        """Take in (P, F) features and their (P, O) finite outputs, oldest first."""
        if not len(features):
            return
        age = np.sqrt(FORGETTING) ** np.arange(len(features) - 1, -1, -1)[:, None]
        inputs = age * np.concatenate([np.ones((len(features), 1)), features], axis=1)
        kept = FORGETTING ** len(features)
        self._gram = kept * self._gram + inputs.T @ inputs
        # The penalty does not fade with the rows.
        self._gram[np.diag_indices_from(self._gram)] += (1.0 - kept) * self._ridge
        self._moment = kept * self._moment + inputs.T @ (age * outputs)
        self._weights = None
        self.seen += len(features)

    def predict(self, features: FloatArray) -> FloatArray:
        """(P, O) expected outputs of (P, F) features."""
        weights = self._weights
        if weights is None:
            weights = self._weights = np.linalg.solve(self._gram, self._moment).astype(float)
        result: FloatArray = features @ weights[1:] + weights[0]
        return result

    def state_dict(self) -> dict[str, Any]:
        """Everything that was learnt, ready for JSON."""
        return {"gram": self._gram.tolist(), "moment": self._moment.tolist(), "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of a model of the same size."""
        self._gram = np.array(state["gram"], float)
        self._moment = np.array(state["moment"], float)
        self.seen = int(state["seen"])
        self._weights = None
