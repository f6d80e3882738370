"""Node ids: deterministic, readable, given once when a node is made.

Two forms. Inside `search_space` every name is counted in the scope that it is made in:
``net_0.block_1.Conv2d_0``. Without it, a name is counted among the nodes that it is connected to:
``Conv2d_0``, ``block_1.conv_relu_2.Conv2d_0``; names at the top of the graph count inside a scope too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from hannah_hw.graph.node import Node

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class _Frame:
    """A scope that is being executed.

    Attributes:
        prefix: What ids made here begin with, dot included.
        counts: Name -> how often it was used in this scope; None outside `search_space`.
    """

    prefix: str
    counts: dict[str, int] | None


_OUTSIDE: Final = _Frame("", None)
_frame: ContextVar[_Frame] = ContextVar("hannah_hw_scope", default=_OUTSIDE)


def prefix() -> str:
    """What ids made in the current scope begin with."""
    return _frame.get().prefix


def next_name(base: str, connected: Iterable[Node]) -> str:
    """The next free ``base_n`` of the current scope, without its prefix.

    Args:
        base: Name of an operator or of a scope.
        connected: Nodes that the new one is attached to; outside `search_space` their whole connected graph
            is looked through.
    """
    frame = _frame.get()
    if frame.counts is not None:
        number = frame.counts.get(base, 0)
        frame.counts[base] = number + 1
        return f"{base}_{number}"
    pattern = re.compile(re.escape(base) + r"_(\d+)(?:\.|$)")
    number = 0
    for node in _component(connected):
        match = pattern.match(node.id.removeprefix(frame.prefix))
        if match is not None:
            number = max(number, int(match[1]) + 1)
    return f"{base}_{number}"


def _component(nodes: Iterable[Node]) -> Iterator[Node]:
    stack = list(nodes)
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(node.operands)
            stack.extend(node.users)


@contextmanager
def _entered(frame: _Frame) -> Iterator[None]:
    token = _frame.set(frame)
    try:
        yield
    finally:
        _frame.reset(token)


@contextmanager
def counted(prefix: str) -> Iterator[None]:
    """Ids made inside begin with a prefix and are counted from 0, whatever exists outside."""
    with _entered(_Frame(prefix, {})):
        yield


def scope(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a block: ids of the nodes that it makes begin with the block's name and its count."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        outer = _frame.get()
        name = next_name(function.__name__, _nodes_in([*args, *kwargs.values()]))
        counts: dict[str, int] | None = {} if outer.counts is not None else None
        with _entered(_Frame(f"{outer.prefix}{name}.", counts)):
            return function(*args, **kwargs)

    return wrapper


def search_space(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a function that builds a whole space: ids begin with its name and 0, at every call.

    Catalogue files (`hannah_hw.load_space`) hold such functions.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with counted(f"{function.__name__}_0."):
            return function(*args, **kwargs)

    wrapper.is_search_space = True  # type: ignore[attr-defined]
    return wrapper


def _nodes_in(values: Iterable[Any]) -> Iterator[Node]:
    from hannah_hw.graph.node import Node

    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, list | tuple):
            yield from _nodes_in(value)
