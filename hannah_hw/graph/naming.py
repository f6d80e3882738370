"""Node ids: deterministic, readable, given once when a node is made.

Two forms. Inside `search_space` every name is counted in the scope that it is made in:
``net_0.block_1.Conv2d_0``. Without it, a name is counted among the nodes that it is connected to:
``Conv2d_0``, ``block_1.conv_relu_2.Conv2d_0``; names at the top of the graph count inside a scope too.
What a connected graph has counted is kept in one `Names` that all its nodes share, so that the next name is
found without walking the graph.
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
#: A part of an id that ends in a number.
_NUMBERED: Final = re.compile(r"(?:(?<=\.)|^)([^.]*)_(\d+)(?=\.|$)")
_frame: ContextVar[_Frame] = ContextVar("hannah_hw_scope", default=_OUTSIDE)


def prefix() -> str:
    """What ids made in the current scope begin with."""
    return _frame.get().prefix


def next_name(base: str, connected: Iterable[Node]) -> str:
    """The next free ``base_n`` of the current scope, without its prefix.

    Args:
        base: Name of an operator or of a scope.
        connected: Nodes that the new one is attached to; they count outside `search_space`.
    """
    frame = _frame.get()
    if frame.counts is not None:
        number = frame.counts.get(base, 0)
        frame.counts[base] = number + 1
        return f"{base}_{number}"
    number = max(
        (node._names.root().highest(frame.prefix, base) for node in connected),
        default=-1,
    )
    return f"{base}_{number + 1}"


class Names:
    """The highest number that each name of a connected graph has, scope by scope.

    Connecting two graphs merges the smaller table into the larger (a union-find forest), so that building a
    graph of n nodes takes O(n log n) steps.
    """

    def __init__(self) -> None:
        self._parent: Names | None = None
        self._highest: dict[tuple[str, str], int] = {}

    def root(self) -> Names:
        """The table of the whole connected graph."""
        table = self
        while table._parent is not None:
            if table._parent._parent is not None:
                table._parent = table._parent._parent
            table = table._parent
        return table

    def highest(self, prefix: str, base: str) -> int:
        """The highest number of a name in a scope or at the top of the graph; -1 if there is none."""
        own = self._highest.get((prefix, base), -1)
        return max(own, self._highest.get(("", base), -1)) if prefix else own

    def join(self, other: Names) -> None:
        """Make one table of this one and another."""
        large, small = self.root(), other.root()
        if large is small:
            return
        if len(large._highest) < len(small._highest):
            large, small = small, large
        for key, number in small._highest.items():
            large._highest[key] = max(number, large._highest.get(key, -1))
        small._parent = large
        small._highest = {}

    def add(self, name: str) -> None:
        """Count the numbers in an id: ``block_1.Conv2d_0`` has a ``block`` at the top and a ``Conv2d`` in it."""
        table = self.root()._highest
        for match in _NUMBERED.finditer(name):
            key = name[: match.start()], match[1]
            table[key] = max(int(match[2]), table.get(key, -1))


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
