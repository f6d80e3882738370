"""Executors: the networks of a space as torch modules.

A `BasicExecutor` is one candidate. A `WeightSharingExecutor` is any candidate, one at a time, with one set of weights
for all; a `DifferentiableExecutor` is all options of choices at once, mixed by probabilities that are trained. The
last two give a candidate on its own with `extract`. ``state_dict`` has the weights by their ids in the space.
"""

from hannah_hw.errors import require

require("torch", "train")

# After the check that says what is missing.
from hannah_hw.executors.basic import BasicExecutor, to_torch  # noqa: E402
from hannah_hw.executors.differentiable import DifferentiableExecutor  # noqa: E402
from hannah_hw.executors.sharing import WeightSharingExecutor  # noqa: E402

__all__ = ["BasicExecutor", "DifferentiableExecutor", "WeightSharingExecutor", "to_torch"]
