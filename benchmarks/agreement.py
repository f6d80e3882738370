"""Agreement of figures with a reference, as the comparisons of this folder print it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def agreement(names: Sequence[str], found: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """Relative errors of figures: how many, mean, 95th percentile, largest, and the worst rows.

    Args:
        names: What each figure is of.
        found: The figures.
        reference: What they should be.
    """
    got, want = np.asarray(found, np.float64), np.asarray(reference, np.float64)
    error = got / want - 1
    size = np.abs(error)
    worst = np.argsort(-size, kind="stable")[:5]
    return {
        "rows": len(names),
        "exact": int((got == want).sum()),
        "mean_absolute_error": float(size.mean()),
        "p95_absolute_error": float(np.percentile(size, 95)),
        "max_absolute_error": float(size.max()),
        "mean_error": float(error.mean()),
        "worst": [
            {"row": names[i], "estimated": got[i], "reference": want[i], "error": float(error[i])}
            for i in worst.tolist()
        ],
    }
