"""Blocks inside of documents: read, bound to the parameters of a graph, and built."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from hannah_hw.documents import Path_
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Scalar, Select
from hannah_hw.graph import ChoiceOp, Node
from hannah_hw.graph.naming import counted, next_name, prefix
from hannah_hw.parameters import IntScalarParameter
from hannah_hw.spaces.declarative.binding import Bindable, Binder
from hannah_hw.spaces.declarative.calling import called
from hannah_hw.spaces.declarative.definitions import Definition
from hannah_hw.spaces.declarative.limits import count_block
from hannah_hw.spaces.declarative.lookup import Lookup
from hannah_hw.spaces.declarative.network import Network
from hannah_hw.spaces.declarative.problems import Site, current_site, entered, fail, placed, problem
from hannah_hw.wording import shortened

#: Stand for the schemas of blocks and processes until all of them are known.
BLOCK: Final = "a block"
PROCESS: Final = "a process"


@dataclass(frozen=True)
class BlockSpec(Bindable):
    """A validated block of a document: its type and the fields that it gives."""

    definition: Definition
    fields: Mapping[str, Any]

    def bind(self, binder: Binder, path: Path_) -> Ref:
        """The function that builds it."""
        bound = {name: binder.bind(value, (*path, name)) for name, value in self.fields.items()}
        return Ref(self.definition, bound, current_site().at(*path))


@dataclass(frozen=True)
class BlockChoice(Bindable):
    """A validated choice of blocks."""

    choice: tuple[BlockSpec, ...]
    default: int

    def bind(self, binder: Binder, path: Path_) -> ChoiceRef:
        """The function that builds the choice; all its uses share one parameter."""
        options = [option.bind(binder, (*path, "choice", i)) for i, option in enumerate(self.choice)]
        top = len(options) - 1
        switch = binder.add(IntScalarParameter(0, top, name=str(path[-1]), default=self.default), path)
        return ChoiceRef(options, switch, current_site().at(*path))


class Ref:
    """A block of a document, ready to be built.

    Args:
        definition: Its function.
        fields: The fields that the document gives.
        site: Where it stands.
        label: Name of its scope in node ids; that of the type otherwise.
    """

    def __init__(
        self, definition: Definition, fields: Mapping[str, Any], site: Site, label: str = ""
    ) -> None:
        self.definition = definition
        self.fields = fields
        self.site = site
        self.label = label or definition.label

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """In a signature: a block, or a choice of blocks."""
        return handler.generate_schema(BlockField)

    @property
    def type(self) -> str:
        """The type in the document."""
        return self.definition.name

    def fact(self, name: str, default: Scalar = 1) -> Scalar:
        """What the block's registration says about it; depends on the candidate for a choice of blocks."""
        return self.definition.facts.get(name, default)

    def accepts(self, field: str) -> bool:
        """Whether the block has a field."""
        return field in self.definition.fields

    def __call__(self, x: Node, **given: Any) -> Node:
        """Build the block.

        Args:
            x: The data.
            given: Fields that the outer block determines.

        Raises:
            SpaceError: A required field is missing, a field is given twice, the block refuses its fields, or the
                network has too many blocks.
        """
        with entered(self.site):
            count_block()
            fields = self._merged(given)
            with counted(f"{prefix()}{next_name(self.label, ())}."):
                result = called(self.definition, x, fields)
        if not isinstance(result, Node):
            raise SpaceError(
                f"{self.type} returned {result!r}, not a node", code="E_BLOCK", where=self.site.where
            )
        return result

    def process(self, network: Network) -> Network:
        """Apply the process to a network.

        Raises:
            SpaceError: A required field is missing, or the process refuses its fields.
        """
        with entered(self.site):
            result = called(self.definition, network, self._merged({}))
        if not isinstance(result, Network):
            raise SpaceError(
                f"{self.type} returned {result!r}, not a network", code="E_BLOCK", where=self.site.where
            )
        return result

    def _merged(self, given: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in given.items():
            if not self.accepts(name):
                fail(
                    "E_BLOCK",
                    "",
                    f"{self.type} has no field {name!r}, which the outer block gives its blocks",
                )
            if name in self.fields and self.fields[name] is not value and not _same(self.fields[name], value):
                fail(
                    "E_CONFLICT", name, f"is {self.fields[name]}, but the outer block determines it: {value}"
                )
        fields = {**self.fields, **given}
        for name in self.definition.required:
            if name not in fields:
                fail("E_MISSING", "", f"the field {name!r} of {self.type} is missing")
        return fields


def _same(a: Any, b: Any) -> bool:
    plain = (int, float, str, list)
    return isinstance(a, plain) and isinstance(b, plain) and a == b


class ChoiceRef(Ref):
    """A choice of blocks, ready to be built.

    Args:
        options: The blocks.
        switch: Position of the chosen one.
        site: Where the choice stands.
    """

    def __init__(self, options: list[Ref], switch: Scalar, site: Site) -> None:
        super().__init__(options[0].definition, {}, site, "Choice")
        self.options = options
        self.switch = switch

    @property
    def type(self) -> str:
        """The types in the document."""
        return " or ".join(option.type for option in self.options)

    def fact(self, name: str, default: Scalar = 1) -> Scalar:
        """That of the chosen block."""
        return Select(self.switch, *(option.fact(name, default) for option in self.options))

    def accepts(self, field: str) -> bool:
        """Whether all blocks have a field."""
        return all(option.accepts(field) for option in self.options)

    def __call__(self, x: Node, **given: Any) -> Node:
        """Build all blocks and choose one."""
        builders = [functools.partial(option, **given) for option in self.options]
        with counted(f"{prefix()}{next_name(self.label, ())}."):
            node: Node = ChoiceOp(*builders, switch=self.switch)(x)
        return node


def read_block(data: Any, lookup: Lookup, *, process: bool = False) -> BlockSpec:
    """A mapping with a ``type`` as a block or as a process.

    Raises:
        ValidationError: No mapping, an unknown type, an unknown field, or a value that a field cannot have.
    """
    if isinstance(data, BlockSpec):
        return data
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        raise problem("E_VALUE", "must be a mapping with the field 'type'")
    if "type" not in data:
        hints = difflib.get_close_matches("type", data, n=1)
        text = "the field 'type' is missing" + (f"; did you mean it by {hints[0]!r}?" if hints else "")
        raise problem("E_MISSING", text, allowed=lookup.types(process))
    try:
        definition = lookup.find(data["type"], process=process)
        fields, model = definition.fields, definition.model
    except SpaceError as error:
        context = {"allowed": [*error.allowed], "given": error.given}
        message = f"{error.where}: {error.message}" if error.where else error.message
        raise problem(error.code or "E_TYPE", message, loc=("type",), **context) from error
    for name in data:
        if name != "type" and name not in fields:
            message = f"unknown field {shortened(name)} of {definition.name}"
            raise problem("E_FIELD", message, loc=(name,), allowed=[*fields], given=name)
    given = {name: value for name, value in data.items() if name != "type"}
    parsed = model.model_validate(given, context=lookup)
    return BlockSpec(definition, {name: getattr(parsed, f"field_{name}") for name in given})


def read_blocks(data: Any, lookup: Lookup) -> BlockSpec | BlockChoice:
    """A block, or ``{choice: [block, ...], default: 0}``.

    Raises:
        ValidationError: See `read_block`.
    """
    if (
        isinstance(data, BlockChoice)
        or not isinstance(data, Mapping)
        or "choice" not in data
        or "type" in data
    ):
        return data if isinstance(data, BlockChoice) else read_block(data, lookup)
    for name in data:
        if name not in ("choice", "default"):
            text, names = f"unknown field {shortened(name)}", ["choice", "default"]
            raise problem("E_FIELD", text, loc=(str(name),), allowed=names, given=str(name))
    options, default = data["choice"], data.get("default", 0)
    if not isinstance(options, list) or not options:
        raise problem("E_VALUE", "must be a list of blocks", loc=("choice",))
    if isinstance(default, bool) or not isinstance(default, int) or default not in range(len(options)):
        raise problem("E_VALUE", f"must be a position in the list, 0 to {len(options) - 1}", loc=("default",))
    found = []
    for index, option in enumerate(options):
        with placed("choice", index):
            found.append(read_block(option, lookup))
    return BlockChoice(tuple(found), default)


class _BlockSchema:
    """Annotation of a field that holds a block or a process.

    Args:
        process: Whether it is a process.
    """

    def __init__(self, process: bool) -> None:
        self.process = process

    def _read(self, data: Any, info: ValidationInfo) -> BlockSpec | BlockChoice:
        lookup = info.context if isinstance(info.context, Lookup) else Lookup()
        return read_block(data, lookup, process=True) if self.process else read_blocks(data, lookup)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A placeholder; see `hannah_hw.spaces.declarative.schema`."""
        return {"$comment": PROCESS if self.process else BLOCK}


#: A block or a choice of blocks, as a field of a pydantic model.
BlockField = Annotated[Any, _BlockSchema(process=False)]
#: A process, as a field of a pydantic model.
ProcessField = Annotated[Any, _BlockSchema(process=True)]
