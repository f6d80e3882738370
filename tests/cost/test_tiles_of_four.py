"""Tiles of four pixels: counts against a walk over the pixels, one tile after the other."""

from __future__ import annotations

import numpy as np
import pytest

from hannah_hw.cost.entries import Entries
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.workload import KERNEL_COLUMNS, Kernels

LIBRARY = LIBRARIES["hannah_dsp_slow_flash"]


def shape(rng: np.random.Generator) -> dict[str, int]:
    """A dense convolution of any window, stride and padding that give a result."""
    columns = {
        **KERNEL_COLUMNS,
        "in_channels": int(rng.integers(1, 9)),
        "out_channels": int(rng.integers(1, 9)),
    }
    for axis, (before, after) in {"h": ("pad_top", "pad_bottom"), "w": ("pad_left", "pad_right")}.items():
        # A 1x1 window would see all pixels as one row.
        window, size = int(rng.integers(1 + (axis == "h"), 5)), int(rng.integers(1, 15))
        stride = int(rng.integers(1, window + 1))
        pads = rng.integers(0, window, 2)
        size = max(size, window - int(pads.sum()))
        columns |= {f"kernel_{axis}": window, f"stride_{axis}": stride, f"in_{axis}": size}
        columns |= {before: int(pads[0]), after: int(pads[1])}
        columns[f"out_{axis}"] = (size + int(pads.sum()) - window) // stride + 1
    return columns


def walk(c: dict[str, int]) -> dict[str, int]:
    """Runs, tiles that are copied as one or window by window: pixel by pixel as the kernel takes them."""
    inside = [
        all(
            0 <= at * c[f"stride_{axis}"] - c[pad] <= c[f"in_{axis}"] - c[f"kernel_{axis}"]
            for axis, at, pad in (("h", row, "pad_top"), ("w", column, "pad_left"))
        )
        for row in range(c["out_h"])
        for column in range(c["out_w"])
    ]
    pixels, width = c["out_h"] * c["out_w"], c["out_w"]
    found = dict.fromkeys(("tiles", "runs", "together", "split", "windows"), 0)
    pixel = 0
    while pixel < pixels:
        left = width - pixel % width
        run = 0
        while run < left and inside[pixel + run]:
            run += 1
        if run >= 4:
            found["runs"] += 1
            found["tiles"] += run // 4
            pixel += run // 4 * 4
            continue
        valid = min(4, pixels - pixel)
        found["tiles"] += 1
        if valid <= left:
            found["together"] += 1
        else:
            found["split"] += 1
            found["windows"] += valid
        pixel += 4
    return found


@pytest.mark.parametrize("seed", range(300))
def test_counts_are_those_of_a_walk(seed: int) -> None:
    columns = shape(np.random.default_rng(seed))
    table = {name: np.full((1, 1), value, np.int64) for name, value in columns.items()}
    kernels = Kernels(("k",), ("conv",), np.ones((1, 1), np.bool_), table)
    expected = walk(columns)
    entry = LIBRARY["conv"]
    found = {name: int(entry.features[name](Entries.of_first(kernels))[0]) for name in expected}
    assert found == expected
