"""The graph of a space as a tree of scopes, with repeated scopes folded: what is listed and drawn of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from hannah_hw.expressions import Evaluator, Expression, leaves
from hannah_hw.graph import ChoiceOp, Op, Tensor, parameters_by_node
from hannah_hw.graph.node import flat_values
from hannah_hw.parameters import FloatScalarParameter, Parameter
from hannah_hw.spaces.space import SearchSpace

#: The name of a scope, and the number that was counted for it.
_COUNTED: Final = re.compile(r"(.*)_(\d+)")


@dataclass(frozen=True)
class Block:
    """An operator with its weights, a choice, or a graph input.

    Attributes:
        id: Id of the node.
        kind: Class of the operator; ``Input`` for a graph input.
        inputs: Ids of the nodes whose data it takes; of a choice, its options.
        parameters: Ids of the parameters that its attributes and weights are the first to use.
        shape: Output shape in the default candidate; None where that does not have the node.
    """

    id: str
    kind: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    shape: tuple[int, ...] | None

    @property
    def is_choice(self) -> bool:
        """Whether the inputs are options, of which a candidate has one."""
        return self.kind == "ChoiceOp"


@dataclass(frozen=True)
class Scope:
    """What a function with `hannah_hw.scope` built.

    Attributes:
        id: What the ids of all in it begin with; empty for the root of a graph that has none.
        items: Its blocks and scopes, operands before users.
        repeats: Ids of the scopes that this one stands for, itself first.
    """

    id: str
    items: tuple[Item, ...]
    repeats: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name; of several, the first's, and the last one's number: ``block_1 ... 3``."""
        last = f" ... {self.repeats[-1].rpartition('_')[2]}" if len(self.repeats) > 1 else ""
        return local_name(self.id) + last

    @property
    def blocks(self) -> list[Block]:
        """The blocks that are directly in it."""
        return [item for item in self.items if isinstance(item, Block)]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the last value that the default candidate has of it."""
        shapes = [block.shape for block in every_block(self) if block.shape is not None]
        return shapes[-1] if shapes else None


Item: TypeAlias = "Block | Scope"


def every_block(scope: Scope) -> Iterator[Block]:
    """All blocks in a scope and in its scopes."""
    for item in scope.items:
        if isinstance(item, Block):
            yield item
        else:
            yield from every_block(item)


def local_name(item_id: str) -> str:
    """An id without the scope that it is in."""
    return item_id.rpartition(".")[2]


def outline(space: SearchSpace, *, fold: bool = True) -> Scope:
    """The graph of a space by scope.

    Args:
        space: The space.
        fold: Make one of scopes that follow each other and differ in nothing but their input: the same operators,
            connections, and parameters with the same values. What reads one of them reads the one that stands for
            them.
    """
    owner = {
        node.id: node.owner.id if isinstance(node, Tensor) and node.owner is not None else node.id
        for node in space.order
    }
    first_used: dict[str, list[str]] = {}
    for name, parameters in parameters_by_node(space.outputs).items():
        first_used.setdefault(owner[name], []).extend(parameters)
    shapes = _default_shapes(space)
    blocks = [
        Block(
            node.id,
            type(node).__name__ if isinstance(node, Op) else "Input",
            tuple(operand.id for operand in node.data_operands()) if isinstance(node, Op) else (),
            tuple(first_used.get(node.id, ())),
            shapes.get(node.id),
        )
        for node in space.order
        if owner[node.id] == node.id
    ]
    root = _tree(blocks, "")
    while len(root.items) == 1 and isinstance(root.items[0], Scope):
        root = root.items[0]
    return _Folding(space).fold(root) if fold else root


def _default_shapes(space: SearchSpace) -> dict[str, tuple[int, ...]]:
    """Node id -> shape, for the nodes of the default candidate."""
    evaluate = Evaluator(space.default())
    active = {id(output) for output in space.outputs}
    for node in reversed(space.order):
        if id(node) in active:
            active.update(map(id, [node.chosen(evaluate)] if isinstance(node, ChoiceOp) else node.operands))
    return {node.id: tuple(evaluate(node.shape())) for node in space.order if id(node) in active}


def _tree(blocks: Iterable[Block], scope_id: str) -> Scope:
    """The scope of some blocks, all of which are in it."""
    start = len(scope_id) + 1 if scope_id else 0
    inner: dict[str, list[Block]] = {}
    items: dict[str, Block | None] = {}
    for block in blocks:
        head, dot, _ = block.id[start:].partition(".")
        path = block.id[:start] + head
        items[path] = None if dot else block
        if dot:
            inner.setdefault(path, []).append(block)
    return Scope(
        scope_id,
        tuple(block if block is not None else _tree(inner[path], path) for path, block in items.items()),
        (scope_id,),
    )


class _Folding:
    """Finds scopes that are alike, and keeps one of each row.

    Args:
        space: The space that the scopes are of.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._nodes = {node.id: node for node in space.order}
        self._parameters = space.parameters
        #: Id of a scope that was folded -> that of the one that stands for it.
        self._stands: dict[str, str] = {}

    def fold(self, root: Scope) -> Scope:
        """The tree with every row of scopes folded."""
        return self._redirected(self._folded(root))

    def _folded(self, scope: Scope) -> Scope:
        items: list[Item] = []
        signature: Any = None
        for item in scope.items:
            if isinstance(item, Block):
                items.append(item)
                signature = None
                continue
            before, signature = signature, self._signature(item)
            row = items[-1] if items else None
            if before == signature and isinstance(row, Scope) and _follows(item, row.repeats[-1]):
                items[-1] = replace(row, repeats=(*row.repeats, item.id))
                self._stands[item.id] = row.id
            else:
                items.append(self._folded(item))
        return replace(scope, items=tuple(items))

    def _signature(self, scope: Scope) -> Any:
        """What a scope is, whatever it is called and fed by; equal for scopes that may be folded."""
        start = len(scope.id) + 1
        outer: dict[str, int] = {}
        rows = []
        for block in every_block(scope):
            inputs = tuple(
                name[start:] if name.startswith(f"{scope.id}.") else outer.setdefault(name, len(outer))
                for name in block.inputs
            )
            own = tuple((name[start:], _values(self._parameters[name])) for name in block.parameters)
            rows.append((block.id[start:], block.kind, inputs, own, self._attributes(block, scope.id)))
        return tuple(rows)

    def _attributes(self, block: Block, scope_id: str) -> Any:
        """Plain attributes of an operator and plain sizes of its weights; of expressions, the scope's parameters."""
        node = self._nodes[block.id]
        parts = [node, *(o for o in node.operands if isinstance(o, Tensor) and o.owner is node)]
        found: list[str] = []
        for part in parts:
            for name, value in part.expressions().items():
                plain = [v for v in flat_values(value) if not isinstance(v, Expression)]
                found.append(f"{name}={plain}")
                if part is node:
                    ids = {p.id for p in leaves(flat_values(value)) if isinstance(p, Parameter)}
                    found += sorted(i[len(scope_id) :] for i in ids if i.startswith(f"{scope_id}."))
        return tuple(found)

    def _redirected(self, scope: Scope) -> Scope:
        """The tree with inputs from scopes that are still there; a choice keeps as many inputs as it has options."""
        items: list[Item] = []
        for item in scope.items:
            if isinstance(item, Scope):
                items.append(self._redirected(item))
            else:
                items.append(replace(item, inputs=tuple(map(self._stand_in, item.inputs))))
        return replace(scope, items=tuple(items))

    def _stand_in(self, name: str) -> str:
        """The id of the block that stands for a block."""
        parts = name.split(".")
        for length in range(1, len(parts)):
            path = self._stands.get(".".join(parts[:length]))
            if path is not None:
                return self._stand_in(".".join([path, *parts[length:]]))
        return name


def _follows(scope: Scope, before: str) -> bool:
    """Whether a scope has the next number of the same name, and takes all of its inputs from the one before it."""
    mine, other = _COUNTED.fullmatch(scope.id), _COUNTED.fullmatch(before)
    if mine is None or other is None or (mine[1], int(mine[2])) != (other[1], int(other[2]) + 1):
        return False
    inputs = {name for block in every_block(scope) for name in block.inputs}
    return all(name.startswith((f"{scope.id}.", f"{before}.")) for name in inputs)


def _values(parameter: Parameter) -> Any:
    """What a parameter can be."""
    if isinstance(parameter, FloatScalarParameter):
        return parameter.min, parameter.max
    return parameter.levels
