"""The format ``hannah-space/1`` as JSON Schema, with all blocks that are registered: for editors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hannah_hw.spaces.declarative.definitions import Definition, blocks, processes
from hannah_hw.spaces.declarative.document import FORMAT, SpaceModel
from hannah_hw.spaces.declarative.references import BLOCK, PROCESS

#: A type that names Python code; what fields it has is not known.
_CODE: Final = {
    "type": "object",
    "properties": {"type": {"type": "string", "pattern": ":"}},
    "required": ["type"],
    "description": "A Python function, module:function or file.py:function; needs allow_code.",
}


def json_schema() -> dict[str, Any]:
    """JSON Schema of a document, draft 2020-12.

    What it cannot say is left to `hannah_hw.load_space`: whether defaults are among the choices, and whether blocks
    fit each other.
    """
    definitions = [*blocks().values(), *processes().values()]
    models: list[type[BaseModel]] = [SpaceModel, *(definition.model for definition in definitions)]
    found, shared = models_json_schema([(model, "validation") for model in models], by_alias=True)
    defs: dict[str, Any] = shared["$defs"]
    names = {model: found[model, "validation"]["$ref"].rpartition("/")[2] for model in models}
    root = _resolved(defs.pop(names[SpaceModel]), {BLOCK: "module", PROCESS: "process"})
    root["properties"]["modules"]["additionalProperties"] = False
    defs = {name: _resolved(schema, {BLOCK: "block", PROCESS: "process"}) for name, schema in defs.items()}
    for definition in definitions:
        _describe(defs[names[definition.model]], definition)

    def reference(definition: Definition, *, whole: bool) -> dict[str, Any]:
        schema: dict[str, Any] = {"$ref": f"#/$defs/{names[definition.model]}"}
        return schema | ({"required": definition.required} if whole and definition.required else {})

    defs["process"] = {"anyOf": [*(reference(d, whole=True) for d in processes().values()), _CODE]}
    for kind, whole in (("module", True), ("block", False)):
        one = {"anyOf": [*(reference(d, whole=whole) for d in blocks().values()), _CODE]}
        choice = {
            "type": "object",
            "properties": {
                "choice": {"type": "array", "items": one, "minItems": 1},
                "default": {"type": "integer", "minimum": 0},
            },
            "required": ["choice"],
            "additionalProperties": False,
        }
        defs[kind] = {"anyOf": [*one["anyOf"], choice]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "title": FORMAT, "$defs": defs}


def _describe(schema: dict[str, Any], definition: Definition) -> None:
    """Add what the model does not say: the type itself, and the first line of the documentation."""
    fields = schema.get("properties", {})
    for name in definition.required:
        fields[name].pop("default", None)
    schema["properties"] = {"type": {"const": definition.name}, **fields}
    schema["required"] = ["type"]
    schema["description"] = (inspect.getdoc(definition.function) or definition.name).partition("\n")[0]


def _resolved(schema: Any, places: Mapping[str, str]) -> Any:
    """A schema with references in the places of blocks and processes.

    Alternatives need not exclude each other: a field of any type also takes a parameter.
    """
    if isinstance(schema, list):
        return [_resolved(item, places) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("$comment") in places:
        return {"$ref": f"#/$defs/{places[schema['$comment']]}"}
    return {
        "anyOf" if key == "oneOf" else key: _resolved(value, places)
        for key, value in schema.items()
        if key != "$comment"
    }
