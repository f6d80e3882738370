"""From the validated values of a document to what the functions of blocks receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hannah_hw.documents import Path_
from hannah_hw.expressions import Scalar
from hannah_hw.parameters import Parameter
from hannah_hw.spaces.declarative.limits import MAX_PARAMETERS
from hannah_hw.spaces.declarative.problems import fail


@dataclass
class Binder:
    """Makes the parameters of one graph.

    Attributes:
        places: Id of a parameter -> its place in the document.
        conditions: What candidates must satisfy, each with what it says.
    """

    places: dict[str, Path_] = field(default_factory=dict)
    conditions: list[tuple[Scalar, str]] = field(default_factory=list)

    def bind(self, value: Any, path: Path_) -> Any:
        """A validated value with parameters in the places of their descriptions.

        Args:
            value: Plain values, `Bindable` ones, and lists and mappings of them.
            path: Where it is in the document; becomes the id of a parameter.
        """
        if isinstance(value, Bindable):
            return value.bind(self, path)
        if isinstance(value, list | tuple):
            return [self.bind(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, Mapping):
            return {key: self.bind(item, (*path, key)) for key, item in value.items()}
        return value

    def add(self, parameter: Parameter, path: Path_) -> Parameter:
        """Give a parameter the id of its place.

        Raises:
            SpaceError: The document has too many (E_SIZE).
        """
        if len(self.places) >= MAX_PARAMETERS:
            fail("E_SIZE", path, f"the document has more than {MAX_PARAMETERS} parameters")
        parameter.id = parameter_id(path)
        self.places[parameter.id] = path
        return parameter


def parameter_id(path: Path_) -> str:
    """The id of the parameter at a place of a document: its short path."""
    return ".".join(map(str, short_path(path)))


def short_path(path: Path_) -> Path_:
    """A place in a document without the section ``modules``, for the names of modules are clear without it."""
    return path[1:] if len(path) > 1 and path[0] == "modules" else path


class Bindable:
    """Something in a validated document that becomes something else in a graph."""

    def bind(self, binder: Binder, path: Path_) -> Any:
        """What a block's function receives for it."""
        raise NotImplementedError
