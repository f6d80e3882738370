"""A network that was read from a file, with its sizes made free: one program gives the Workload of any change.

The graph is that of the reader with parameters in place of numbers: the output channels of every layer with weights,
the strides and sizes of windows, the sizes of the inputs. What follows from them, the sizes behind a layer and the
weights of the next one, follows by the shape rules of the operators, and a change that the rest of the network does not
fit, such as a sum of values of two widths, is a network that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from hannah_hw.expressions import Expression, Scalar, leaves
from hannah_hw.graph import Node, Op, Tensor
from hannah_hw.graph.activity import graph_steps
from hannah_hw.graph.bits import FLOAT_BITS
from hannah_hw.lowering.reader import OnnxModel
from hannah_hw.operators import ConvTranspose1d, ConvTranspose2d, Linear
from hannah_hw.operators.convolution import ConvolutionOp
from hannah_hw.operators.structural import Reshape
from hannah_hw.operators.windows import WindowOp
from hannah_hw.parameters import IntScalarParameter
from hannah_hw.workload import Workload, WorkloadProgram

#: What a parameter stands for.
WIDTH: Final = "out_channels"
STRIDE: Final = "stride"
WINDOW: Final = "kernel"
SIZE: Final = "size"

#: Strides up to this are tried.
_MOST_STRIDE: Final = 16


class Free(IntScalarParameter):
    """A number of the network that may change.

    Args:
        node: Name of the node of the file.
        kind: `WIDTH`, `STRIDE`, `WINDOW` or `SIZE`.
        axis: Spatial dimension, from 0; of a width 0.
        value: What it is in the file.
        most: What it may be at most.
    """

    def __init__(self, node: str, kind: str, axis: int, value: int, most: int) -> None:
        super().__init__(1, most, name=f"{kind}_{axis}", default=value)
        self.id = f"{node}.{kind}_{axis}"
        self.node, self.kind, self.axis, self.value = node, kind, axis, value


class ElasticNetwork:
    """The network of a file with free sizes.

    Args:
        read: The file.

    Attributes:
        free: Its free numbers by id.
        nodes: Its operators by name, in order, with free attributes.
        groups: Id of a width -> all widths that have to be the same, itself included; none of a width that has to stay.
    """

    def __init__(self, read: OnnxModel) -> None:
        self.free: dict[str, Free] = {}
        self.nodes: dict[str, Op] = {}
        self._tied: list[frozenset[str]] = []
        self._made: dict[int, Node] = {}
        order = [self._node(node) for node in read.order]
        ends = [self._made[id(node)] for node in read.outputs]
        steps, position = graph_steps(order, dict.fromkeys((node.id for node in order), True))
        bits = 8 if read.bits == FLOAT_BITS else read.bits
        self._program = WorkloadProgram(steps, [position[end.id] for end in ends], bits=bits)
        stays = {name for end in ends for name in _widths(end.shape()[1:])}
        self.groups = {
            name: group
            for name, one in self.free.items()
            if one.kind == WIDTH and not (group := self._group(name)) & stays
        }

    def workload(self, changes: Sequence[Mapping[str, int]]) -> Workload:
        """The Workload of P networks.

        Args:
            changes: For each network id of a free number -> its value; the others are as in the file.
        """
        columns = {
            name: np.array([change.get(name, one.value) for change in changes], np.int64)
            for name, one in self.free.items()
        }
        return self._program.run(columns, len(changes))

    def _group(self, name: str) -> frozenset[str]:
        """All widths that are tied to one, directly or by others."""
        found, waiting = {name}, [name]
        while waiting:
            current = waiting.pop()
            new = {other for tie in self._tied if current in tie for other in tie} - found
            found |= new
            waiting += new
        return frozenset(found)

    def _number(self, node: str, kind: str, axis: int, value: int, most: int) -> Scalar:
        one = Free(node, kind, axis, value, most)
        self.free[one.id] = one
        return one

    def _node(self, node: Node) -> Node:
        """The node with free numbers, on operands that have them."""
        made = self._operator(node) if isinstance(node, Op) else self._input(node)
        self._made[id(node)] = made
        return made

    def _input(self, node: Node) -> Tensor:
        """A graph input: its spatial sizes are free."""
        shape = node.shape()
        sizes = tuple(
            self._number(node.id, SIZE, axis, size, size) if isinstance(size, int) and size > 1 else size
            for axis, size in enumerate(shape[2:])
        )
        return _tensor(node, (*shape[:2], *sizes))

    def _operator(self, node: Op) -> Op:
        data = [self._made[id(operand)] for operand in node.data_operands()]
        made = node.resolved(lambda value: value, [])
        if isinstance(node, Reshape) and len(node.sizes) == 1:
            made = Reshape((-1,)).resolved(lambda value: value, [])  # to as many features as there are
            made.id = node.id
        weights = [operand for operand in node.operands if isinstance(operand, Tensor) and operand.owner]
        shapes = self._weights(made, node, data, [weight.shape() for weight in weights])
        fitted = {id(weight): _tensor(weight, shape) for weight, shape in zip(weights, shapes, strict=True)}
        for weight in fitted.values():
            weight.owner = made
        made.operands = [
            fitted[id(operand)] if id(operand) in fitted else self._made[id(operand)]
            for operand in node.operands
        ]
        if isinstance(made, WindowOp):
            self._strides(made, node)
        if len(data) > 1:
            self._tie(data)
        self.nodes[made.id] = made
        return made

    def _weights(
        self, made: Op, node: Op, data: Sequence[Node], shapes: Sequence[tuple[Scalar, ...]]
    ) -> list[tuple[Scalar, ...]]:
        """Shapes of the weights that fit the data, with a free number of output channels."""
        if not shapes:
            return []
        kernel, *vectors = shapes
        channels = data[0].shape()[1]
        if isinstance(node, ConvTranspose1d | ConvTranspose2d):
            return list(shapes)
        if isinstance(node, ConvolutionOp) and isinstance(made, ConvolutionOp):
            depthwise = node.groups != 1 and node.groups == node.data_operands()[0].shape()[1]
            outputs, inputs, *window = kernel
            if depthwise:
                made.groups = channels
                width: Scalar = channels * (outputs // node.groups)
            else:
                width = self._number(node.id, WIDTH, 0, int(outputs), int(outputs))  # type: ignore[arg-type]
                inputs = channels // node.groups
            return [(width, inputs, *self._window(made, node, window)), *((width,) for _ in vectors)]
        if isinstance(node, Linear):
            features: Scalar = 1
            for size in data[0].shape()[1:]:
                features = features * size
            width = self._number(node.id, WIDTH, 0, int(kernel[1]), int(kernel[1]))  # type: ignore[arg-type]
            return [(features, width), *((width,) for _ in vectors)]
        before = node.data_operands()[0].shape()[1]
        return [(channels,) if shape == (before,) else shape for shape in shapes]

    def _window(self, made: ConvolutionOp, node: Op, window: Sequence[Scalar]) -> list[Scalar]:
        """Sizes of a window: free, with padding that follows them, where it is odd and larger than 1."""
        free: list[Scalar] = []
        sides = list(made.padding) if isinstance(made.padding, tuple) else []
        for axis, size in enumerate(window):
            if not isinstance(size, int) or size < 3 or size % 2 == 0 or isinstance(made.padding, int):
                free.append(size)
                continue
            number = self._number(node.id, WINDOW, axis, size, size)
            free.append(number)
            for side in range(axis, len(sides), len(window)):
                # What a smaller window leaves out on either side.
                sides[side] = sides[side] - (size - number) // 2 if sides[side] else 0
        if sides:
            made.padding = tuple(sides)
        return free

    def _strides(self, made: WindowOp, node: Op) -> None:
        sizes = node.data_operands()[0].shape()[2:]
        strides = made.stride if isinstance(made.stride, tuple) else (made.stride,) * len(sizes)
        made.stride = tuple(
            self._number(node.id, STRIDE, axis, stride, _MOST_STRIDE)
            if isinstance(stride, int) and isinstance(size, int) and size > 1 and stride <= _MOST_STRIDE
            else stride
            for axis, (stride, size) in enumerate(zip(strides, sizes, strict=True))
        )

    def _tie(self, data: Iterable[Node]) -> None:
        """Values that one operator takes have the same width, where it is one number."""
        widths = [node.shape()[1] for node in data]
        self._tied.append(frozenset(one.id for one in widths if isinstance(one, Free)))


def _tensor(tensor: Node, shape: tuple[Scalar, ...]) -> Tensor:
    """The tensor with another shape."""
    bits = tensor.bits if isinstance(tensor, Tensor) else None
    made = Tensor(tensor.id, shape, bits=bits)
    made.id = tensor.id
    return made


def _widths(sizes: Iterable[Any]) -> set[str]:
    found = leaves([size for size in sizes if isinstance(size, Expression)])
    return {one.id for one in found if isinstance(one, Free)}
