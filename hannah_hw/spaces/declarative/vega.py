"""The dialect ``vega/0.9.3``: documents with ``type: FineGrainedSpace`` as documents of the own format.

Such a document lists the names of its modules and defines them beside the list; ``hyper_parameters`` names what is
searched by path; a module that is named ``process`` is applied to the whole network. It may be the root of a file, a
section ``search_space``, or that of a step such as ``nas.search_space``, with ``search_algorithm`` beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from hannah_hw.documents import Document, Path_
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.hyper_parameters import apply_hyper_parameters
from hannah_hw.spaces.declarative.problems import fail
from hannah_hw.spaces.declarative.search_algorithm import ALGORITHM_ALIASES

#: Type of a space of this dialect.
SPACE_TYPE: Final = "FineGrainedSpace"

#: Type of a block (empty: any) -> deprecated field -> field.
FIELD_ALIASES: Final[dict[str, dict[str, str]]] = {
    "": {"num_classes": "num_class"},
    "Prune": {"path": "init_model_file"},
}

_KEYS: Final = ("type", "modules", "hyper_parameters")


class Note(NamedTuple):
    """Something odd about an upgraded document, at a path of the upgraded one."""

    code: str
    message: str
    path: Path_


class Upgraded(NamedTuple):
    """A document of the own format.

    Attributes:
        data: Its plain mapping.
        moved: Path in it -> path in the original, where they differ; what lies below moves along.
        notes: What is odd.
    """

    data: dict[str, Any]
    moved: dict[Path_, Path_]
    notes: list[Note]


def find_vega(document: Document) -> tuple[str, ...] | None:
    """Where a document has its one fine-grained space, or None.

    Raises:
        SpaceError: It has several.
    """
    found = list(_spaces(document.data, ()))
    if len(found) > 1:
        listing = ", ".join(".".join(map(str, path)) for path in found)
        raise SpaceError(
            f"there are {len(found)} search spaces, {listing}; leave one in the file",
            code="E_FORMAT",
            where=document.where(found[1]),
        )
    return found[0] if found else None


def _spaces(data: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(data, Mapping):
        return
    if data.get("type") == SPACE_TYPE:
        yield path
        return
    for key, value in data.items():
        if isinstance(key, str):
            yield from _spaces(value, (*path, key))


def upgrade(data: Mapping[str, Any], root: tuple[str, ...]) -> Upgraded:
    """A fine-grained space as a document of the own format; the original is left as it is.

    Args:
        data: The original document.
        root: Where it has the space; see `find_vega`.

    Raises:
        SpaceError: The list of modules and their definitions do not agree, or a hyperparameter is of no form that
            can be searched. Places are those of `hannah_hw.spaces.declarative.problems.fail`.
    """
    space = data
    beside: Mapping[str, Any] = data
    for name in root:
        beside, space = space, space[name]
    work = _Upgrade(space, root)
    result: dict[str, Any] = {"format": "hannah-space/1", **work.modules()}
    if space.get("hyper_parameters") is not None:
        for place, origin in apply_hyper_parameters(result, space["hyper_parameters"]):
            work.moved[place] = (*root, *origin)
    algorithm = beside.get("search_algorithm") if root else space.get("search_algorithm")
    if algorithm is not None:
        result["search_algorithm"] = work.algorithm(algorithm)
    return Upgraded(result, work.moved, work.notes)


@dataclass
class _Upgrade:
    """One upgrade under way.

    Attributes:
        space: The fine-grained space.
        root: Where the document has it.
        moved: See `Upgraded`.
        notes: See `Upgraded`.
    """

    space: Mapping[str, Any]
    root: tuple[str, ...]
    moved: dict[Path_, Path_] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def modules(self) -> dict[str, Any]:
        """The sections ``modules`` and ``process``."""
        listed = self._listed()
        modules: dict[str, Any] = {}
        process: list[Any] = []
        self.moved[("modules",)] = (*self.root, "modules")
        for name in listed:
            place: Path_ = ("modules", name)
            if name == "process":
                place = ("process", len(process))
            self.moved[place] = (*self.root, name)
            block = self._block(self.space[name], place, (*self.root, name))
            if name == "process":
                process.append(block)
            else:
                modules[name] = block
        return {"modules": modules, "process": process} if process else {"modules": modules}

    def _listed(self) -> list[str]:
        others = [
            key for key in self.space if isinstance(key, str) and key not in (*_KEYS, "search_algorithm")
        ]
        listed = self.space.get("modules")
        if not isinstance(listed, list) or not listed:
            hints = difflib.get_close_matches("modules", others, n=1)
            text = f"; did you mean it by {hints[0]!r}?" if hints else ""
            fail("E_MODULE", "modules", f"must be the list of the modules' names{text}")
        for index, name in enumerate(listed):
            if name not in others:
                fail(
                    "E_MODULE",
                    ("modules", index),
                    f"{name} is listed in modules but not defined",
                    allowed=others,
                    given=str(name),
                )
            if name in listed[:index]:
                fail("E_MODULE", ("modules", index), f"{name} is listed twice")
        for name in others:
            definition = self.space.get(name)
            if name in listed:
                continue
            if not isinstance(definition, Mapping) or "type" not in definition:
                fail(
                    "E_FIELD",
                    name,
                    f"unknown field {name!r}; no block either, for it has no 'type'",
                    allowed=_KEYS,
                    given=name,
                )
            self.moved[("modules", name)] = (*self.root, name)
            self.notes.append(
                Note("W_MODULE", f"{name} is defined but not listed in modules", ("modules", name))
            )
        return listed

    def _block(self, data: Any, place: Path_, origin: Path_) -> Any:
        """A block with the names that its fields have now; so for those inside of it."""
        if isinstance(data, list):
            return [self._block(item, (*place, i), (*origin, i)) for i, item in enumerate(data)]
        if not isinstance(data, Mapping):
            return data
        kind = data.get("type")
        aliases = FIELD_ALIASES[""] | FIELD_ALIASES.get(kind, {}) if isinstance(kind, str) else {}
        result: dict[str, Any] = {}
        for key, value in data.items():
            name: Any = aliases.get(key, key)
            here = (*place, str(name))
            if name != key:
                if name in data:
                    fail(
                        "E_CONFLICT",
                        (*origin[len(self.root) :], key),
                        f"is the deprecated name of {name!r}, which is given too",
                    )
                self.moved[here] = (*origin, key)
                self.notes.append(Note("W_ALIAS", f"{key!r} is a deprecated name of {name!r}", here))
            result[name] = self._block(value, here, (*origin, str(key)))
        return result

    def algorithm(self, data: Any) -> Any:
        """The section ``search_algorithm``."""
        beside = self.root[:-1] if self.root else ()
        self.moved[("search_algorithm",)] = (*beside, "search_algorithm")
        if not isinstance(data, Mapping) or data.get("type") not in ALGORITHM_ALIASES:
            return data
        name = ALGORITHM_ALIASES[data["type"]]
        path = ("search_algorithm", "type")
        self.notes.append(Note("W_ALIAS", f"{data['type']!r} is a deprecated name of {name!r}", path))
        return {**data, "type": name}
