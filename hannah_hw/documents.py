"""YAML from strangers: safe, bounded, strict, and with the line of every field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hannah_hw.errors import InputError

#: Largest document that is read; a configuration of this size is a mistake or an attack.
MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64

ModelT = TypeVar("ModelT", bound=BaseModel)
Path_ = tuple[str | int, ...]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys, aliases (one can expand a short file without bound) and depth."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=mark)
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class Document:
    """One YAML mapping with the source line of every field.

    Attributes:
        path: The file it came from, for messages.
        data: The plain mapping.
    """

    def __init__(self, path: str, data: dict[str, Any], lines: dict[Path_, int]) -> None:
        self.path = path
        self.data = data
        self._lines = lines

    def where(self, field: Path_) -> str:
        """``file:line field`` of a field, or of its nearest existing ancestor."""
        for length in range(len(field), -1, -1):
            line = self._lines.get(field[:length])
            if line is not None:
                return f"{self.path}:{line} {'.'.join(map(str, field))}".rstrip()
        return f"{self.path} {'.'.join(map(str, field))}".rstrip()

    def validate(self, model: type[ModelT], error: type[InputError]) -> ModelT:
        """The document as a pydantic model.

        Raises:
            InputError: Of the given class, for the first wrong field: where it is, what is allowed.
        """
        try:
            return model.model_validate(self.data)
        except ValidationError as failure:
            found = failure.errors()
            # A misspelt field is also a missing one; the misspelling is what helps.
            first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
            field = tuple(p for p in first["loc"] if isinstance(p, int) or not p.startswith("function-"))
            given, allowed = "", []
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                given = str(field[-1])
                allowed = _siblings(model, field[:-1])
                message = f"unknown field {given!r}"
            elif first["type"] == "missing":
                message = f"the field {field[-1]!r} is missing"
            elif "input" in first and isinstance(first["input"], str | int | float | bool):
                message = f"{message} (given: {first['input']!r})"
            raise error(message, where=self.where(field), allowed=allowed, given=given) from failure


def _siblings(model: type[BaseModel], path: Path_) -> list[str]:
    """Field names that are allowed at a path of a pydantic model; empty where they are free."""
    current: type[BaseModel] | None = model
    for part in path:
        if current is None or not isinstance(part, str):
            return []
        info = current.model_fields.get(part)
        current = None
        for candidate in _models_in(info.annotation if info is not None else None):
            current = candidate
    return sorted(field.alias or name for name, field in current.model_fields.items()) if current else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found.extend(_models_in(argument))
    return found


def parse_document(text: str, path: str, error: type[InputError]) -> Document:
    """Parse YAML text into a mapping with line numbers.

    Args:
        text: The document.
        path: Its file name, for messages.
        error: Class of the error to raise.

    Raises:
        InputError: Of the given class: bad syntax, a tag, an alias, a duplicate key, too large, too deep.
    """
    if len(text.encode()) > MAX_BYTES:
        raise error(f"the file is larger than {MAX_BYTES} bytes", where=path)
    loader: _StrictLoader | None = None
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        lines: dict[Path_, int] = {}
        if node is not None:
            _walk(node, (), lines)
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as failure:
        line = failure.problem_mark.line + 1 if failure.problem_mark is not None else 0
        raise error(f"not valid YAML: {failure.problem}", where=f"{path}:{line}") from failure
    except (yaml.YAMLError, ValueError) as failure:
        # ValueError: something that looks like a date or a number, but is none.
        raise error(f"not valid YAML: {failure}", where=path) from failure
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict):
        raise error("the document must be a mapping of fields to values", where=path)
    return Document(path, data, lines)


def _walk(node: yaml.Node, path: Path_, lines: dict[Path_, int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            child = (*path, str(key.value))
            if child in lines:
                problem = f"the key {key.value!r} occurs twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[child] = key.start_mark.line + 1
            _walk(value, child, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines)


def read_document(path: Path, error: type[InputError]) -> Document:
    """Read a YAML file; see `parse_document`.

    Raises:
        InputError: Of the given class, also when the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(f"the file is larger than {MAX_BYTES} bytes", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise error(f"cannot read the file: {failure}", where=str(path)) from failure
    return parse_document(text, str(path), error)
