"""What is wrong or odd in a document, said with the place in the file.

While a block is built, the framework knows which part of which document it is; `fail` and `warn` add that place.
A block that Python calls directly has no document: then the message has the field alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from hannah_hw.documents import Path_
from hannah_hw.errors import SpaceError, SpaceWarning


@dataclass(frozen=True)
class Site:
    """A part of a document.

    Attributes:
        locate: Path in the document -> ``file:line:column path``.
        path: The part.
        warnings: What was warned of in the document so far.
    """

    locate: Callable[[Path_], str]
    path: Path_ = ()
    warnings: list[SpaceWarning] = field(default_factory=list)

    def at(self, *path: str | int) -> Site:
        """A part of this part."""
        return replace(self, path=(*self.path, *path))

    @property
    def where(self) -> str:
        """``file:line:column path``."""
        return self.locate(self.path)


_NOWHERE: Final = Site(lambda path: ".".join(map(str, path)))
_site: ContextVar[Site] = ContextVar("hannah_hw_document_site", default=_NOWHERE)


def current_site() -> Site:
    """The part of a document that is being built."""
    return _site.get()


@contextmanager
def entered(site: Site) -> Iterator[None]:
    """Inside, `fail` and `warn` speak of a part of a document."""
    token = _site.set(site)
    try:
        yield
    finally:
        _site.reset(token)


def field_path(text: str) -> Path_:
    """The path of a field in dotted form; ``items.stride.2`` has the position 2."""
    return tuple(int(part) if part.isdecimal() else part for part in text.split(".") if part)


def fail(code: str, field: str, message: str, *, allowed: Iterable[str] = (), given: str = "") -> NoReturn:
    """Refuse the block that is being built.

    Args:
        code: A short stable name of the mistake, such as ``E_WIDTH``.
        field: The field of the block that is wrong, such as ``out_plane`` or ``items.stride.2``; empty for the
            block as a whole.
        message: What is wrong, as it goes on after the field: ``is 7, the layer ends with 512 channels``.
        allowed: See `hannah_hw.errors.InputError`.
        given: See `hannah_hw.errors.InputError`.

    Raises:
        SpaceError: Always.
    """
    where = current_site().at(*field_path(field)).where
    raise SpaceError(message, code=code, where=where, allowed=allowed, given=given)


def warn(code: str, message: str, *, field: str = "") -> None:
    """Say that something about the block that is being built is odd; kept in the space's ``warnings``.

    Args:
        code: A short stable name, such as ``W_BITS_UNUSED``.
        message: What is odd.
        field: See `fail`.
    """
    site = current_site().at(*field_path(field))
    warning = SpaceWarning(message, code=code, where=site.where)
    site.warnings.append(warning)
    warnings.warn(warning, stacklevel=3)
