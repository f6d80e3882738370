"""Executors: candidates as torch modules."""

from hannah_hw.errors import require

require("torch", "train")

from hannah_hw.executors.basic import BasicExecutor, to_torch  # noqa: E402 (after the check that says what is missing)

__all__ = ["BasicExecutor", "to_torch"]
