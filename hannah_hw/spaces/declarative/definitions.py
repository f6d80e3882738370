"""The functions that documents can name, and their signatures as strict models."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Scalar

Function = TypeVar("Function", bound=Callable[..., Any])

#: Modules of this package whose import registers the blocks and processes of the library.
LIBRARY: Final[tuple[str, ...]] = ("stems", "residual", "layers", "resnet", "quant", "prune")


@dataclass(frozen=True)
class Definition:
    """A function that documents can name.

    Attributes:
        name: The type in documents.
        function: ``(x, **fields) -> Node``, or ``(network, **fields) -> Network``.
        classes: The field that says how many classes the block tells apart, if it can be the end of a network.
        facts: What outer blocks may ask.
    """

    name: str
    function: Callable[..., Any]
    classes: str | None = None
    facts: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of its scope in node ids."""
        return self.name.rpartition(":")[2]

    @functools.cached_property
    def fields(self) -> dict[str, inspect.Parameter]:
        """Field -> parameter of the function.

        Raises:
            SpaceError: The function has no data parameter, or takes fields of any name.
        """
        parameters = list(inspect.signature(self.function).parameters.values())
        named = [p for p in parameters[1:] if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if not parameters or len(named) != len(parameters) - 1:
            raise SpaceError(
                f"{self.name} must take the data and then named fields only; its signature is "
                f"{inspect.signature(self.function)}",
                code="E_BLOCK",
            )
        return {parameter.name: parameter for parameter in named}

    @property
    def required(self) -> list[str]:
        """Fields without a default."""
        return [name for name, parameter in self.fields.items() if parameter.default is parameter.empty]

    @functools.cached_property
    def model(self) -> type[BaseModel]:
        """The fields as a strict pydantic model; all are optional, for an outer block may give them.

        Its attributes are named ``field_NAME``, so that a field can have any name, with the alias ``NAME``.
        """
        description = inspect.getdoc(self.function)
        try:
            hints = get_type_hints(self.function, include_extras=True)
            for name in self.fields:
                if name not in hints:
                    text = f"the field {name!r} of {self.name} has no annotation; write what it is, such as Value[int]"
                    raise SpaceError(text, code="E_BLOCK")
            members: dict[str, Any] = {f"field_{n}": (hints[n], self._default(n)) for n in self.fields}
            return create_model(self.name, __config__=_STRICT, __doc__=description, **members)
        except SpaceError:
            raise
        except Exception as error:  # Annotations are code of users, and may fail in any way.
            text = f"an annotation of {self.name} cannot be read: {str(error).partition('. ')[0]}"
            raise SpaceError(text.partition("\n")[0], code="E_BLOCK") from error

    def _default(self, name: str) -> Any:
        """A field of the model: optional, with the alias and, for editors, the default of the function's field."""
        default = self.fields[name].default
        shown = (
            {"default": default} if default is not inspect.Parameter.empty and _is_plain(default) else None
        )
        return Field(default=None, alias=name, json_schema_extra=shown)


_STRICT: Final = ConfigDict(
    extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=()
)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple)


_blocks: Final[dict[str, Definition]] = {}
_processes: Final[dict[str, Definition]] = {}


def block(type: str, *, classes: str | None = None, **facts: Scalar) -> Callable[[Function], Function]:
    """Decorator: documents can name the function as a block.

    Args:
        type: The name in documents.
        classes: The field that says how many classes the block tells apart, if it can be the end of a network.
        facts: What outer blocks may ask with `Ref.fact`.

    Raises:
        SpaceError: The name is taken.
    """
    return _registered(_blocks, type, classes, facts)


def process(type: str) -> Callable[[Function], Function]:
    """Decorator: documents can name the function as a process, ``(network, **fields) -> Network``.

    Raises:
        SpaceError: The name is taken.
    """
    return _registered(_processes, type, None, {})


def _registered(
    registry: dict[str, Definition], type: str, classes: str | None, facts: Mapping[str, Scalar]
) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        other = registry.get(type)
        if other is not None and not _same_source(other.function, function):
            raise SpaceError(f"the type {type!r} is already {other.function.__qualname__}", code="E_BLOCK")
        registry[type] = Definition(type, function, classes, facts)
        return function

    return decorate


def _same_source(known: Callable[..., Any], function: Callable[..., Any]) -> bool:
    """Whether a function is a known one again, from a file that was executed again; never one of the library."""
    library = known.__module__.startswith("hannah_hw.")
    return known.__qualname__ == function.__qualname__ and (
        not library or known.__module__ == function.__module__
    )


def blocks() -> Mapping[str, Definition]:
    """Type -> block, of the library and of what was imported since."""
    _import_library()
    return _blocks


def processes() -> Mapping[str, Definition]:
    """Type -> process, of the library and of what was imported since."""
    _import_library()
    return _processes


@functools.cache
def _import_library() -> None:
    for name in LIBRARY:
        importlib.import_module(f"hannah_hw.spaces.declarative.{name}")
