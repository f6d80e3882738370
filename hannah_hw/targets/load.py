"""Reading, listing and explaining target files."""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from hannah_hw import catalog
from hannah_hw.cores import CORES
from hannah_hw.documents import Document, parse_document, read_document
from hannah_hw.errors import TargetError
from hannah_hw.targets.accelerator import Accelerator, read_accelerator
from hannah_hw.targets.area import area_mm2
from hannah_hw.targets.host import Host
from hannah_hw.targets.legality import Legality, compile_legality
from hannah_hw.targets.microcontroller import Microcontroller
from hannah_hw.targets.schema import Target

#: Kind of a cost model -> the family of targets that it prices.
FAMILIES: Final[dict[str, type[Target]]] = {
    "kernels": Microcontroller,
    "loop_nest": Accelerator,
    "closed_form": Accelerator,
    "block": Accelerator,
    "learned": Host,
}

#: Parts of the format in which ``${...}`` is not resolved.
_WITHOUT_PARAMS: Final = frozenset(
    {"Microcontroller", "Power", "SourcedWatts", "KernelsModel", "KernelRuntime", "ArenaChoice", "Param"}
    | {"Host", "HostRuntime", "LearnedModel"}
)

_PARAMS: Final = re.compile(r"(?<=.)\[([^\[\]]*)\]$")
_RUNTIME: Final = re.compile(r"(?<=.):([A-Za-z0-9_-]*)$")


def load_target(name_or_path: str | Path) -> Target:
    """Read a target of the catalogue, or a user's file.

    Args:
        name_or_path: ``stm32l4r5zi``, or a path that ends in ``.yaml``; ``:RUNTIME`` behind it takes another runtime
            than the file's own choice, as in ``stm32l4r5zi:cmsis_nn``; ``[PARAM=VALUE,...]`` gives other values to
            params, as in ``ultratrail[pe=16,wmem=128KiB]``.

    Raises:
        CatalogError: Nothing is found under that name.
        TargetError: The file is not a target: file, line, field and what is allowed; or it has no such runtime.
    """
    text, given = split_params(str(name_or_path))
    name, runtime = split_runtime(text)
    path = catalog.find("targets", name)
    target = _validated(read_document(path, TargetError), path.resolve())
    if given:
        if not isinstance(target, Accelerator):
            raise TargetError(
                f"{target.name} is a {target.family} and has no params", where=str(name_or_path)
            )
        target = target.with_params(given)
    return target if runtime is None else target.using(runtime)


def split_params(text: str) -> tuple[str, dict[str, str]]:
    """Name or path of a target, and the values of params behind it: ``ultratrail[pe=16,wmem=128KiB]``.

    Raises:
        TargetError: What is in the brackets is no list of values.
    """
    found = _PARAMS.search(text)
    if found is None:
        return text, {}
    given: dict[str, str] = {}
    for part in found[1].split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or not value or name in given:
            raise TargetError(
                f"{part.strip()!r} does not give one param one value",
                where=text,
                allowed=("NAME[pe=16,wmem=64KiB]",),
            )
        given[name] = value
    return text[: found.start()], given


def split_runtime(text: str) -> tuple[str, str | None]:
    """Name or path of a target, and the runtime behind it or None: ``stm32l4r5zi:cmsis_nn``."""
    found = _RUNTIME.search(text)
    return (text, None) if found is None else (text[: found.start()], found[1])


def parse_target(text: str, path: str = "<target>") -> Target:
    """A target from YAML text.

    Raises:
        TargetError: The text is not a target.
    """
    return _validated(parse_document(text, path, TargetError))


def _validated(document: Document, origin: Path | None = None) -> Target:
    if document.data.get("format") == "hannah-target/1":
        raise TargetError(
            "the format hannah-target/1 is no longer read; in hannah-target/2 'core' is one of "
            f"{', '.join(CORES)}, and what 'model' said of kernels, and 'ops', are fields of model.runtimes.NAME, "
            "with 'model.runtime: NAME'; `hannah-hw targets show stm32l4r5zi --json` names a file to start from",
            where=document.where(("format",)),
        )
    model = document.data.get("model")
    if not isinstance(model, dict) or "kind" not in model:
        raise TargetError(
            "the field 'model.kind' is missing: it says what prices the target",
            where=document.where(("model",)),
            allowed=FAMILIES,
        )
    kind = model["kind"]
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise TargetError(
            f"unknown kind of cost model {kind!r}",
            where=document.where(("model", "kind")),
            allowed=FAMILIES,
            given=str(kind),
        )
    if FAMILIES[kind] is Accelerator:
        return read_accelerator(document, {}, origin)
    target = document.validate(FAMILIES[kind], TargetError)
    target._origin = origin
    return target


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
    described: dict[str, Any] = {"family": target.family}
    if isinstance(target, Microcontroller):
        described |= target.model_dump(mode="json", exclude={"model", "unsupported", "format"})
        described["runtime"] = target.model.runtime
        used = target.model.runtimes[target.model.runtime]
        described["model"] = {"kind": target.model.kind, **used.model_dump(mode="json", exclude={"ops"})}
        described["runtimes"] = list(target.model.runtimes)
    else:
        described |= target.model_dump(mode="json", exclude={"ops", "format"}, exclude_none=True)
    if isinstance(target, Accelerator):
        area, notes = area_mm2(target)
        described |= {
            "assignment": dict(target.assignment),
            "area_mm2": None if math.isnan(area) else area,
            "area_notes": list(notes),
            "fingerprint": target.fingerprint,
        }
    described["operators"] = operators
    described["file"] = str(target.origin) if target.origin is not None else None
    return described


def json_schema() -> dict[str, Any]:
    """JSON Schema of a target file, for editors: of what people write, with ``${...}`` in accelerators."""
    families: TypeAdapter[Any] = TypeAdapter(Microcontroller | Accelerator | Host)
    schema = families.json_schema(mode="validation")
    for name, definition in schema["$defs"].items():
        if name not in _WITHOUT_PARAMS:
            definition["properties"] = {
                field: _computable(inner) for field, inner in definition["properties"].items()
            }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hannah-target/2"
    return schema


def _computable(schema: Any) -> Any:
    """A part of a JSON Schema that also takes the text of an expression where it asks for a number or a word."""
    if isinstance(schema, list):
        return [_computable(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("integer", "number") or "enum" in schema:
        return {"anyOf": [schema, {"type": "string", "pattern": r"\$\{.+\}"}]}
    return {key: inner if key == "default" else _computable(inner) for key, inner in schema.items()}
