"""The shapes of a space's nodes, compiled once for populations and for single candidates.

Most nodes have the shape of others: an activation that of its convolution, a residual block that of its input.
Every distinct size and every distinct shape is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from hannah_hw.expressions import Expression, Program, Scalar
from hannah_hw.graph import Node
from hannah_hw.workload.table import IntArray


class ShapeProgram:
    """Parameter values -> shapes.

    Args:
        order: The nodes of the space.
        activity: Node id -> whether a candidate has the node.
    """

    def __init__(self, order: Sequence[Node], activity: Mapping[str, Scalar]) -> None:
        values: list[Scalar] = []
        position: dict[object, int] = {}

        def place(value: Scalar) -> int:
            key = id(value) if isinstance(value, Expression) else (type(value), value)
            if key not in position:
                position[key] = len(values)
                values.append(value)
            return position[key]

        shapes: dict[tuple[int, ...], int] = {}
        #: Id, place of the activity, and number of the shape of each node.
        self._nodes = [
            (
                node.id,
                place(activity[node.id]),
                shapes.setdefault(tuple(map(place, node.shape())), len(shapes)),
            )
            for node in order
        ]
        #: Places of the sizes of each distinct shape, and of all sizes.
        self._shapes = list(shapes)
        self._sizes = sorted({place for places in shapes for place in places})
        self._program = Program(values)

    def run(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[IntArray | int, ...]]:
        """Node id -> one entry a dimension: (P,) sizes, or one number where it is the same for all.

        Args:
            columns: Parameter id -> (P,) values; see `hannah_hw.expressions.Program.run`.
        """
        values = self._program.run(columns)
        shapes = [tuple([values[place] for place in places]) for places in self._shapes]
        return {name: shapes[shape] for name, _, shape in self._nodes}

    def run_one(self, parameters: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Node id -> shape of the nodes that one candidate has.

        Args:
            parameters: Parameter id -> value; see `hannah_hw.expressions.Program.run_one`.
        """
        values = self._program.run_one(parameters)
        for place in self._sizes:
            values[place] = int(values[place])
        shapes = [tuple([values[place] for place in places]) for places in self._shapes]
        return {name: shapes[shape] for name, active, shape in self._nodes if values[active]}
