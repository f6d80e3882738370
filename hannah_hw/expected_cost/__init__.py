"""Expected latency, energy or cycles of a distribution over a space's networks, with gradients."""

from hannah_hw.errors import require

require("torch", "train")

# After the check that says what is missing.
from hannah_hw.expected_cost.expectation import METRICS, ExpectedCost  # noqa: E402

__all__ = ["METRICS", "ExpectedCost"]
