"""Transposed convolutions as convolutions, which is how an array of multipliers runs them without multiplying zeros.

A transposed convolution of stride s writes an output of s x s interleaved grids, each of which is a convolution of
stride 1 over the input pixels with every s-th row and column of the window (Shi et al., "Is the deconvolution layer the
same as a convolutional layer?", arXiv 1609.07009). Together they are one convolution with s x s times the output
channels and a window of ceil(kernel / s); where s does not divide the kernel, some of its weights are zero and are
multiplied all the same.
"""

from __future__ import annotations

import numpy as np

from hannah_hw.cost.accelerators.layers import BoolArray, Layers
from hannah_hw.workload.table import KERNEL_KINDS


def as_convolutions(layers: Layers) -> Layers:
    """The same layers with every transposed convolution, of dilation 1, as the convolution that computes it."""
    transposed = layers.is_kind("conv_transpose")
    if not transposed.any():
        return layers
    phases = layers["stride_w"] * layers["stride_h"]
    changed = {
        "out_channels": layers["out_channels"] * phases,
        "out_w": layers["in_w"],
        "out_h": layers["in_h"],
        "kernel_w": -(-layers["kernel_w"] // layers["stride_w"]),
        "kernel_h": -(-layers["kernel_h"] // layers["stride_h"]),
        "stride_w": np.ones_like(phases),
        "stride_h": np.ones_like(phases),
    }
    columns = {
        name: np.where(transposed, changed[name], column) if name in changed else column
        for name, column in layers.columns.items()
    }
    conv = np.int16(KERNEL_KINDS.index("conv"))
    return Layers(np.where(transposed, conv, layers.kinds), columns)


def dilated(layers: Layers) -> BoolArray:
    """(M,) whether a layer is a transposed convolution with gaps in its window, which `as_convolutions` cannot do."""
    gaps = (layers["dilation_w"] > 1) | (layers["dilation_h"] > 1)
    found: BoolArray = layers.is_kind("conv_transpose") & gaps
    return found
