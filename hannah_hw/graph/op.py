"""Operators: what a graph computes with.

An operator holds everything about itself: its shape rule, its computation, its ONNX form and its row in the Workload.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError, UnsupportedError
from hannah_hw.expressions import Expression, Scalar
from hannah_hw.graph import naming
from hannah_hw.graph.node import Node, Shape, Tensor, flat_values
from hannah_hw.graph.numbers import check_countable
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode


class Op(Node):
    """Base class of operators; also of the user's own.

    An instance is a template: calling it with operands returns a new, connected operator. Public instance
    attributes may be expressions; wherever an operator is executed or exported, it is a copy of which all
    attributes are plain values. A subclass overrides

    * ``shape_fun(self)``: the output shape; without it, that of the first operand;
    * ``requirements(self)``: what must hold for the operator to exist, if anything;
    * ``_forward_implementation(self, *args)``: the computation, on torch tensors in the order of the operands;
    * optionally ``__call__``, to keep facts about the operands as attributes; it must call
      ``super().__call__(*operands)`` and return its result;
    * optionally `row` (what cost models see) and `to_onnx`.

    Attributes:
        inputs: How many leading operands are data; the rest are weights, tensors whose ids begin with the
            operator's. None: all are data, except tensors that are trained (``grad=True``).
        arity: How many operands it takes, at least and at most; None: any number.
        takes: What these are, for messages.
        output_axis: Dimension of the weight (operand 1) that runs over the output channels, if a batch
            normalisation behind the operator can be folded into it.
        onnx_types: ONNX operator types that `from_onnx` reads.
        is_identity: Whether the result is its one operand.
        associates: Whether a chain of such operators is one combination of all of its operands, in any order.
        is_random: Whether it computes another value each time, while training.
    """

    inputs: ClassVar[int | None] = None
    arity: ClassVar[tuple[int, int] | None] = None
    takes: ClassVar[str] = "one operand"
    output_axis: ClassVar[int | None] = None
    onnx_types: ClassVar[tuple[str, ...]] = ()
    is_identity: ClassVar[bool] = False
    associates: ClassVar[bool] = False
    is_random: ClassVar[bool] = False
    #: Set by executors on their resolved copies while they train.
    _training: bool = False
    _structural: ClassVar[frozenset[str]] = frozenset({"id", "operands", "users", "conditions"})

    def __init__(self) -> None:
        super().__init__()
        #: Facts that follow from attributes and operands, computed once.
        self._cache: dict[str, Any] = {}

    def __call__(self, *operands: Node) -> Any:
        """A new operator of this kind, connected to its operands.

        Raises:
            SpaceError: An operand is no node, or the operator cannot take these operands.
        """
        self._check_operands(operands)
        bound = copy.copy(self)
        bound.__dict__.pop("_names", None)
        bound.users = []
        bound.operands = []
        bound._cache = {}
        bound._connect(operands)
        return bound

    def _connect(self, operands: tuple[Node, ...]) -> None:
        self.id = naming.prefix() + naming.next_name(type(self).__name__, operands)
        self.operands = list(operands)
        for position, operand in enumerate(operands):
            if isinstance(operand, Tensor):
                if operand.owner is None and self.is_weight(position, operand):
                    operand.owner = self
                    operand.id = f"{self.id}.{operand.name}"
                operand.register()
            operand.users.append(self)
            self._names.join(operand._names)
        self._check_bits()
        self.register()

    def _check_operands(self, operands: tuple[Node, ...]) -> None:
        """Refuse operands of another number or kind than the operator takes."""
        name = type(self).__name__
        for position, operand in enumerate(operands):
            if not isinstance(operand, Node):
                raise SpaceError(
                    f"operand {position} of {name} is {operand!r}; it must be a Tensor or an operator"
                )
            if not isinstance(operand, Tensor) and not operand.id:
                raise SpaceError(
                    f"operand {position} of {name} is {type(operand).__name__}, which is not connected; "
                    "call it with operands"
                )
        if self.arity is not None and not self.arity[0] <= len(operands) <= self.arity[1]:
            raise SpaceError(f"{name} takes {self.takes}; it was given {len(operands)} operands")
        if self.inputs is None:
            return
        for operand in operands[: self.inputs]:
            if isinstance(operand, Tensor) and (operand.owner is not None or operand.grad):
                raise SpaceError(f"{name} takes data, but {operand.id} is a weight")
            if len(operand.shape()) < 2:
                raise SpaceError(f"{name} takes data (N, ...); {operand.id} has shape {operand.shape()}")
        for operand in operands[self.inputs :]:
            if not isinstance(operand, Tensor):
                raise SpaceError(f"the weights of {name} must be tensors; {operand.id} is computed")
            if operand.owner is None and (operand.users or operand in operands[: self.inputs]):
                raise SpaceError(
                    f"{operand.id} is data of other operators, so it cannot be a weight of {name}"
                )

    @property
    def kernel_weight(self) -> Tensor | None:
        """The weight that multiplies the data: the first weight among the operands."""
        return next((o for o in self.operands if isinstance(o, Tensor) and o.owner is not None), None)

    def _check_bits(self) -> None:
        """Refuse bits of what is no kernel weight: they would mean nothing."""
        for operand in self.operands:
            if isinstance(operand, Tensor) and operand.bits is not None and operand is not self.kernel_weight:
                advice = (
                    "quantise the value of a graph input with a Quantize behind it"
                    if operand.owner is None
                    else "a bias and statistics have no bits of their own"
                )
                raise SpaceError(
                    f"{operand.id} cannot have bits, only the first weight of {self.id} can; {advice}"
                )

    def is_weight(self, position: int, operand: Node) -> bool:
        """Whether an operand holds weights rather than data."""
        if not isinstance(operand, Tensor):
            return False
        if self.inputs is None:
            return operand.grad
        return position >= self.inputs

    def data_operands(self) -> list[Node]:
        """The operands that carry data."""
        return [node for node in self.operands if not (isinstance(node, Tensor) and node.owner is not None)]

    def expressions(self) -> dict[str, Any]:
        """The public instance attributes."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_") and k not in self._structural}

    def resolved(self, evaluate: Callable[[Any], Any], operands: list[Any]) -> Op:
        """A copy of which all attributes are plain values.

        Args:
            evaluate: Expression or container of them -> plain value.
            operands: Nodes with plain shapes that take the operands' places.
        """
        plain = object.__new__(type(self))
        plain.__dict__.update(self.__dict__)
        plain.operands = operands
        plain._cache = {}
        symbolic = self._cache.get("symbolic")
        if symbolic is None:
            symbolic = self._cache["symbolic"] = [
                name
                for name, value in self.expressions().items()
                if any(isinstance(item, Expression) for item in flat_values(value))
            ]
        for name in symbolic:
            plain.__dict__[name] = evaluate(getattr(self, name))
        return plain

    def shape(self) -> Shape:
        """The output shape."""
        if "shape" not in self._cache:
            if not self.id:
                raise SpaceError(
                    f"{type(self).__name__} is not connected yet, so it has no shape; call it with operands"
                )
            self._compute_shapes()
        shape: Shape = self._cache["shape"]
        return shape

    def _compute_shapes(self) -> None:
        """The shape of the operator and before it those of its operands: a deep graph must not recurse deeply."""
        stack: list[Op] = [self]
        while stack:
            node = stack[-1]
            waiting = [o for o in node.operands if isinstance(o, Op) and "shape" not in o._cache]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if "shape" not in node._cache:
                node._compute_shape()

    def _compute_shape(self) -> None:
        try:
            shape = self._cache["shape"] = tuple(self.shape_fun())
            requirements = self.requirements()
        except ArithmeticError as error:
            self._cache.pop("shape", None)
            raise SpaceError(f"{self.id}: its shape has no value: {error}") from error
        for condition, text in requirements:
            if not isinstance(condition, Expression) and not condition:
                del self._cache["shape"]  # refused whenever it is asked for
                raise SpaceError(f"{self.id}: {text}")
        check_countable(shape, self.id)

    def requirements(self) -> list[tuple[Scalar, str]]:
        """What must hold for the operator to exist, each condition with what is wrong where it does not.

        A plain condition is checked when the shape is; one that depends on parameters rules out candidates.
        """
        return []

    def shape_fun(self) -> Shape:
        """The output shape, as a function of the operands' shapes and the attributes."""
        return self.operands[0].shape()

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        raise UnsupportedError(
            f"the operator {self} defines no _forward_implementation, so it cannot be executed"
        )

    def row(self) -> Row:
        """What the Workload holds for this operator; may be symbolic."""
        return Row("kernel", type(self).__name__)

    @property
    def commutes(self) -> bool:
        """Whether the order of the operands does not count."""
        return self.associates

    @property
    def is_affine(self) -> bool:
        """Whether the operator is a scale and offset a channel: whether it defines `affine`."""
        return type(self).affine is not Op.affine

    def affine(
        self, weights: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Scale and offset a channel, for an operator whose row has the part ``affine``.

        Args:
            weights: The values of its weights, in order.

        Returns:
            The offset is None where there is none; the row then has no column ``bias``.
        """
        raise UnsupportedError(f"the operator {type(self).__name__} ({self.id}) is no scale and offset")

    def scaled(self, weight: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
        """The weight (operand 1) with each output channel multiplied by its factor; see `output_axis`.

        Args:
            weight: Its values.
            factors: (O,), one an output channel.
        """
        shape = [1] * weight.ndim
        shape[self.output_axis or 0] = -1
        result: NDArray[Any] = weight * factors.reshape(shape)
        return result

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """Write the operator's ONNX nodes.

        Args:
            emitter: Takes nodes and constants.
            inputs: ONNX names of the operands, weights included.

        Returns:
            The ONNX name of the output.

        Raises:
            UnsupportedError: The operator has no ONNX form.
        """
        raise UnsupportedError(
            f"the operator {type(self).__name__} ({self.id}) has no ONNX form; define to_onnx"
        )

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """The graph of an ONNX node; see `hannah_hw.graph.protocols.OnnxNode`."""
        raise UnsupportedError(f"{cls.__name__} cannot be read from ONNX")
