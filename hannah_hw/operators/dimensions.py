"""What operators say of the dimensions of their data: sizes, axes, and the Workload columns that follow."""

from __future__ import annotations

from collections.abc import Iterable

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Shape
from hannah_hw.graph.numbers import required


def product(sizes: Shape) -> Scalar:
    """The product of some sizes; 1 of none."""
    result: Scalar = 1
    for size in sizes:
        result = result * size
    return result


def axis_of(axis: int, shape: Shape, name: str) -> int:
    """An axis counted from the front; negative ones count from the end.

    Args:
        axis: As given.
        shape: The shape that it is an axis of.
        name: Of the operator, for the message.

    Raises:
        SpaceError: There is no such axis, or it is the batch.
    """
    rank = len(shape)
    allowed = [*range(1, rank), *range(1 - rank, 0)]
    if isinstance(axis, bool) or not isinstance(axis, int) or axis not in allowed:
        raise SpaceError(
            f"the axis of {name} is {axis!r}; axis 0 is the batch, and the data has shape {shape}",
            allowed=[str(value) for value in allowed],
        )
    return axis % rank


def vector_requirements(vectors: Iterable[Node], size: Scalar) -> list[tuple[Scalar, str]]:
    """Weights hold one number for each of some channels or features.

    Args:
        vectors: The weights.
        size: The number of channels.
    """
    requirements: list[tuple[Scalar, str]] = []
    for vector in vectors:
        shape = vector.shape()
        if len(shape) != 1 or (shape[0] == size) is not True:
            requirements += same_shape(vector, (size,))
    return requirements


def same_shape(node: Node, wanted: Shape) -> list[tuple[Scalar, str]]:
    """A value or a weight has some shape.

    Args:
        node: The value.
        wanted: Its shape.
    """
    shape = node.shape()
    same = [a == b for a, b in zip(shape, wanted, strict=True)] if len(shape) == len(wanted) else [False]
    return required(same, lambda: f"{node.id} has shape {shape}; it must have {wanted}")


def elementwise_columns(shape: Shape) -> dict[str, Scalar]:
    """Workload columns of an operator whose output has its input's shape (N, C), (N, C, W) or (N, C, H, W).

    Raises:
        SpaceError: Another number of dimensions.
    """
    if not 2 <= len(shape) <= 4:
        raise SpaceError(f"the shape {shape} is none of (N, C), (N, C, W) and (N, C, H, W)")
    return copy_columns(shape, shape)


def copy_columns(source: Shape, result: Shape) -> dict[str, Scalar]:
    """Workload columns of a kernel that writes values of one shape from values of another.

    The first dimension behind the batch is the channels, the last one the width; those between them, of which
    an image has one, are the height.
    """
    columns: dict[str, Scalar] = {}
    for side, shape in (("in", source), ("out", result)):
        columns[f"{side}_channels"] = shape[1]
        if len(shape) > 2:
            columns[f"{side}_w"] = shape[-1]
        if len(shape) > 3:
            columns[f"{side}_h"] = product(shape[2:-1])
    return columns


def row_columns(shape: Shape, axis: int) -> dict[str, Scalar]:
    """Workload columns of a kernel that treats each row of features by itself.

    Args:
        shape: Of its data and of its result.
        axis: The first dimension of a row: those from it on are the channels, those before it the positions,
            as many as the width says.
    """
    features, rows = product(shape[axis:]), product(shape[1:axis])
    return {"in_channels": features, "out_channels": features, "in_w": rows, "out_w": rows}
