"""A search space: a graph with parameters, compiled once for whole populations."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import If, Program, Scalar
from hannah_hw.graph import Node, Plan, Tensor, execution_order, parameters_by_node, resolve
from hannah_hw.graph.activity import graph_steps, node_activity, parameter_activity
from hannah_hw.graph.canonical import graph_key
from hannah_hw.parameters import Parameter
from hannah_hw.showing import Shown
from hannah_hw.spaces.assignment import Assignment
from hannah_hw.spaces.constraints import Rule, rules_of
from hannah_hw.spaces.encoding import Encoding, FloatArray
from hannah_hw.spaces.shapes import ShapeProgram
from hannah_hw.workload import Workload, WorkloadProgram
from hannah_hw.workload.table import IntArray

if TYPE_CHECKING:
    from hannah_hw.spaces.declarative.document import SpaceDocument
    from hannah_hw.spaces.declarative.problems import SpaceWarning


class SearchSpace(Shown):
    """A family of networks.

    Args:
        outputs: The last node of the graph, or the last nodes.
        name: What it is called.
        options: The arguments that it was built with.

    Attributes:
        order: All nodes, operands before users.
        outputs: The last nodes.
        activity: Node id -> whether a candidate has the node.
        parameters: Id -> parameter.
        encoding: The matrix view of its parameters.
        document: What it was built from, if that is a YAML file.
        warnings: What is odd about that document.

    Raises:
        SpaceError: Two nodes or two parameters have the same id, or no candidate satisfies the conditions of the
            nodes. That operators require what no candidate can give is found out with the first candidate. Or a
            trained tensor is no operator's weight.
    """

    def __init__(
        self, outputs: Node | Sequence[Node], name: str = "", options: Mapping[str, Any] | None = None
    ) -> None:
        self.outputs = [outputs] if isinstance(outputs, Node) else list(outputs)
        self.name = name or self.outputs[0].id.partition(".")[0]
        self.options = dict(options or {})
        self.document: SpaceDocument | None = None
        self.warnings: tuple[SpaceWarning, ...] = ()
        self.order = execution_order(self.outputs)
        self.activity = node_activity(self.order, self.outputs)
        for tensor in self.inputs:
            if tensor.grad:
                raise SpaceError(
                    f"{tensor.id} is to be trained, but it is no operator's weight; give it to an operator behind "
                    "its data (a ChoiceOp chooses between values, not between weights), or leave out grad=True"
                )
        nested = parameters_by_node(self.outputs)
        self.parameters = {name: p for own in nested.values() for name, p in own.items()}
        activity = parameter_activity(self.order, self.activity)
        self.encoding = Encoding(list(self.parameters.values()), activity, lambda: self.rules)
        if any(node.conditions for node in self.order):
            _ = self.encoding.constraints

    @property
    def inputs(self) -> list[Tensor]:
        """The graph inputs."""
        return [node for node in self.order if isinstance(node, Tensor) and node.owner is None]

    @functools.cached_property
    def rules(self) -> list[Rule]:
        """What every candidate must satisfy, as far as that is not certain."""
        return rules_of(self.order, self.activity)

    def narrowed(self, levels: Mapping[str, Sequence[int]], rules: Sequence[Rule]) -> SearchSpace:
        """The part of the space with some levels of its parameters, and with more conditions.

        A candidate of it is the same candidate of the whole space, with the same id.

        Args:
            levels: Parameter id -> positions of the levels that stay, ascending; all of a parameter that is not named.
            rules: What candidates must satisfy beyond the conditions of the space.

        Raises:
            SpaceError: No candidate satisfies all conditions.
        """
        part = copy.copy(self)
        part.parameters = {
            name: p.narrowed(levels[name]) if name in levels else p for name, p in self.parameters.items()
        }
        part.rules = [*self.rules, *rules]
        part.encoding = Encoding(list(part.parameters.values()), self.encoding.activity, lambda: part.rules)
        _ = part.encoding.constraints
        return part

    def extended(self, parameters: Sequence[Parameter]) -> SearchSpace:
        """The space with parameters that no network depends on, but candidates do, such as the size of an array.

        They are part of every assignment, and so of a candidate's id.

        Args:
            parameters: With ids of their own.

        Raises:
            SpaceError: The space has a parameter of that id.
        """
        whole = copy.copy(self)
        for parameter in parameters:
            if parameter.id in self.parameters:
                raise SpaceError(f"the space has a parameter {parameter.id!r} already; rename it there")
        whole.parameters = {**self.parameters, **{p.id: p for p in parameters}}
        activity = {**self.encoding.activity, **{p.id: True for p in parameters}}
        whole.encoding = Encoding(list(whole.parameters.values()), activity, lambda: whole.rules)
        return whole

    @functools.cached_property
    def compiled(self) -> WorkloadProgram:
        """The Workload as a function of the parameters."""
        steps, position = graph_steps(self.order, self.activity)
        return WorkloadProgram(steps, [position[node.id] for node in self.outputs])

    @functools.cached_property
    def _macs(self) -> Program:
        return Program([self.compiled.macs])

    @functools.cached_property
    def _shapes(self) -> ShapeProgram:
        return ShapeProgram(self.order, self.activity)

    @functools.cached_property
    def _trained(self) -> Program:
        total: Scalar = 0
        for node in self.order:
            if isinstance(node, Tensor) and node.owner is not None and node.grad:
                size: Scalar = 1
                for dim in node.shape():
                    size = size * dim
                total = total + If(self.activity[node.id], size, 0)
        return Program([total])

    def default(self) -> Assignment:
        """The declared starting point."""
        return self.encoding.assignment(self.encoding.canonical(self.encoding.default[None])[0])

    def sample(self, seed: int | np.random.Generator = 0) -> Assignment:
        """A random assignment."""
        return self.encoding.assignment(self.sample_population(1, seed)[0])

    def sample_population(self, size: int, seed: int | np.random.Generator = 0) -> FloatArray:
        """(size, D) random canonical rows; see `Encoding`."""
        return self.encoding.sample(size, np.random.default_rng(seed))

    def workload(self, X: FloatArray) -> Workload:
        """The Workload of a population of int8 networks.

        Args:
            X: (P, D) canonical rows.
        """
        return self.compiled.run(self.encoding.values(X), len(X))

    def parameter_counts(self, X: FloatArray) -> IntArray:
        """(P,) numbers of trained values."""
        return self._count(self._trained, X)

    def mac_counts(self, X: FloatArray) -> IntArray:
        """(P,) multiply-accumulates of one inference; 0 where the parameters describe no network."""
        return self._count(self._macs, X)

    def _count(self, program: Program, X: FloatArray) -> IntArray:
        counts = program.run(self.encoding.values(X))[0]
        return np.broadcast_to(np.asarray(counts, np.int64), (len(X),))

    def shapes(self, X: FloatArray) -> dict[str, tuple[IntArray | int, ...]]:
        """Shapes of all nodes, batch first.

        Args:
            X: (P, D) canonical rows.

        Returns:
            Node id -> one entry a dimension: (P,) sizes, or one number where it is the same for all candidates.
            Sizes mean nothing for a candidate that does not have the node.
        """
        return self._shapes.run(self.encoding.values(X))

    def candidate(self, assignment: Mapping[str, Any]) -> Candidate:
        """The network of an assignment; parameters that it does not name take their default.

        Raises:
            SpaceError: An unknown parameter, or a value that it cannot have.
        """
        return Candidate(self, self.encoding.encode([assignment])[0])

    def candidate_of(self, row: FloatArray) -> Candidate:
        """The network of a row of the matrix view.

        Args:
            row: (D,) a canonical row, such as one of `sample_population`.
        """
        return Candidate(self, row)

    def __deepcopy__(self, memo: dict[int, Any]) -> SearchSpace:
        """The space itself, which never changes: copies of what holds it share it."""
        return self

    def __repr__(self) -> str:
        return f"SearchSpace({self.name}: {len(self.order)} nodes, {len(self.parameters)} parameters)"


def assignment_id(active: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of a hash of active parameters and their values, ready for JSON."""
    return hashlib.sha256(json.dumps(active, sort_keys=True).encode()).hexdigest()[:12]


