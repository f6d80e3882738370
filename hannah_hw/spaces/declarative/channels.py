"""How many of its channels a residual network keeps: a rule that blocks ask while they are built.

Without a rule all are kept. The channels of a network are of two kinds. Those inside a block are read by the next
convolution only. Those between blocks, a *node*, are shared: all blocks of a stage add to the same channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from hannah_hw.expressions import Expression, Scalar
from hannah_hw.spaces.declarative.problems import fail

#: Channels between blocks, or between two convolutions of a block.
Kind = Literal["node", "inner"]


class KeptChannels:
    """A rule: what is kept of a full width.

    A stem begins a node, and so does the first block behind it, a block with a stride, and a block whose full width
    is not that of the block before. Any other block adds to the node before.
    """

    def __init__(self) -> None:
        #: The full width of the node that blocks add to, and what is kept of it.
        self._stage: tuple[Scalar, Scalar] | None = None

    def row(self, kind: Kind, full: Scalar) -> Scalar:
        """What is kept of the next width of a kind."""
        raise NotImplementedError

    def stem(self, full: Scalar) -> Scalar:
        """What is kept of a stem's channels."""
        self._stage = None
        return self.row("node", full)

    def node(self, full: Scalar, stride: Scalar) -> Scalar:
        """What is kept of the channels that a block with a stride adds to."""
        if self._stage is None or not _certainly(self._stage[0] == full) or not _certainly(stride == 1):
            self._stage = (full, self.row("node", full))
        return self._stage[1]


def _certainly(condition: Scalar) -> bool:
    return not isinstance(condition, Expression) and bool(condition)


_make: ContextVar[Callable[[], KeptChannels] | None] = ContextVar("hannah_hw_kept_channels", default=None)
_rule: ContextVar[KeptChannels | None] = ContextVar("hannah_hw_kept_channels_rule", default=None)


@contextmanager
def keeping(make: Callable[[], KeptChannels]) -> Iterator[None]:
    """Every network that is built inside keeps what a rule of its own says.

    Raises:
        SpaceError: Another rule says already what is kept (E_CONFLICT).
    """
    if _make.get() is not None:
        fail("E_CONFLICT", "", "another process says already how many channels are kept")
    token = _make.set(make)
    try:
        yield
    finally:
        _make.reset(token)


@contextmanager
def one_network() -> Iterator[None]:
    """Inside, one network is built."""
    make = _make.get()
    token = _rule.set(None if make is None else make())
    try:
        yield
    finally:
        _rule.reset(token)


def kept_stem(full: Scalar) -> Scalar:
    """What is kept of a stem's channels."""
    rule = _rule.get()
    return full if rule is None else rule.stem(full)


def kept_inner(full: Scalar) -> Scalar:
    """What is kept of the channels between two convolutions of a block."""
    rule = _rule.get()
    return full if rule is None else rule.row("inner", full)


def kept_node(full: Scalar, stride: Scalar) -> Scalar:
    """What is kept of the channels that a block with a stride adds to."""
    rule = _rule.get()
    return full if rule is None else rule.node(full, stride)
