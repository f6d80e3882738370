"""Multiply-accumulates of a layer as products of matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import Layers

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Products:
    """M layers, each as ``groups`` products of a (pixels, inner) with an (inner, filters) matrix.

    Attributes:
        groups: (M,) independent products: groups of a convolution, matrices of a matrix product.
        pixels: (M,) rows of the left matrix, one for each window.
        inner: (M,) values in a window, over the input channels of a group.
        filters: (M,) output channels of a group.
    """

    groups: IntArray
    pixels: IntArray
    inner: IntArray
    filters: IntArray

    @classmethod
    def of(cls, layers: Layers) -> Products:
        """Layers of `hannah_hw.cost.accelerators.layers.MAC_KINDS`.

        A transposed convolution multiplies each of its input pixels by a whole window of weights; its left matrix has
        a row for each input pixel, and every value of the window is a filter of its own.
        """
        groups = np.maximum(layers["groups"], 1)
        window = layers["kernel_h"] * layers["kernel_w"]
        channels, filters = layers["in_channels"] // groups, layers["out_channels"] // groups
        transposed = layers.is_kind("conv_transpose")
        return cls(
            groups=groups,
            pixels=np.where(transposed, layers["in_h"] * layers["in_w"], layers["out_h"] * layers["out_w"]),
            inner=np.where(transposed, channels, channels * window),
            filters=np.where(transposed, filters * window, filters),
        )

    @property
    def macs(self) -> IntArray:
        """(M,) multiply-accumulates."""
        return self.groups * self.pixels * self.inner * self.filters


def ceil_div(value: IntArray, divisor: int | IntArray) -> IntArray:
    """Quotient rounded up."""
    return -(-value // divisor)
