"""TVM's kernels beside our own: the same multiply-accumulates, the same values read and written.

TVM fuses by other rules than `hannah_hw.workload.fusion`: it takes an addition into the convolution before it, and
leaves apart what TFLite and CMSIS-NN do in one kernel. So kernels are compared in the smallest groups that both sides
can be cut into: kernels that share an ONNX node are in one group. What passes between groups is counted in elements,
because TVM sees float32 where our table has bytes of the integer network. Weights are compared too, except where a
file has batch normalisations: the integer network has one offset a channel for what is four vectors in the file.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hannah_hw.errors import EvaluationError, InputError
from hannah_hw.graph import Op
from hannah_hw.graph.bits import FLOAT_BITS
from hannah_hw.lowering.reader import OnnxModel
from hannah_hw.lowering.tvm.lowered import Lowered, TvmKernel
from hannah_hw.workload import Workload
from hannah_hw.workload.table import BIT_COLUMNS

#: Bits of a value at which our table's bytes are elements.
_BITS = 8


@dataclass(frozen=True)
class Group:
    """Kernels of both sides that compute the same.

    Attributes:
        kernels: Ours, by name.
        tvm: TVM's.
        macs: Multiply-accumulates.
        read: Elements of activations that it reads from other groups.
        written: Elements that other groups, or the graph's outputs, take from it.
        compared: Whether the two sides were compared; not where one of ours is an operator that nothing here reads.
    """

    kernels: tuple[str, ...]
    tvm: tuple[TvmKernel, ...]
    macs: int
    read: int
    written: int
    compared: bool

    @property
    def fusion(self) -> str:
        """How the two sides cut it differently; empty where they do not."""
        if len(self.kernels) == len(self.tvm) == 1:
            return ""
        return f"ours {len(self.kernels)}, TVM's {len(self.tvm)}"


@dataclass
class _Side:
    """One side's account of a group: multiply-accumulates, elements of values by name, and of weights and biases."""

    macs: int
    reads: dict[str, int]
    writes: dict[str, int]
    weights: int

    def renamed(self, names: Mapping[str, str]) -> _Side:
        """The same with other names of values."""
        reads, writes = (
            {names.get(name, name): elements for name, elements in values.items()}
            for values in (self.reads, self.writes)
        )
        return _Side(self.macs, reads, writes, self.weights)


def compare(model: OnnxModel, lowered: Lowered) -> tuple[Group, ...]:
    """TVM's kernels beside ours, in order.

    Args:
        model: The model, of float32.
        lowered: The same, by TVM.

    Raises:
        InputError: The model has values of fewer bits, of which TVM has another view.
        EvaluationError: The two disagree (its kind is ``disagreement``); names the kernel.
    """
    workload = float_workload(model)
    owner = owners(model, workload)
    kernels = [kernel for kernel in lowered.kernels if not kernel.view]
    groups = _cut(model, owner, workload.kernels.names, kernels)
    consumers, first = _consumers(lowered), _first(model)
    result = []
    for ours, theirs in groups:
        names = [workload.kernels.names[k] for k in ours]
        mine = _ours(workload, ours).renamed(first)
        other = _theirs(model, owner, lowered, [kernels[t] for t in theirs], consumers).renamed(first)
        compared = not any(name in model.foreign for name in names)
        if any(_normalises(model, output) for t in theirs for output in kernels[t].nodes):
            mine.weights = 0
        if compared:
            _check(names, [kernels[t].name for t in theirs], mine, other)
        result.append(
            Group(
                tuple(names),
                tuple(kernels[t] for t in theirs),
                mine.macs,
                sum(mine.reads.values()),
                sum(mine.writes.values()),
                compared,
            )
        )
    return tuple(result)


def float_workload(model: OnnxModel) -> Workload:
    """The model's Workload with one byte a value.

    Raises:
        InputError: The model is not float32 throughout.
    """
    workload = model.workload(bits=_BITS)
    columns = (workload.kernels[name] for name in BIT_COLUMNS)
    if model.bits != FLOAT_BITS or any((values != _BITS).any() for values in columns):
        raise InputError(
            "TVM's view is of float32 models, and this one is quantised; give the model before quantisation"
        )
    return workload


def _normalises(model: OnnxModel, output: str) -> bool:
    """Whether an ONNX node is a batch normalisation."""
    node = model.values.get(output)
    source = model.sources.get(node.id) if node is not None else None
    return source is not None and source.op_type == "BatchNormalization"


def owners(model: OnnxModel, workload: Workload) -> dict[str, str]:
    """Id of each node -> the buffer that its value is in: that of a kernel, or of a graph input."""
    buffers = set(workload.buffers.names)
    owner: dict[str, str] = {}
    for node in model.order:
        if node.id in buffers or not isinstance(node, Op):
            owner[node.id] = node.id
        else:
            owner[node.id] = owner[node.data_operands()[0].id]
    return owner


def _first(model: OnnxModel) -> dict[str, str]:
    """Id of each node -> id of the first that computes the same: TVM's side has that as one value."""
    known: dict[Hashable, str] = {}
    first: dict[str, str] = {}
    for node in model.order:
        source = model.sources.get(node.id)
        if source is None:
            first[node.id] = node.id
            continue
        operands = tuple(_computed(model, first, name) for name in source.input)
        attributes = tuple(sorted(attribute.SerializeToString() for attribute in source.attribute))
        key = (source.domain, source.op_type, operands, attributes)
        first[node.id] = known.setdefault(key, node.id)
    return first


