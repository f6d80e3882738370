"""Documents that are views of another: a section of it, or the whole with fields set on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hannah_hw.documents import Document, Path_, parse_document
from hannah_hw.errors import ConfigError


class Section(Document):
    """One section of a document as a document of its own."""

    def __init__(self, parent: Document, section: str, data: dict[str, Any]) -> None:
        super().__init__(parent.path, data, {})
        self._parent = parent
        self._section = section

    def where(self, field: Path_) -> str:
        """Where the parent document has the field."""
        return self._parent.where((self._section, *field))


class _Overridden(Document):
    """A document some of whose fields were set on the command line."""

    def __init__(self, base: Document, data: dict[str, Any], given: Mapping[Path_, str]) -> None:
        super().__init__(base.path, data, {})
        self._base = base
        self._settings = given

    def where(self, field: Path_) -> str:
        for key, text in self._settings.items():
            if field[: len(key)] == key:
                return f"--set {text}"
        return self._base.where(field)


def override(document: Document, overrides: Sequence[str]) -> Document:
    """The document with fields replaced.

    Args:
        document: The original, left as it is.
        overrides: ``dotted.key=value`` strings; the value is read as YAML.

    Raises:
        ConfigError: Not of that form, or a key leads through something that is not a mapping.
    """
    if not overrides:
        return document
    data: dict[str, Any] = json.loads(json.dumps(document.data, default=str))
    given: dict[Path_, str] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path):
            raise ConfigError("write it as --set key=value, for example search.seed=1", where=f"--set {text}")
        node = data
        for part in path[:-1]:
            if part == "space" and isinstance(node.get(part), str):
                node[part] = {"name": node[part]}
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                raise ConfigError(f"{part!r} is not a section", where=f"--set {text}")
            node = child
        node[path[-1]] = parse_document(f"value: {value}", f"--set {text}", ConfigError).data["value"]
        given[path] = text
    return _Overridden(document, data, given)
