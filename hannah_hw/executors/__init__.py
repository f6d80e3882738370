"""Executors: candidates as torch modules."""

from hannah_hw.errors import require

require("torch", "train")

# After the check that says what is missing.
from hannah_hw.executors.basic import BasicExecutor, to_torch  # noqa: E402
from hannah_hw.executors.differentiable import DifferentiableExecutor  # noqa: E402
from hannah_hw.executors.sharing import WeightSharingExecutor  # noqa: E402

__all__ = ["BasicExecutor", "DifferentiableExecutor", "WeightSharingExecutor", "to_torch"]