class Candidate(Shown):
    """One network of a space.

    Attributes:
        space: The space.
        row: (D,) its canonical row.
    """

    def __init__(self, space: SearchSpace, row: FloatArray) -> None:
        self.space = space
        self.row = row

    @functools.cached_property
    def assignment(self) -> Assignment:
        """The values of its active parameters."""
        return self.space.encoding.assignment(self.row)

    @functools.cached_property
    def _values(self) -> dict[str, Any]:
        return self.space.encoding.values_of(self.row)

    @functools.cached_property
    def id(self) -> str:
        """12 hexadecimal digits of a hash of the active parameters: equal for equal networks of a space."""
        return assignment_id(self.assignment.to_dict())

    @functools.cached_property
    def graph_key(self) -> str:
        """32 hexadecimal digits that isomorphic networks share, of one space or of several.

        Raises:
            SpaceError: Its parameters describe no network, or networks cannot be compared; see
                `hannah_hw.graph.canonical.graph_key`.
        """
        return graph_key(self.plan)

    @functools.cached_property
    def plan(self) -> Plan:
        """Its active graph.

        Raises:
            SpaceError: Its parameters describe no network; see `hannah_hw.graph.resolve`.
        """
        return resolve(self.space.order, self.space.outputs, self.assignment)

    @functools.cached_property
    def _table(self) -> Workload:
        return self.space.workload(self.row[None]).candidate(0)

    def workload(self) -> Workload:
        """Its Workload, a population of one, without unused kernels and buffers."""
        return self._table

    @functools.cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Node id -> shape, batch first, of the nodes that it has: tensors, operators, choices."""
        return self.space._shapes.run_one(self._values)

    @functools.cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return int(self.space._macs.run_one(self._values)[0])

    @functools.cached_property
    def parameters(self) -> int:
        """Number of trained values."""
        return int(self.space._trained.run_one(self._values)[0])

    def __deepcopy__(self, memo: dict[int, Any]) -> Candidate:
        """The candidate itself, which never changes."""
        return self

    def __repr__(self) -> str:
        return f"Candidate({self.id} of {self.space.name})"


def as_space(value: SearchSpace | Node) -> SearchSpace:
    """A space of a graph's last node, or the space itself.

    Raises:
        SpaceError: Neither.
    """
    if isinstance(value, SearchSpace):
        return value
    if isinstance(value, Node):
        return SearchSpace(value)
    raise SpaceError(f"{value!r} is neither a search space nor a node")
