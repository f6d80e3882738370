"""How large the space of a document may be, so that every document ends in a space or in a message within seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from hannah_hw.spaces.declarative.problems import fail

#: Values of one parameter.
MAX_LEVELS: Final = 1 << 16
#: Positions of one code.
MAX_POSITIONS: Final = 1000
#: Parameters of one document.
MAX_PARAMETERS: Final = 2000
#: Blocks of one network, those in blocks counted too.
MAX_BLOCKS: Final = 1000
#: Largest size, count or width: that of a 32-bit integer.
MAX_SIZE: Final = 2**31 - 1

_left: ContextVar[Iterator[int]] = ContextVar("hannah_hw_blocks_left")


@contextmanager
def limited_blocks() -> Iterator[None]:
    """Inside, one network is built, and `count_block` counts its blocks."""
    token = _left.set(iter(range(MAX_BLOCKS)))
    try:
        yield
    finally:
        _left.reset(token)


def count_block() -> None:
    """One more block is about to be built.

    Raises:
        SpaceError: The network has too many (E_SIZE).
    """
    left = _left.get(None)
    if left is not None and next(left, None) is None:
        fail("E_SIZE", "", f"the network has more than {MAX_BLOCKS} blocks; repeat fewer")
