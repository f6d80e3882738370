"""Layers with their weights, and what is made of several: the building blocks that search spaces share.

Every function takes a node and returns one (`channel_split`: several); sizes may be parameters. They open no scope,
so that the ids are those of the operators: ``Conv2d_0``, ``Conv2d_0.weight``, ``BatchNorm_0.running_mean``.
"""

from hannah_hw.blocks.composed import channel_shuffle, channel_split, multi_head_attention, squeeze_excite
from hannah_hw.blocks.layers import (
    BuildConvolution,
    MakeConvolution,
    batch_norm,
    conv1d,
    conv2d,
    conv_transpose2d,
    convolutions_by,
    layer_norm,
    linear,
    quantize,
)

__all__ = [
    "BuildConvolution",
    "MakeConvolution",
    "batch_norm",
    "channel_shuffle",
    "channel_split",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "convolutions_by",
    "layer_norm",
    "linear",
    "multi_head_attention",
    "quantize",
    "squeeze_excite",
]
