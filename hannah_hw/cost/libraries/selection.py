"""Conditions by which the classes of libraries select convolutions."""

from __future__ import annotations

from hannah_hw.cost.entries import BoolArray, Condition, Entries


def is_depthwise(s: Entries) -> BoolArray:
    """(N,) One filter a channel."""
    groups = s.whole("groups")
    result: BoolArray = (
        (groups > 1) & (groups == s.whole("in_channels")) & (groups == s.whole("out_channels"))
    )
    return result


def is_dense(s: Entries) -> BoolArray:
    """(N,) All channels in one group: the features of the im2col kernels do not describe other convolutions."""
    result: BoolArray = s.whole("groups") == 1
    return result


def is_unpadded(s: Entries) -> BoolArray:
    """(N,) No padding on any side."""
    result: BoolArray = (
        s.whole("pad_top") | s.whole("pad_left") | s.whole("pad_bottom") | s.whole("pad_right")
    ) == 0
    return result


def is_pointwise(s: Entries) -> BoolArray:
    """(N,) A dense 1x1 window without padding, of any stride."""
    result: BoolArray = is_dense(s) & (s.whole("kernel_h") * s.whole("kernel_w") == 1) & is_unpadded(s)
    return result


def is_row(s: Entries) -> BoolArray:
    """(N,) A dense one-dimensional convolution."""
    result: BoolArray = is_dense(s) & (s.whole("in_h") == 1) & (s.whole("kernel_h") == 1)
    return result


def is_depthwise_square(size: int, stride: int) -> Condition:
    """A depthwise convolution of a square window without dilation, of one stride in both directions.

    Args:
        size: Height and width of the window.
        stride: Both strides.
    """

    def selects(s: Entries) -> BoolArray:
        result: BoolArray = is_depthwise(s)
        wanted = (("kernel", size), ("stride", stride), ("dilation", 1))
        for column, value in wanted:
            result = result & (s.whole(f"{column}_h") == value) & (s.whole(f"{column}_w") == value)
        return result

    return selects


def is_global(s: Entries) -> BoolArray:
    """(N,) A window that is the whole image."""
    result: BoolArray = (
        (s.whole("kernel_h") == s.whole("in_h"))
        & (s.whole("kernel_w") == s.whole("in_w"))
        & (s.whole("out_h") * s.whole("out_w") == 1)
        & is_unpadded(s)
    )
    return result
