"""Layers of the declarative form: blocks one after another, with widths and strides that may be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, dynamic_depth
from hannah_hw.spaces.declarative.checks import entries, expect, expect_channels, levels, position
from hannah_hw.spaces.declarative.registry import Count, Positive, Ref, Value, Values, block, fail


def chain(x: Node, ref: Ref, rows: Sequence[Mapping[str, Any]], count: Scalar, field: str) -> Node:
    """Blocks one after another; where their number is searched, a candidate ends after as many as it has.

    Args:
        x: The data.
        ref: The block.
        rows: The arguments of each block; an ``inchannel`` is checked.
        count: How many of the blocks a candidate has.
        field: Field that states the count.
    """
    exits = [x]
    for index, row in enumerate(rows):
        source = f"but block {index - 1} produces {{}}" if index else "but the layer's input has {} channels"
        expect_channels(exits[-1], row.get("inchannel"), f"items.inchannel.{index}", source)
        exits.append(ref(exits[-1], **{name: value for name, value in row.items() if name != "inchannel"}))
    counts = levels(count, field)
    if len(counts) == 1:
        return exits[counts[0]]
    node: Node = dynamic_depth(*(exits[level] for level in counts), switch=position(count, counts))
    return node


@block("Repeat")
def repeat(x: Node, *, num_reps: Value[Count], items: dict[str, Values[int]], ref: Ref) -> Node:
    """A block some times, one after another.

    Args:
        x: The data.
        num_reps: How often. Where it is searched, lists have as many entries as there can be blocks.
        items: Argument of the block -> a list with one value for each, or one for all.
        ref: The block.

    Raises:
        SpaceError: A list of another length (E_LENGTH), or an ``inchannel`` that is not what the block before
            gives (E_CHANNEL).
    """
    for name in items:
        if not ref.accepts(name):
            fail(
                "E_FIELD",
                f"items.{name}",
                f"is no field of {ref.type}",
                allowed=filter(ref.accepts, ref.definition.fields),
                given=name,
            )
    most = levels(num_reps, "num_reps")[-1]
    columns = {name: entries(f"items.{name}", v, most, f"num_reps is {most}") for name, v in items.items()}
    rows = [{name: values[index] for name, values in columns.items()} for index in range(most)]
    return chain(x, ref, rows, num_reps, "num_reps")


@block("BasicLayer")
def basic_layer(
    x: Node,
    *,
    block: Ref,
    layer_reps: Values[Count],
    items: dict[str, Values[int]] | None = None,
    in_plane: Positive | None = None,
    expansion: Positive | None = None,
    base_channel: Value[Positive] = 64,
    groups: Value[Positive] = 1,
    base_width: Value[Positive] = 64,
) -> Node:
    """The stages of a residual network, or blocks with the arguments that ``items`` lists.

    Args:
        x: The data.
        block: The block.
        layer_reps: Number of blocks of each stage; with ``items`` the number of all.
        items: See `repeat`. Without it the blocks of stage i have ``base_channel * 2**i`` outchannel, and the first
            block of every stage but the first has stride 2.
        in_plane: Channels of the data, checked.
        expansion: Channels of a block's result for each of its outchannel, checked.
        base_channel: The outchannel of the first stage.
        groups: Passed to the blocks.
        base_width: Passed to the blocks.
    """
    expect_channels(x, in_plane, "in_plane")
    passed = _passed(groups, base_width)
    if items is not None:
        count = sum(layer_reps, start=0) if isinstance(layer_reps, list) else layer_reps
        return repeat(x, num_reps=count, items={**passed, **items}, ref=block)
    outchannel: Scalar = base_channel
    for stage, count in enumerate(_some("layer_reps", layer_reps)):
        field = f"layer_reps.{stage}"
        strides = [1 if stage == 0 else 2] + [1] * (levels(count, field)[-1] - 1)
        rows = [{"outchannel": outchannel, "stride": stride, **passed} for stride in strides]
        x = chain(x, block, rows, count, field)
        _check_expansion(x, outchannel, expansion)
        outchannel = outchannel * 2
    return x


@block("VariantLayer")
def variant_layer(
    x: Node,
    *,
    block: Ref,
    doublechannel: Values[Literal[0, 1]],
    downsample: Values[Literal[0, 1]],
    in_plane: Positive | None = None,
    out_plane: Positive | None = None,
    expansion: Positive | None = None,
    groups: Value[Positive] = 1,
    base_width: Value[Positive] = 64,
) -> Node:
    """Blocks each of which may double the width and halve the size.

    Args:
        x: The data.
        block: The block.
        doublechannel: For each block, 1 if its outchannel is twice that of the block before, else 0.
        downsample: For each block, 1 if its stride is 2, else 0.
        in_plane: Channels of the data, checked; the outchannel that the first block doubles or not.
        out_plane: Channels of the result, checked.
        expansion: Channels of a block's result for each of its outchannel, checked.
        groups: Passed to the blocks.
        base_width: Passed to the blocks.
    """
    expect_channels(x, in_plane, "in_plane")
    doubles = _some("doublechannel", doublechannel)
    halves = entries("downsample", downsample, len(doubles), f"doublechannel has {len(doubles)}")
    outchannel = x.shape()[1]
    rows: list[dict[str, Any]] = []
    for double, halve in zip(doubles, halves, strict=True):
        outchannel = outchannel * (1 + double)
        rows.append({"outchannel": outchannel, "stride": 1 + halve, **_passed(groups, base_width)})
    x = chain(x, block, rows, len(rows), "doublechannel")
    _check_expansion(x, outchannel, expansion)
    expect("E_WIDTH", "out_plane", out_plane, x.shape()[1], "the layer ends with {} channels")
    return x


def _some(field: str, values: Any) -> list[Any]:
    """The entries of a field: a list that is not empty, or the one value."""
    if not isinstance(values, list):
        return [values]
    if not values:
        fail("E_LENGTH", field, "is empty; give at least one entry")
    return values


def _passed(groups: Scalar, base_width: Scalar) -> dict[str, Any]:
    """Arguments that every block gets, without those that mean nothing, which not every block takes."""
    given = {"groups": (groups, 1), "base_width": (base_width, 64)}
    return {name: value for name, (value, nothing) in given.items() if value is not nothing}


def _check_expansion(x: Node, outchannel: Scalar, expansion: Positive | None) -> None:
    if expansion is not None:
        actual = x.shape()[1] // outchannel
        expect("E_EXPANSION", "expansion", expansion, actual, "the block's expansion is {}")
