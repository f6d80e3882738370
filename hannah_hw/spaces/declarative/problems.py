"""What is wrong or odd in a document, said with the place in the file.

While a block is built, the framework knows which part of which document it is; `fail` and `warn` add that place.
A block that Python calls directly has no document: then the message has the field alone.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from hannah_hw.documents import Path_
from hannah_hw.errors import SpaceError
from hannah_hw.wording import saying, shortened


class SpaceWarning(UserWarning):
    """A document loads, but is probably not what its author meant.

    Args:
        message: What is odd.
        code: A short stable name, such as ``W_BITS_UNUSED``; ends the message in brackets.
        where: ``file:line:column field``.
    """

    def __init__(self, message: str, *, code: str, where: str = "") -> None:
        self.code = code
        self.where = where
        super().__init__(f"{where}: {message} [{code}]" if where else f"{message} [{code}]")


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


#: Keys that make a mapping a parameter; see `hannah_hw.spaces.declarative.values`.
FORMS: Final = ("choice", "int", "float", "code")

#: The beginning of a place in a document.
_LINE: Final = re.compile(r"(?P<file>.+?):(?P<line>\d+):\d+( |$)")

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


def field_path(field: str | Path_) -> Path_:
    """The path of a field in dotted form; ``items.stride.2`` has the position 2."""
    if isinstance(field, tuple):
        return field
    return tuple(int(part) if part.isdecimal() else part for part in field.split(".") if part)


def fail(
    code: str, field: str | Path_, message: str, *, allowed: Iterable[str] = (), given: str = ""
) -> NoReturn:
    """Refuse the block that is being built.

    Args:
        code: A short stable name of the mistake, such as ``E_WIDTH``.
        field: The field of the block that is wrong, such as ``out_plane`` or ``items.stride.2``, or its path; empty
            for the block as a whole.
        message: What is wrong, as it goes on after the field: ``is 7, the layer ends with 512 channels``.
        allowed: See `hannah_hw.errors.InputError`.
        given: See `hannah_hw.errors.InputError`.

    Raises:
        SpaceError: Always.
    """
    where = current_site().at(*field_path(field)).where
    raise SpaceError(message, code=code, where=where, allowed=allowed, given=given)


def warn(code: str, message: str, *, field: str | Path_ = "") -> None:
    """Say that something about the block that is being built is odd; kept in the space's ``warnings``.

    It is said once, although processes have a network built again. The Python warning is one of the line in the
    document.

    Args:
        code: A short stable name, such as ``W_BITS_UNUSED``.
        message: What is odd.
        field: See `fail`.
    """
    site = current_site().at(*field_path(field))
    warning = SpaceWarning(message, code=code, where=site.where)
    if current_site() is not _NOWHERE:
        if str(warning) in map(str, site.warnings):
            return
        site.warnings.append(warning)
    place = _LINE.match(site.where)
    if place is None:
        warnings.warn(warning, stacklevel=3)
    else:
        warnings.warn_explicit(warning, SpaceWarning, place["file"], int(place["line"]))


def problem(kind: str, message: str, *, loc: tuple[str | int, ...] = (), **context: Any) -> ValidationError:
    """One mistake in a part of a document.

    Args:
        kind: The code of the error that the user sees.
        message: What is wrong.
        loc: Where in the part.
        context: ``allowed`` and ``given``, as in `hannah_hw.errors.InputError`.
    """
    details = PydanticCustomError("document", "{text}", {"text": message, "code": kind, **context})
    return ValidationError.from_exception_data(
        "document", [InitErrorDetails(type=details, loc=loc, input=None)]
    )


@contextmanager
def placed(*loc: str | int) -> Iterator[None]:
    """Mistakes that are found inside are in a part: ``loc`` says which."""
    try:
        yield
    except ValidationError as failure:
        errors = [
            InitErrorDetails(type=_kind(e), loc=(*loc, *e["loc"]), input=e["input"], ctx=e.get("ctx", {}))
            for e in failure.errors()
        ]
        raise ValidationError.from_exception_data("document", errors) from failure


def _kind(error: ErrorDetails) -> str | PydanticCustomError:
    """The kind of a mistake that pydantic found; our own kinds are made anew."""
    if error["type"] not in ("document", "boolean", "form"):
        return error["type"]
    return PydanticCustomError("document", "{text}", {"text": error["msg"], **error.get("ctx", {})})


#: What pydantic calls a mistake -> the code of the error that the user sees; anything else is an E_VALUE.
_CODES: Final = {"missing": "E_MISSING"}


def space_error(failure: ValidationError, site: Site) -> SpaceError:
    """The mistake that a user sees of those that pydantic found.

    A misspelt field is also a missing one; the misspelling is what helps.

    Args:
        failure: What pydantic found.
        site: The document, or the part of it that was read.
    """
    found = failure.errors()
    first = next((e for e in found if e.get("ctx", {}).get("code") == "E_FIELD"), found[0])
    context = first.get("ctx", {})
    path = tuple(part for part in first["loc"] if not str(part).startswith(("<", "[")))
    if first["type"] == "missing":
        message, path = f"the field {path[-1]!r} is missing", path[:-1]
    elif first["loc"][-1:] == ("[key]",):
        message, path = _name_saying(first["input"]), path if isinstance(first["input"], str) else path[:-1]
    else:
        message = context.get("text") or _value_saying(first)
    return SpaceError(
        message,
        code=context.get("code") or _CODES.get(first["type"], "E_VALUE"),
        where=site.at(*path).where,
        allowed=context.get("allowed", ()),
        given=context.get("given", ""),
    )


def _name_saying(name: object) -> str:
    """What is wrong with the name of a module."""
    text = f"the name is {shortened(name)}; it must be text of up to 64 letters, digits, '_' and '-'"
    return text if isinstance(name, str) else f"{text}; quote it"


def _value_saying(error: ErrorDetails) -> str:
    """What is wrong with a value; mappings that are parameters, or look like one, are told what they are."""
    message, given = saying(error), error["input"]
    if not isinstance(given, Mapping):
        return message
    if error["type"].endswith("_type") and given.keys() & FORMS:
        inside = any(str(part).startswith("<") and part not in ("<value>", "<list>") for part in error["loc"])
        if inside:
            return "is a parameter inside of another one; give plain values"
        return f"cannot be searched, for the network does not depend on it; it {message}"
    hints = [form for key in given for form in difflib.get_close_matches(str(key), FORMS, n=1)]
    return f"{message}; did you mean {hints[0]!r}?" if error["type"] == "form" and hints else message
