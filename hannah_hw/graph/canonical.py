"""A key of the network that a candidate builds: equal keys are isomorphic networks, whatever their nodes are called.

Nodes that compute nothing are left out, values that are computed twice from the same weights count once, sums are sets
of their terms, and the names of nodes, weights and parameters do not count. What is left is numbered in an order that
depends on its structure alone, and the key is a digest of all of it in that order. So equal keys always mean equal
networks. Nearly always equal networks have equal keys, too: where several nodes cannot be told apart by all that is
before and behind them, any of them is taken first, as they are the same node to whoever looks from outside; a graph can
be constructed for which they are not.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from hannah_hw.errors import SpaceError
from hannah_hw.graph.op import Op
from hannah_hw.graph.plan import Plan, PlanStep, Value


@dataclass(frozen=True)
class _Vertex:
    """An input, a weight or an operator.

    Attributes:
        label: All that it is by itself, as text.
        operands: Numbers of the vertices that it takes.
        commutes: Whether their order does not count.
    """

    label: str
    operands: tuple[int, ...] = ()
    commutes: bool = False


def graph_key(plan: Plan) -> str:
    """32 hexadecimal digits that equal networks share.

    Args:
        plan: A candidate's active graph.

    Raises:
        SpaceError: An operator of the user's own has an attribute that cannot be compared: anything but numbers, texts,
            arrays, and containers of them.
    """
    vertices, outputs = _reduced(plan)
    colours = _told_apart(vertices, outputs)
    order = sorted(range(len(vertices)), key=lambda vertex: colours[vertex])
    rank = {vertex: place for place, vertex in enumerate(order)}
    lines = []
    for vertex in order:
        places = [rank[operand] for operand in vertices[vertex].operands]
        lines.append((vertices[vertex].label, sorted(places) if vertices[vertex].commutes else places))
    return _digest((lines, [rank[output] for output in outputs]))


def _reduced(plan: Plan) -> tuple[list[_Vertex], tuple[int, ...]]:
    """The vertices of a plan that count, operands before users, and those that are outputs."""
    vertices: list[_Vertex] = []
    known: dict[_Vertex, int] = {}
    numbers: dict[str, int] = {}

    def add(vertex: _Vertex, *, shared: bool) -> int:
        if shared and vertex in known:
            return known[vertex]
        vertices.append(vertex)
        known[vertex] = len(vertices) - 1
        return known[vertex]

    for position, value in enumerate(plan.inputs):
        numbers[value.id] = add(_Vertex(f"input {position} {value.shape()}"), shared=False)
    for value in plan.weights.values():
        numbers[value.id] = add(_Vertex(_weight(value)), shared=False)
    users = plan.users()
    steps = {step.op.id: step for step in plan.steps}
    for step in plan.steps:
        if step.op.is_identity:
            numbers[step.op.id] = numbers[step.operands[0]]
            continue
        commutes = step.op.commutes
        terms = _terms(step, steps, users) if step.op.associates else step.operands
        operands = [numbers[name] for name in terms]
        vertex = _Vertex(_label(step), tuple(sorted(operands) if commutes else operands), commutes)
        # What is drawn at random is another value each time.
        numbers[step.op.id] = add(vertex, shared=not step.op.is_random)
    return _reached(vertices, tuple(numbers[name] for name in plan.outputs))


def _terms(step: PlanStep, steps: Mapping[str, PlanStep], users: Mapping[str, int]) -> list[str]:
    """What a chain of one kind of operator combines, whose partial results nobody else takes."""
    terms: list[str] = []
    left = list(step.operands)
    while left:
        name = left.pop()
        inner = steps[name].op if name in steps and users[name] == 1 else None
        if inner is not None and (inner.is_identity or type(inner) is type(step.op)):
            left.extend(steps[name].operands)
        else:
            terms.append(name)
    return terms


def _reached(vertices: Sequence[_Vertex], outputs: tuple[int, ...]) -> tuple[list[_Vertex], tuple[int, ...]]:
    """Without partial results that became part of a larger one."""
    active = set(outputs)
    for number in range(len(vertices) - 1, -1, -1):
        if number in active:
            active.update(vertices[number].operands)
    place = {number: index for index, number in enumerate(sorted(active))}
    kept = [vertices[number] for number in sorted(active)]
    moved = [_Vertex(v.label, tuple(place[o] for o in v.operands), v.commutes) for v in kept]
    return moved, tuple(place[output] for output in outputs)


def _told_apart(vertices: Sequence[_Vertex], outputs: Sequence[int]) -> list[int]:
    """A colour of each vertex, by its structure, no two alike."""
    users: list[list[tuple[int, int]]] = [[] for _ in vertices]
    for number, vertex in enumerate(vertices):
        for position, operand in enumerate(vertex.operands):
            users[operand].append((number, 0 if vertex.commutes else position))
    colours = [_colour(vertex.label) for vertex in vertices]
    for position, output in enumerate(outputs):
        colours[output] = hash((colours[output], position))
    while True:
        _refine(vertices, users, colours)
        counts = Counter(colours)
        tied = min((colour for colour, count in counts.items() if count > 1), default=None)
        if tied is None:
            return colours
        colours[colours.index(tied)] = hash((tied, 1))


def _refine(
    vertices: Sequence[_Vertex], users: Sequence[Sequence[tuple[int, int]]], colours: list[int]
) -> None:
    """Change the colours so that whatever has other colours before or behind it has another one itself."""
    # Numbers and tuples of them, other than texts, have the same hash in every process.
    classes = len(set(colours))
    while True:
        for number, vertex in enumerate(vertices):
            before = [colours[operand] for operand in vertex.operands]
            colours[number] = hash((colours[number], *(sorted(before) if vertex.commutes else before)))
        for number in range(len(vertices) - 1, -1, -1):
            behind = sorted((colours[user], position) for user, position in users[number])
            colours[number] = hash((colours[number], *behind))
        found = len(set(colours))
        if found == classes:
            return
        classes = found


@lru_cache(maxsize=4096)
def _colour(label: str) -> int:
    return int.from_bytes(hashlib.blake2b(label.encode(), digest_size=7).digest(), "big")


def _weight(value: Value) -> str:
    return f"weight {value.shape()} {value.grad} {value.bits} {value.channel_axis}"


def _label(step: PlanStep) -> str:
    kind = type(step.op)
    attributes = {name: _plain(value, step.op) for name, value in sorted(_attributes(step.op).items())}
    return f"{kind.__module__}.{kind.__qualname__} {attributes} {step.shape}"


def _attributes(op: Op) -> dict[str, Any]:
    """All that an operator keeps, also what is private to a user's own."""
    return {name: value for name, value in vars(op).items() if name not in _bookkeeping()}


@cache
def _bookkeeping() -> frozenset[str]:
    """Names of what every operator has, and what says nothing of its computation."""
    return frozenset(vars(Op())) | Op._structural | {"_names", "_training"}


def _plain(value: Any, op: Op) -> Any:
    """A value as something whose text says all of it."""
    if value is None or isinstance(value, bool | int | float | str | np.number):
        return repr(value.item() if isinstance(value, np.number) else value)
    if isinstance(value, tuple | list):
        return [_plain(item, op) for item in value]
    if isinstance(value, Mapping):
        return sorted((str(key), _plain(item, op)) for key, item in value.items())
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    raise SpaceError(
        f"{op.id} has an attribute of the type {type(value).__name__}, by which networks cannot be compared; "
        "keep numbers, texts and arrays"
    )


def _digest(value: object) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=16).hexdigest()
