"""Looking at a data set before a search: its kind, its shape, its classes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from hannah_hw.scoring.data import load_data
from hannah_hw.scoring.dataset import Dataset
from hannah_hw.scoring.findings import TYPICAL_ERROR, findings, imbalance
from hannah_hw.scoring.intervals import share_interval
from hannah_hw.sources import Source


def describe_data(source: str | Path | Mapping[str, Any] | Source, *, seed: int = 0) -> dict[str, Any]:
    """A data set as a document for people, and for what writes a configuration for them.

    Args:
        source: What `hannah_hw.scoring.load_data` takes.
        seed: Seed of the split.

    Returns:
        Ready for JSON. ``kind``: ``images`` (a sample is channels, height, width) or ``series`` (channels, length);
        ``content``: what a sample is in words; ``input_shape`` and its ``axes``; ``samples``: their number by part;
        ``classes``: name and number of samples by part of each; ``imbalance``: how many times the largest training
        class is as large as the smallest; ``commonest_error``: the validation error of always answering the largest;
        ``error_interval``: the 95 % interval of a validation error of 10 %; ``reading``: how the source was read;
        ``problems`` and ``suggestions``, one of each a finding.

    Raises:
        DataError: It cannot be found or used, and why.
        MissingExtraError: A package that reads it is not installed.
    """
    data = load_data(source, seed=seed)
    counts = data.counts()
    found = findings(data)
    content, axes = _content(data)
    commonest = int(np.argmax(counts["train"]))
    low, high = share_interval(TYPICAL_ERROR, len(data.y_val))
    return {
        "source": _plain(source),
        "name": data.name,
        "kind": "images" if len(data.input_shape) == 3 else "series",
        "content": content,
        "input_shape": list(data.input_shape),
        "axes": list(axes),
        "samples": {part: sum(numbers) for part, numbers in counts.items()},
        "classes": [
            {"name": name, **{part: numbers[i] for part, numbers in counts.items()}}
            for i, name in enumerate(data.names)
        ],
        "imbalance": imbalance(data),
        "commonest_error": float(np.mean(data.y_val != commonest)),
        "error_interval": {"error": TYPICAL_ERROR, "low": low, "high": high, "samples": len(data.y_val)},
        "normalisation": {"scale": data.scale, "mean": list(data.mean), "std": list(data.std)},
        "reading": dict(data.reading),
        "sha256": data.sha256,
        "seed": seed,
        "problems": [finding.problem for finding in found],
        "suggestions": [finding.suggestion for finding in found],
    }


def _content(data: Dataset) -> tuple[str, tuple[str, ...]]:
    """What a sample is, and what its axes are."""
    image = len(data.input_shape) == 3
    if data.reading.get("format") == "audio":
        return "recordings as spectrograms", (
            ("channels", "frames", "mel bands") if image else ("mel bands", "frames")
        )
    return ("images", ("channels", "height", "width")) if image else ("series", ("channels", "length"))


def _plain(source: str | Path | Mapping[str, Any] | Source) -> str | dict[str, Any]:
    """A source as JSON has it."""
    if isinstance(source, BaseModel):
        return source.model_dump(mode="json")
    return dict(source) if isinstance(source, Mapping) else str(source)
