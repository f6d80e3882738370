"""YAML from strangers: safe, bounded, strict, and with the line and column of every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from hannah_hw.errors import InputError
from hannah_hw.wording import dotted, saying, shortened

#: Largest document that is read; a configuration of this size is a mistake or an attack.
MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
#: Most values in a document, those behind aliases counted wherever they are repeated.
MAX_VALUES: Final = 20_000
#: Integers have at most this magnitude: that of a signed 64-bit one.
MAX_INTEGER: Final = 2**63 - 1
_MAX_DIGITS: Final = 100

ModelT = TypeVar("ModelT", bound=BaseModel)
Path_ = tuple[str | int, ...]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that bounds depth and numbers, and says where a value is that looks like a date and is none.

    Of Python's tags it knows ``!!python/tuple`` of scalars, which is a list.
    """

    depth = 0
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.values += 1
        for problem, wrong in (
            (f"nested deeper than {MAX_DEPTH}", self.depth > MAX_DEPTH),
            # Keys are counted here too.
            (f"more than {MAX_VALUES} values", self.values > 2 * MAX_VALUES),
        ):
            if wrong:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            problem = f"{shortened(node.value)} cannot be read: {error}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(node.value).lstrip("+-")
        value = super().construct_yaml_int(node) if len(text) < _MAX_DIGITS else MAX_INTEGER + 1
        if ":" in text or (len(text) > 1 and text[0] == "0" and text[1].isdecimal()):
            problem = f"{node.value} is {value} in YAML 1.1; write {value}, or quote it if it is text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if abs(value) > MAX_INTEGER:
            problem = f"{shortened(node.value)} is too large; integers are at most {MAX_INTEGER}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return value

    def construct_tuple(self, node: yaml.Node) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode) or not all(
            isinstance(item, yaml.ScalarNode) for item in node.value
        ):
            raise yaml.MarkedYAMLError(
                problem="!!python/tuple must be a list of plain values", problem_mark=node.start_mark
            )
        return self.construct_sequence(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:python/tuple", _StrictLoader.construct_tuple)


class Document:
    """One YAML mapping with the place of every field.

    Attributes:
        path: The file it came from, for messages.
        data: The plain mapping.
    """

    def __init__(self, path: str, data: dict[str, Any], marks: Mapping[Path_, tuple[int, int]]) -> None:
        self.path = path
        self.data = data
        self._marks = marks
        self._given = data

    def place(self, field: Path_) -> str:
        """``file:line:column`` of a field, or of its nearest existing ancestor; both are counted from 1."""
        for length in range(len(field), -1, -1):
            mark = self._marks.get(field[:length])
            if mark is not None:
                return f"{self.path}:{mark[0]}:{mark[1]}"
        return self.path

    def where(self, field: Path_) -> str:
        """``file:line:column field``; see `place`."""
        return f"{self.place(field)} {dotted(field)}".rstrip()

    def replaced(self, data: dict[str, Any]) -> Document:
        """A document with other values at the same places, such as what expressions in it stand for."""
        other = Document(self.path, data, self._marks)
        other._given = self._given
        return other

    def _computed(self, field: Path_) -> str:
        """What a message adds of a value that was computed from the text of the file."""
        value, given = self.data, self._given
        for part in field:
            try:
                value, given = value[part], given[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                return ""
        return "" if value == given or isinstance(value, dict | list) else f"; it follows from {given!r}"

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
            first = next((e for e in found if e["type"] == "extra_forbidden"), None) or _deepest(
                found, self.data
            )
            field = _written(first["loc"], self.data)
            given, allowed = "", []
            if first["type"] == "extra_forbidden":
                given = str(field[-1])
                allowed = _siblings(model, field[:-1], self.data)
                message = f"unknown field {given!r}"
            elif first["type"] == "missing" and isinstance(first["loc"][-1], int):
                message = f"has too few values; value {first['loc'][-1] + 1} is missing"
            elif first["type"] == "missing":
                message = f"the field {field[-1]!r} is missing"
                allowed = _words(model, field, self.data)
            else:
                message = saying(first) + self._computed(field)
            raise error(message, where=self.where(field), allowed=allowed, given=given) from failure


def _written(location: Path_, document: Any) -> Path_:
    """The path of a field as the document has it, from pydantic's, which also names the branches that it tried."""
    path: list[str | int] = []
    data: Any = document
    for position, part in enumerate(location):
        last = position + 1 == len(location)
        if isinstance(data, dict) and (part in data or last):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _deepest(found: Sequence[Any], data: Any) -> Any:
    """The first mistake, of several readings of one field that of the reading that went furthest."""
    first = _written(found[0]["loc"], data)
    same = [e for e in found if _written(e["loc"], data)[: len(first)] == first]
    return max(same, key=lambda e: len(_written(e["loc"], data)))


def _siblings(model: type[BaseModel], path: Path_, document: Any) -> list[str]:
    """Field names that are allowed at a path of a pydantic model; empty where they are free."""
    fields: set[str] = set()
    for candidate in _readings(model, path, document):
        fields |= {field.alias or name for name, field in candidate.model_fields.items()}
    return sorted(fields)


def _words(model: type[BaseModel], field: Path_, document: Any) -> list[str]:
    """The words that a field may be; none where it may be something else."""
    words: list[str] = []
    for candidate in _readings(model, field[:-1], document):
        for reading in _inside(candidate, field[-1]):
            if get_origin(reading) is not Literal:
                return []
            words += map(str, get_args(reading))
    return words


def _readings(model: type[BaseModel], path: Path_, document: Any) -> list[type[BaseModel]]:
    """The models that what is at a path of a document may be."""
    readings: list[Any] = [model]
    data: Any = document
    for part in path:
        readings = [inner for reading in readings for inner in _inside(reading, part)]
        data = data[part] if data is not None else None
    models = [reading for reading in readings if isinstance(reading, type) and issubclass(reading, BaseModel)]
    return [candidate for candidate in models if _means(candidate, data)]


def _inside(reading: Any, part: str | int) -> list[Any]:
    """What an annotation says of a field, or an entry, of what it describes."""
    arguments = getattr(reading, "__args__", ())
    if isinstance(reading, type) and issubclass(reading, BaseModel):
        field = reading.model_fields.get(str(part))
        return _plain(field.annotation) if field is not None else []
    if isinstance(part, int) or not arguments:
        return _plain(arguments[0]) if arguments else []
    return _plain(arguments[-1])


def _plain(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, without what `typing.Annotated` adds."""
    while get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, UnionType):
        return [inner for argument in annotation.__args__ for inner in _plain(argument)]
    return [annotation]


def _means(model: type[BaseModel], data: Any) -> bool:
    """Whether a mapping says that it is of this model, where a field ``kind`` tells models apart."""
    kinds = model.model_fields.get("kind")
    if kinds is None or not isinstance(data, dict) or get_origin(kinds.annotation) is not Literal:
        return True
    return "kind" not in data or data["kind"] in get_args(kinds.annotation)


def parse_document(text: str, path: str, error: type[InputError]) -> Document:
    """Parse YAML text into a mapping with line numbers.

    Args:
        text: The document.
        path: Its file name, for messages.
        error: Class of the error to raise.

    Raises:
        InputError: Of the given class: bad syntax, a tag, a duplicate key, too large, too deep, too many values.
    """
    if len(text.encode()) > MAX_BYTES:
        raise error(f"the file is larger than {MAX_BYTES} bytes", where=path)
    loader: _StrictLoader | None = None
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        marks: dict[Path_, tuple[int, int]] = {}
        if node is not None:
            _walk(node, (), marks)
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as failure:
        where = (
            path if failure.problem_mark is None else ":".join([path, *map(str, _mark(failure.problem_mark))])
        )
        raise error(f"not valid YAML: {failure.problem}{_hint(text, failure)}", where=where) from failure
    except yaml.reader.ReaderError as failure:
        line = text.count("\n", 0, failure.position) + 1
        problem = f"the character U+{failure.character:04X}: {failure.reason}"
        raise error(f"not valid YAML: {problem}", where=f"{path}:{line}") from failure
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict):
        raise error("the document must be a mapping of fields to values", where=path)
    return Document(path, data, marks)


def _hint(text: str, failure: yaml.MarkedYAMLError) -> str:
    """What helps against a mistake that the rules of YAML make likely."""
    if failure.problem_mark is None or "but got '{'" not in str(failure.problem):
        return ""
    line = text.splitlines()[failure.problem_mark.line]
    return '; inside of { } and [ ], quote what contains ${...}: "${name}"' if "${" in line else ""


def _mark(mark: yaml.Mark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _walk(node: yaml.Node, path: Path_, marks: dict[Path_, tuple[int, int]]) -> None:
    """Note the place of every value, and replace the merge keys of mappings by what they merge.

    An alias is the node that it stands for, so its values are noted again; depth and number are bounded.
    """
    marks.setdefault(path, _mark(node.start_mark))
    for problem, wrong in (
        (f"nested deeper than {MAX_DEPTH}", len(path) > MAX_DEPTH),
        (f"more than {MAX_VALUES} values, aliases expanded", len(marks) > MAX_VALUES),
    ):
        if wrong:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        node.value = _own_fields(node)
        for key, value in node.value:
            child = (*path, str(key.value))
            marks[child] = _mark(key.start_mark)
            _walk(value, child, marks)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), marks)


def _own_fields(node: yaml.MappingNode, depth: int = 0) -> list[tuple[yaml.Node, yaml.Node]]:
    """The fields of a mapping; its own come before those of the mappings that ``<<`` merges into it."""
    own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if depth > MAX_DEPTH or not all(isinstance(source, yaml.MappingNode) for source in sources):
                problem = "the key '<<' merges mappings, and none into itself"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            for source in sources:
                source.value = _own_fields(source, depth + 1)
                for field in source.value:
                    merged.setdefault(str(field[0].value), field)
        elif str(key.value) in own:
            problem = f"the key {shortened(key.value)} occurs twice"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        else:
            own[str(key.value)] = (key, value)
    return list({**merged, **own}.values())


def read_document(path: Path, error: type[InputError]) -> Document:
    """Read a YAML file; see `parse_document`.

    Raises:
        InputError: Of the given class, also when it is no regular file, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise error("is no regular file; give a YAML file", where=str(path))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise error(f"the file is larger than {MAX_BYTES} bytes", where=str(path))
        text = content.decode()
    except UnicodeDecodeError as failure:
        raise error("is no UTF-8 text; give a YAML file, saved as UTF-8", where=str(path)) from failure
    except OSError as failure:
        raise error(f"cannot read the file: {failure.strerror or failure}", where=str(path)) from failure
    return parse_document(text, str(path), error)
