"""Writing a document in the own format: ``parse_space(dump(document)) == document``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from hannah_hw.spaces.declarative.document import FORMAT, SpaceDocument
from hannah_hw.spaces.declarative.references import BlockChoice, BlockSpec


def dump(document: SpaceDocument) -> str:
    """A document as YAML of the format ``hannah-space/1``.

    What was upgraded from another dialect is written in the own one; comments and anchors are not kept.
    """
    return yaml.dump(
        to_data(document),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=110,
    )


def to_data(document: SpaceDocument) -> dict[str, Any]:
    """A document as plain values that YAML and JSON can hold."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": document.name,
        "input": list(document.input),
        "modules": _plain(document.modules),
    }
    if document.process:
        data["process"] = _plain(document.process)
    if document.search_algorithm is not None:
        data["search_algorithm"] = _plain(document.search_algorithm)
    return data


class _Dumper(yaml.SafeDumper):
    """SafeDumper that repeats equal values instead of referring to the first."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _plain(value: Any) -> Any:
    if isinstance(value, BlockSpec):
        return {"type": value.definition.name, **_plain(value.fields)}
    if isinstance(value, BlockChoice):
        return {"choice": _plain(value.choice)} | ({"default": value.default} if value.default else {})
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
