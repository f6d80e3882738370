"""Reading, listing and explaining target files."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from hannah_hw import catalog
from hannah_hw.documents import parse_document, read_document
from hannah_hw.errors import TargetError
from hannah_hw.targets.legality import Legality, compile_legality
from hannah_hw.targets.schema import Target


def load_target(name_or_path: str | Path) -> Target:
    """Read a target of the catalogue, or a user's file.

    Args:
        name_or_path: ``stm32l4r5zi``, or a path that ends in ``.yaml``.

    Raises:
        CatalogError: Nothing is found under that name.
        TargetError: The file is not a target: file, line, field and what is allowed.
    """
    path = catalog.find("targets", str(name_or_path))
    target = read_document(path, TargetError).validate(Target, TargetError)
    target._origin = path.resolve()
    return target


def parse_target(text: str, path: str = "<target>") -> Target:
    """A target from YAML text.

    Raises:
        TargetError: The text is not a target.
    """
    return parse_document(text, path, TargetError).validate(Target, TargetError)


def list_targets() -> list[str]:
    """Names of the catalogue's targets."""
    return catalog.names("targets")


@functools.lru_cache(maxsize=64)
def legality(ops: tuple[Any, ...]) -> Legality:
    """The compiled operator rules of a target's ``ops``."""
    return compile_legality([(rule.kinds, rule.when) for rule in ops])


def describe_target(target: Target) -> dict[str, Any]:
    """Everything a target says, as JSON-able data: figures with their sources, rules by operator."""
    operators: dict[str, list[list[str]]] = {}
    for rule in target.ops:
        for kind in rule.kinds:
            operators.setdefault(kind, []).append(list(rule.when))
    described = target.model_dump(mode="json", exclude={"ops", "unsupported", "format"})
    described["operators"] = operators
    described["file"] = str(target.origin) if target.origin is not None else None
    return described


def json_schema() -> dict[str, Any]:
    """JSON Schema of a target file, for editors."""
    schema = Target.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hannah-target/1"
    return schema
