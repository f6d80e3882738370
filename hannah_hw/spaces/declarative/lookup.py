"""From the ``type`` of a document to the function that it names."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import SpaceError, raised_at
from hannah_hw.spaces.declarative.definitions import Definition, blocks, processes
from hannah_hw.spaces.modules import execute
from hannah_hw.wording import shortened

#: Installed packages offer blocks and processes under this name.
ENTRY_POINTS: Final = "hannah_hw.blocks"


@dataclass(frozen=True)
class Lookup:
    """Finds the functions that a document names.

    A document is data: it may name what is registered, and what installed packages offer as entry points. A type
    with a colon imports or executes a file, which is for the user to allow.

    Attributes:
        folder: Where ``file.py:function`` is looked for; the document's folder.
        allow_code: Whether types with a colon may be imported.
    """

    folder: Path | None = None
    allow_code: bool = False

    def types(self, process: bool = False) -> list[str]:
        """The names of what is registered or offered by installed packages."""
        known = processes() if process else blocks()
        return sorted({*known, *_offered()})

    def find(self, type: Any, *, process: bool = False) -> Definition:
        """What a type names.

        Args:
            type: The type in the document.
            process: Whether a process is meant, not a block.

        Raises:
            SpaceError: There is no such type, it needs a permission, or its code does not run.
        """
        what = "process" if process else "block"
        if not isinstance(type, str):
            raise SpaceError(f"the type is {shortened(type)}; it must be the name of a {what}", code="E_TYPE")
        known = processes() if process else blocks()
        if type in known:
            return known[type]
        if type in _offered():
            return _registered(_loaded(_offered()[type]), type)
        if ":" in type:
            return _registered(self._code(type), type)
        text = f"unknown {what} {shortened(type)}"
        raise SpaceError(text, code="E_TYPE", allowed=self.types(process), given=type)

    def _code(self, type: str) -> Callable[..., Any]:
        if not self.allow_code:
            raise SpaceError(
                f"the type {shortened(type)} executes Python code, which a document may do only if you allow it; if "
                "you trust the file: load_space(..., allow_code=True), hannah-hw spaces ... --allow-code, or in a "
                "search configuration space: {name: ..., allow_code: true}",
                code="E_CODE",
            )
        source, _, name = type.rpartition(":")
        module = self._file(source) if source.endswith(".py") else _imported(source)
        function = getattr(module, name, None)
        if not callable(function):
            functions = [key for key, value in vars(module).items() if _is_own_function(value, module)]
            raise SpaceError(
                f"{source} has no function {name!r}", code="E_TYPE", allowed=functions, given=name
            )
        found: Callable[..., Any] = function
        return found

    def _file(self, source: str) -> Any:
        if self.folder is None:
            raise SpaceError(f"{source!r} is relative to a document without a file", code="E_CODE")
        folder = self.folder.resolve()
        path = (folder / source).resolve()
        if not path.is_relative_to(folder):
            raise SpaceError(
                f"{source!r} is not inside of the folder of the document, {folder}", code="E_CODE"
            )
        return execute(path)


def _is_own_function(value: Any, module: Any) -> bool:
    """Whether a module defines something as a function, and does not merely import it."""
    return inspect.isfunction(value) and value.__module__ == module.__name__


@functools.cache
def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _loaded(point: EntryPoint) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = point.load()
    except Exception as error:
        raise SpaceError(
            f"the entry point {point.name} = {point.value} does not load: {type(error).__name__}: {error}",
            code="E_TYPE",
        ) from error
    return function


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise SpaceError(
            f"the module {name!r} cannot be imported: {type(error).__name__}: {error}",
            code="E_TYPE",
            where=raised_at(error),
        ) from error


def _registered(function: Callable[..., Any], type: str) -> Definition:
    """A function as a definition: with the facts of its decorator if it has one."""
    for known in (*blocks().values(), *processes().values()):
        if known.function is function:
            return Definition(type, function, known.classes, known.facts)
    return Definition(type, function)
