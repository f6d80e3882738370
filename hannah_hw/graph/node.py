"""What a search space's graph consists of: nodes, of which tensors are graph inputs and weights.

A graph is built once and never changes when it is sampled: attributes and shapes are expressions over the
space's parameters. The other nodes are operators; see `hannah_hw.graph.op`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression, Scalar, leaves
from hannah_hw.graph import naming
from hannah_hw.graph.bits import check_bits
from hannah_hw.graph.numbers import check_countable, whole
from hannah_hw.parameters import Parameter
from hannah_hw.showing import Shown

if TYPE_CHECKING:
    from hannah_hw.graph.op import Op

Shape = tuple[Scalar, ...]


class Node(Shown):
    """Something that has a shape.

    Attributes:
        id: Unique in the graph; see `hannah_hw.graph.naming`.
        operands: The nodes whose values it takes.
        users: The nodes that take its value.
        conditions: What must hold for a candidate that has the node, each with a text for messages; see `cond`.
    """

    conditions: tuple[tuple[Scalar, str], ...] = ()

    def __init__(self) -> None:
        self.id = ""
        self.operands: list[Node] = []
        self.users: list[Node] = []

    @functools.cached_property
    def _names(self) -> naming.Names:
        """The names of the graph that the node is connected to."""
        names = naming.Names()
        if self.id:
            names.add(self.id)
        return names

    def shape(self) -> Shape:
        """The shape of the node's value, batch first, as expressions."""
        raise NotImplementedError

    def expressions(self) -> dict[str, Any]:
        """Attribute name -> its value, for all attributes that may depend on parameters."""
        raise NotImplementedError

    def register(self) -> None:
        """Give an id to those of the node's parameters that have none yet."""
        for name, value in self.expressions().items():
            for parameter in leaves(flat_values(value)):
                if isinstance(parameter, Parameter) and not parameter.id:
                    parameter.id = f"{self.id}.{parameter.name or name}"

    def cond(self, condition: Scalar, text: str = "") -> Self:
        """Rule out the candidates that have the node but do not satisfy a condition.

        A space samples and varies only candidates that satisfy all conditions.

        Args:
            condition: A condition over parameters and shapes of any node.
            text: What it is called in messages; the condition itself otherwise.

        Returns:
            The node, so that conditions chain.

        Raises:
            SpaceError: Something that is no condition.
        """
        if not isinstance(condition, Expression | int) or not getattr(condition, "numeric", True):
            raise SpaceError(
                f"the condition of {self.id or self!r} is {condition!r}; give an expression such as a + b <= 10"
            )
        self.conditions = (*self.conditions, (condition, text))
        return self

    def parametrization(self, flatten: bool = False) -> dict[str, Any]:
        """The parameters of the graph that ends in this node.

        Args:
            flatten: Parameter id -> parameter; otherwise node id -> (parameter id -> parameter).

        Raises:
            SpaceError: Two nodes or two parameters have the same id.
        """
        from hannah_hw.graph.traversal import parameters_by_node

        nested = parameters_by_node([self])
        if not flatten:
            return dict(nested)
        return {name: parameter for own in nested.values() for name, parameter in own.items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"


class Tensor(Node):
    """A graph input, or the weights of an operator.

    Args:
        name: Its name; the operator's id is put before it when it becomes an operator's weight.
        shape: Numbers or expressions.
        axis: Names of the dimensions.
        grad: Whether it is trained.
        bits: With how many bits each value of a weight is kept: 1 to 16 on a symmetric grid an output channel, or
            32 for no quantisation. None: as the deployment has it, 8 in the integer network.

    Raises:
        SpaceError: A size that is no positive whole number, or bits that there are not.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[Scalar, ...],
        axis: tuple[str, ...] = (),
        grad: bool = False,
        bits: Scalar | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(name, str) or not name:
            raise SpaceError(f"the name of a tensor is {name!r}; give it a word")
        if not isinstance(shape, tuple | list):
            raise SpaceError(f"the shape of the tensor {name} is {shape!r}; give a tuple of sizes")
        self.name = name
        self.id = naming.prefix() + name
        self.axis = tuple(axis)
        self.grad = grad
        self.bits = bits
        self.owner: Op | None = None
        self._shape = tuple(whole(size, f"a size of the tensor {name}", 1) for size in shape)
        check_countable(self._shape, f"the tensor {self.id}")
        if bits is not None:
            check_bits(bits, f"the tensor {self.id}")
        if self.axis and len(self.axis) != len(self._shape):
            raise SpaceError(
                f"the tensor {self.id} has {len(self._shape)} dimensions, but {len(axis)} axis names"
            )

    def shape(self) -> Shape:
        """The declared shape."""
        return self._shape

    def expressions(self) -> dict[str, Any]:
        """Axis name (or position) -> size, and ``bits`` where there are any."""
        names = self.axis or tuple(f"dim{i}" for i in range(len(self._shape)))
        sizes = dict(zip(names, self._shape, strict=True))
        return sizes if self.bits is None else {**sizes, "bits": self.bits}


def flat_values(value: Any) -> list[Any]:
    """The items of nested containers, or the one value."""
    if isinstance(value, tuple | list):
        return [item for part in value for item in flat_values(part)]
    if isinstance(value, Mapping):
        return flat_values(list(value.values()))
    return [value]
