"""Operators that move values without computing: each is a kernel that copies into a buffer of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Shape
from hannah_hw.graph.numbers import required, whole, whole_conditions
from hannah_hw.operators.dimensions import axis_of, copy_columns
from hannah_hw.operators.windows import (
    Padding,
    padding_requirements,
    resolve_padding,
    torch_pads,
    window_columns,
)
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Concat(Op):
    """Two or more values behind each other.

    Args:
        axis: The dimension in which they may differ and follow each other; 1 is the channels.
    """

    inputs = sys.maxsize
    arity = (2, sys.maxsize)
    takes = "at least two operands"
    onnx_types = ("Concat",)

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def __call__(self, *operands: Node) -> Any:
        """A concatenation.

        Raises:
            SpaceError: Fewer than two operands, or shapes that do not fit.
        """
        result = super().__call__(*operands)
        result.shape()
        return result

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        super()._check_operands(operands)
        if len({len(operand.shape()) for operand in operands}) > 1:
            raise SpaceError(
                "Concat takes values of one number of dimensions, but "
                + " and ".join(f"{operand.id} has shape {operand.shape()}" for operand in operands)
            )
        axis_of(self.axis, operands[0].shape(), "Concat")

    def _axis(self) -> int:
        return axis_of(self.axis, self.operands[0].shape(), "Concat")

    def shape_fun(self) -> Shape:
        """The shape of an operand, with the sum of the sizes along the axis."""
        axis, first = self._axis(), self.operands[0].shape()
        total: Scalar = 0
        for operand in self.operands:
            total = total + operand.shape()[axis]
        return (*first[:axis], total, *first[axis + 1 :])

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The operands have the same sizes but along the axis."""
        axis, first = self._axis(), self.operands[0].shape()
        others = [operand.shape() for operand in self.operands[1:]]
        return required(
            [
                a == b
                for other in others
                for dim, (a, b) in enumerate(zip(first, other, strict=True))
                if dim != axis
            ],
            lambda: (
                f"it joins values that differ only in dimension {axis}, but "
                + " and ".join(f"{operand.id} has shape {operand.shape()}" for operand in self.operands)
            ),
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch

        return torch.cat(args, dim=self._axis())

    def row(self) -> Row:
        """A ``concat`` kernel with a column of how many values it joins; its input is the first of them."""
        columns = copy_columns(self.operands[0].shape(), self.shape())
        columns["operands"] = len(self.operands)
        return Row("kernel", "concat", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Concat``."""
        return emitter.node("Concat", inputs, axis=self._axis())

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Concat`` of computed values."""
        result: Node = cls(node.attributes["axis"])(*node.operands)
        if result.shape() != node.shape:
            raise ModelError("joining constants is not supported")
        return result


class Slice(Op):
    """Some neighbouring values along one dimension.

    Args:
        axis: The dimension; 1 is the channels.
        begin: The first that is taken, counted from 0.
        size: How many are taken.
    """

    inputs = 1
    arity = (1, 1)
    onnx_types = ("Slice",)

    def __init__(self, axis: int, begin: Scalar, size: Scalar) -> None:
        super().__init__()
        self.axis = axis
        self.begin = whole(begin, "the begin of Slice")
        self.size = whole(size, "the size of Slice")

    def _axis(self) -> int:
        return axis_of(self.axis, self.operands[0].shape(), "Slice")

    def shape_fun(self) -> Shape:
        """The shape of the data, with the size along the axis."""
        axis, shape = self._axis(), self.operands[0].shape()
        return (*shape[:axis], self._part()[1], *shape[axis + 1 :])

    def _part(self) -> tuple[Scalar, Scalar]:
        """Begin and size."""
        return whole(self.begin, "the begin of Slice"), whole(self.size, "the size of Slice")

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The part is within the data."""
        every = self.operands[0].shape()[self._axis()]
        begin, size = self._part()
        return required(
            [*whole_conditions((begin, size), 0), begin >= 0, size >= 1, begin + size <= every],
            lambda: (
                f"{self.operands[0].id} has {every} values in dimension {self._axis()}; {size} of them from "
                f"{begin} on cannot be taken"
            ),
        )

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        begin, size = self._part()
        return args[0].narrow(self._axis(), begin, size)  # type: ignore[arg-type]

    def row(self) -> Row:
        """A ``slice`` kernel."""
        return Row("kernel", "slice", copy_columns(self.operands[0].shape(), self.shape()))

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Slice``."""
        begin, size = self._part()
        numbers = {"starts": begin, "ends": begin + size, "axes": self._axis()}
        limits = [emitter.constant(name, np.array([value], np.int64)) for name, value in numbers.items()]
        return emitter.node("Slice", [*inputs, *limits])

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Slice`` along one axis without steps."""
        shape = node.operands[0].shape()
        starts, ends, axes, steps = (node.values(position) for position in (1, 2, 3, 4))
        if starts is None or ends is None or len(node.operands) != 1:
            raise ModelError("a Slice is read where its limits are constant inputs (from operator set 10 on)")
        if steps is not None and (steps != 1).any():
            raise ModelError(f"a Slice in steps of {steps.tolist()} is not supported")
        along = np.arange(starts.size) if axes is None else axes
        if along.size != 1:
            raise ModelError(
                f"a Slice along the axes {along.tolist()} is not supported; slice one after the other"
            )
        axis = axis_of(int(along.item()), shape, "Slice")
        every: Any = shape[axis]
        if starts.size != 1 or ends.size != 1:
            raise ModelError(f"a Slice from {starts.tolist()} to {ends.tolist()} along one axis is not valid")
        begin, end, _ = slice(int(starts.item()), int(ends.item())).indices(every)
        result: Node = cls(axis, begin, end - begin)(node.operands[0])
        return result


class Permute(Op):
    """The dimensions in another order.

    Args:
        dims: The dimensions of the data in the order that they have in the result; the batch, 0, stays first.
    """

    inputs = 1
    arity = (1, 1)
    onnx_types = ("Transpose",)

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dims, Sequence | range) or not all(isinstance(dim, int) for dim in dims):
            raise SpaceError(f"the dims of Permute are {dims!r}; give the dimensions in their new order")
        self.dims = tuple(dims)

    def shape_fun(self) -> Shape:
        """The sizes in their new order.

        Raises:
            SpaceError: No order of the data's dimensions with the batch first.
        """
        shape = self.operands[0].shape()
        if sorted(self.dims) != list(range(len(shape))) or self.dims[0] != 0:
            raise SpaceError(
                f"the dims of Permute are {self.dims}; they must be the numbers from 0 to {len(shape) - 1} with 0, "
                f"the batch, first, as {self.operands[0].id} has shape {shape}"
            )
        return tuple(shape[dim] for dim in self.dims)

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        return args[0].permute(self.dims)

    def row(self) -> Row:
        """A ``permute`` kernel."""
        return Row("kernel", "permute", copy_columns(self.operands[0].shape(), self.shape()))

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Transpose``."""
        return emitter.node("Transpose", inputs, perm=self.dims)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Transpose`` that keeps the batch first; without an order it reverses all dimensions."""
        reverse = range(len(node.shape) - 1, -1, -1)
        result: Node = cls(node.attributes.get("perm", tuple(reverse)))(node.operands[0])
        return result


class ZeroPad(Op):
    """Zeros around (N, C, L) or (N, C, H, W) data.

    Args:
        padding: One number for all sides, one a dimension, or (begin, ..., end, ...) as ONNX orders them.
    """

    inputs = 1
    arity = (1, 1)
    onnx_types = ("Pad",)

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        if padding is None or isinstance(padding, str):
            raise SpaceError(f"the padding of ZeroPad is {padding!r}; give one number or a tuple of numbers")
        self.padding = padding

    def _sides(self) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
        """Zeros before and after each spatial dimension."""
        sizes = self.operands[0].shape()[2:]
        if len(sizes) not in (1, 2):
            raise SpaceError(f"ZeroPad takes (N, C, L) or (N, C, H, W), not {self.operands[0].shape()}")
        none = (1,) * len(sizes)
        return resolve_padding(self.padding, sizes, none, none, none)

    def shape_fun(self) -> Shape:
        """(N, C, sizes and their zeros...)."""
        batch, channels, *sizes = self.operands[0].shape()
        return (batch, channels, *(s + b + e for s, b, e in zip(sizes, *self._sides(), strict=True)))

    def requirements(self) -> list[tuple[Scalar, str]]:
        """No side is cut."""
        return padding_requirements(*self._sides())

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        import torch.nn.functional as functional

        return functional.pad(args[0], torch_pads(*self._sides()))

    def row(self) -> Row:
        """A ``pad`` kernel with the zeros as its padding."""
        sizes = self.operands[0].shape()
        none = (1,) * (len(sizes) - 2)
        columns = window_columns(sizes[2:], self.shape()[2:], none, none, none, *self._sides())
        columns.update(in_channels=sizes[1], out_channels=sizes[1])
        return Row("kernel", "pad", columns)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """An ONNX ``Pad``."""
        begin, end = self._sides()
        return emitter.node(
            "Pad", [*inputs, emitter.constant("pads", np.array([0, 0, *begin, 0, 0, *end], np.int64))]
        )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read a ``Pad`` of the spatial dimensions with zeros."""
        pads, value = node.values(1), node.values(2)
        rank = len(node.operands[0].shape())
        mode = node.attributes.get("mode", "constant")
        if mode != "constant" or (value is not None and value.any()) or len(node.operands) != 1:
            raise ModelError(f"padding of mode {mode!r} with {value} is not supported; only zeros are")
        if pads is None or pads.shape != (2 * rank,) or node.values(3) is not None:
            raise ModelError("a Pad is read where its pads are one constant input for all dimensions")
        begin, end = pads[:rank].tolist(), pads[rank:].tolist()
        if any((*begin[:2], *end[:2])):
            raise ModelError(f"padding {begin} and {end} of the batch or of the channels is not supported")
        result: Node = cls((*begin[2:], *end[2:]))(node.operands[0])
        return result
