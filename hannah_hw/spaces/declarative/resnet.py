"""Whole residual networks of the declarative form: presets, lists of blocks, and variants with searched positions.

The presets are those of He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from hannah_hw.blocks import linear
from hannah_hw.expressions import Expression, Scalar, Select
from hannah_hw.graph import Node
from hannah_hw.operators import AdaptiveAvgPooling
from hannah_hw.spaces.declarative.checks import entries, expect, levels, position
from hannah_hw.spaces.declarative.definitions import blocks
from hannah_hw.spaces.declarative.problems import current_site
from hannah_hw.spaces.declarative.references import ChoiceRef
from hannah_hw.spaces.declarative.registry import Count, Positive, Ref, Value, Values, block, fail, warn


@dataclass(frozen=True)
class Preset:
    """A network of the paper.

    Attributes:
        block: Type of its blocks.
        stages: Number of blocks of each stage.
    """

    block: str
    stages: tuple[int, ...]


#: Depth -> network.
PRESETS: Final = {
    18: Preset("BasicBlock", (2, 2, 2, 2)),
    34: Preset("BasicBlock", (3, 4, 6, 3)),
    50: Preset("BottleneckBlock", (3, 4, 6, 3)),
    101: Preset("BottleneckBlock", (3, 4, 23, 3)),
}

#: Type of block -> its convolutions, shortcut aside: what a depth counts.
_CONVOLUTIONS: Final = {"BasicBlock": 2, "BottleneckBlock": 3}


@block("ResNet", classes="num_class")
def resnet(
    x: Node,
    *,
    depth: Value[Positive],
    block: Ref | None = None,
    num_reps: Values[Count] | None = None,
    items: dict[str, Values[int]] | None = None,
    init_plane: Value[Positive] = 64,
    out_plane: Positive | None = None,
    num_class: Value[Positive] = 10,
    groups: Value[Positive] = 1,
    base_width: Value[Positive] = 64,
) -> Node:
    """A residual network: stem, blocks, pooling, classifier.

    Args:
        x: (N, C, H, W) data.
        depth: 18, 34, 50 or 101 give ``block`` and ``num_reps``; any other depth is a label of what they give.
        block: The block.
        num_reps: Number of blocks of each stage; with ``items`` the number of all.
        items: Arguments of the blocks; see `hannah_hw.spaces.declarative.layers.repeat`.
        init_plane: Channels of the stem.
        out_plane: The last block's outchannel, checked.
        num_class: Values of the result.
        groups: Passed to the blocks.
        base_width: Passed to the blocks.

    Raises:
        SpaceError: A depth that is no preset without a description (E_DEPTH), or a description that contradicts
            the preset (E_CONFLICT).
    """
    depths = levels(depth, "depth")
    if isinstance(depth, Expression) or depth in PRESETS:
        ref = _preset_block(depth, depths, block)
        reps: Any = _preset_stages(depth, depths, num_reps)
        if items is not None:
            fail("E_CONFLICT", "items", f"is given, but the depth {depth} is a preset with blocks of its own")
    else:
        if block is None or num_reps is None or (items is None and not isinstance(num_reps, list)):
            fail(
                "E_DEPTH",
                "depth",
                f"is {depth}, which is no preset ({', '.join(map(str, PRESETS))}); give block, num_reps and items",
            )
        ref, reps = block, num_reps
        _check_label(depths[0], ref, num_reps)
    x = _nested("InitialBlock", x, init_plane=init_plane)
    x = _nested(
        "BasicLayer", x, block=ref, layer_reps=reps, items=items, groups=groups, base_width=base_width
    )
    planes = x.shape()[1] // ref.fact("expansion")
    expect("E_WIDTH", "out_plane", out_plane, planes, "the last block has outchannel {}")
    return _classified(x, num_class)


@block("ResNetVariant", classes="num_class")
def resnet_variant(
    x: Node,
    *,
    base_depth: int,
    base_channel: Value[Positive],
    doublechannel: Values[Literal[0, 1]],
    downsample: Values[Literal[0, 1]],
    small_input: bool = True,
    num_class: Value[Positive] = 10,
) -> Node:
    """A residual network whose positions of doubled width and halved size are free.

    Args:
        x: (N, C, H, W) data.
        base_depth: 18, 34, 50 or 101: kind and number of the blocks.
        base_channel: Channels of the stem, which the first block doubles or not.
        doublechannel: For each block, 1 if its width is twice that of the block before, else 0.
        downsample: For each block, 1 if its stride is 2, else 0.
        small_input: Whether the stem keeps the size; otherwise it divides it by 4.
        num_class: Values of the result.

    Raises:
        SpaceError: A depth that is no preset (E_DEPTH), or lists of another length than the depth has blocks
            (E_LENGTH).
    """
    if base_depth not in PRESETS:
        fail("E_DEPTH", "base_depth", f"is {base_depth}, which is no preset ({', '.join(map(str, PRESETS))})")
    preset = PRESETS[base_depth]
    count = sum(preset.stages)
    text = f"base_depth {base_depth} has {count} blocks"
    positions = {
        "doublechannel": entries("doublechannel", doublechannel, count, text),
        "downsample": entries("downsample", downsample, count, text),
    }
    x = _nested("SmallInputInitialBlock" if small_input else "InitialBlock", x, init_plane=base_channel)
    x = _nested("VariantLayer", x, block=_library(preset.block), **positions)
    return _classified(x, num_class)


def _library(type: str) -> Ref:
    """A block of the library without any fields."""
    return Ref(blocks()[type], {}, current_site())


def _nested(type: str, x: Node, **fields: Any) -> Node:
    return _library(type)(x, **fields)


def _classified(x: Node, classes: Scalar) -> Node:
    return linear(AdaptiveAvgPooling(1)(x), classes)


def _preset_block(depth: Scalar, depths: list[int], given: Ref | None) -> Ref:
    """The block of a preset; of several presets with different ones, a choice that the depth switches."""
    for level in depths:
        if level not in PRESETS:
            fail("E_DEPTH", "depth", f"can be {level}, which is no preset ({', '.join(map(str, PRESETS))})")
    types = [PRESETS[level].block for level in depths]
    distinct = sorted(set(types))
    if given is not None and distinct != [given.type]:
        fail("E_CONFLICT", "block", f"is {given.type}, but the depth {depth} has {' or '.join(distinct)}")
    if given is not None:
        return given
    options = [_library(type) for type in distinct]
    if len(options) == 1:
        return options[0]
    switch = Select(position(depth, depths), *(distinct.index(type) for type in types))
    return ChoiceRef(options, switch, current_site())


def _preset_stages(depth: Scalar, depths: list[int], given: Any) -> list[Scalar]:
    """The numbers of blocks of a preset's stages."""
    columns = zip(*(PRESETS[level].stages for level in depths), strict=True)
    stages = [Select(position(depth, depths), *column) for column in columns]
    if given is None:
        return stages
    searched = any(isinstance(count, Expression) for count in (given if isinstance(given, list) else [given]))
    if searched or isinstance(depth, Expression):
        fail("E_CONFLICT", "num_reps", "is given, but the depth is a preset that determines it; leave it out")
    if given != stages:
        fail("E_CONFLICT", "num_reps", f"is {given}, but the depth {depth} has {stages}")
    return stages


def _check_label(depth: int, block: Ref, num_reps: Any) -> None:
    """Warn of a depth that is not the number of layers: two, and those of the blocks."""
    convolutions = _CONVOLUTIONS.get(block.type)
    counts = num_reps if isinstance(num_reps, list) else [num_reps]
    if convolutions is None or any(isinstance(count, Expression) for count in counts):
        return
    layers = 2 + convolutions * sum(counts)
    if depth != layers:
        warn("W_DEPTH", f"is {depth}, but the network has {layers} layers", field="depth")