def _computed(model: OnnxModel, first: Mapping[str, str], name: str) -> tuple[str, int]:
    """A value by the first node that computes it and its place among the results."""
    node = model.values.get(name)
    source = model.sources.get(node.id) if node is not None else None
    if node is None or source is None:
        return name, 0
    return first[node.id], list(source.output).index(name) if name in source.output else 0


def _cut(
    model: OnnxModel, owner: Mapping[str, str], names: tuple[str, ...], kernels: list[TvmKernel]
) -> list[tuple[list[int], list[int]]]:
    """Our kernels and TVM's in the smallest groups that share no ONNX node."""
    index = {name: k for k, name in enumerate(names)}
    parent = list(range(len(names) + len(kernels)))

    def root(item: int) -> int:
        while parent[item] != item:
            item = parent[item]
        return item

    for t, kernel in enumerate(kernels):
        for output in kernel.nodes:
            node = model.values.get(output)
            k = index.get(owner[node.id]) if node is not None else None
            if k is not None:
                parent[root(len(names) + t)] = root(k)
    members: dict[int, tuple[list[int], list[int]]] = {}
    for item in range(len(parent)):
        ours, theirs = members.setdefault(root(item), ([], []))
        (ours if item < len(names) else theirs).append(item if item < len(names) else item - len(names))
    return list(members.values())


def _consumers(lowered: Lowered) -> dict[str, set[int]]:
    """Value -> kernels that read it, by identity; what a view reads is read by those that read the view."""
    consumers: dict[str, set[int]] = {}
    for kernel in reversed(lowered.kernels):
        if kernel.view:
            for value in kernel.reads:
                for written in kernel.writes:
                    consumers.setdefault(value.id, set()).update(consumers.get(written.id, set()))
                    if written.name in lowered.outputs:
                        consumers[value.id].add(-1)
        else:
            for value in kernel.reads:
                consumers.setdefault(value.id, set()).add(id(kernel))
    for kernel in lowered.kernels:
        for value in kernel.writes:
            if value.name in lowered.outputs:
                consumers.setdefault(value.id, set()).add(-1)
    return consumers


def _ours(workload: Workload, group: list[int]) -> _Side:
    kernels, buffers = workload.kernels, workload.buffers
    inside = {kernels.names[k] for k in group}
    outside = [k for k in range(len(kernels)) if k not in set(group)]
    sizes = dict(zip(buffers.names, buffers.bytes[0].tolist(), strict=True))
    read = [buffers.names[b] for b in np.flatnonzero(workload.reads[group].any(axis=0))]
    taken = workload.reads[outside].any(axis=0) | buffers.output[0]
    written = [name for b, name in enumerate(buffers.names) if name in inside and taken[b]]
    return _Side(
        sum(int(kernels["macs"][0, k]) for k in group),
        {name: sizes[name] for name in read if name not in inside},
        {name: sizes[name] for name in written},
        sum(int(kernels["weights"][0, k] + kernels["bias"][0, k]) for k in group),
    )


def _theirs(
    model: OnnxModel,
    owner: Mapping[str, str],
    lowered: Lowered,
    group: list[TvmKernel],
    consumers: Mapping[str, set[int]],
) -> _Side:
    sources = {w.id: k.reads[0] for k in lowered.kernels if k.view for w in k.writes}
    inside = {id(kernel) for kernel in group}
    made = {value.id for kernel in group for value in kernel.writes}
    reads, writes = {}, {}
    for kernel in group:
        for value in kernel.reads:
            origin = value
            while origin.id in sources:
                origin = sources[origin.id]
            if not value.constant and origin.id not in made:
                reads[_buffer(model, owner, origin.name)] = origin.elements
        for value in kernel.writes:
            if consumers.get(value.id, set()) - inside:
                writes[_buffer(model, owner, value.name)] = value.elements
    constants = {value.id: value.elements for kernel in group for value in kernel.reads if value.constant}
    return _Side(sum(kernel.macs for kernel in group), reads, writes, sum(constants.values()))


def _buffer(model: OnnxModel, owner: Mapping[str, str], name: str) -> str:
    """Our buffer that an ONNX value is in; TVM's own word for a value that is none."""
    node = model.values.get(name)
    return owner[node.id] if node is not None else name or "a value inside of an ONNX node"


def _check(names: list[str], tvm: list[str], ours: _Side, theirs: _Side) -> None:
    """Compare the two accounts of a group.

    Raises:
        EvaluationError: They differ.
    """
    where = f"kernel {', '.join(names) or '(none)'}, in TVM {', '.join(tvm) or '(none)'}"
    differences = [] if ours.macs == theirs.macs else [f"{ours.macs:,} MACs, by TVM {theirs.macs:,}"]
    for what, mine, other in (("reads", ours.reads, theirs.reads), ("writes", ours.writes, theirs.writes)):
        if mine != other:
            differences.append(f"{what} {_elements(mine.items())}, by TVM {_elements(other.items())}")
    # A number that a kernel of ours has as a parameter may be a constant of the file.
    if ours.weights and ours.weights != theirs.weights:
        differences.append(f"{ours.weights:,} weights and biases, by TVM {theirs.weights:,}")
    if differences:
        raise EvaluationError(
            f"our Workload and TVM disagree on {where}: {'; '.join(differences)}; please report this model",
            kind="disagreement",
        )


def _elements(values: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{elements:,} elements of {name}" for name, elements in values) or "nothing"
