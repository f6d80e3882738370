"""The dialect ``vega/0.9.3``: documents with ``type: FineGrainedSpace`` as documents of the own format.

Such a document lists the names of its modules and defines them beside the list; ``hyper_parameters`` names what is
searched by path; a module that is named ``process`` is applied to the whole network. It may be the root of a file, a
section ``search_space``, or that of a step such as ``nas.search_space``, with ``search_algorithm`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from hannah_hw.documents import Document, Path_
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.problems import fail

#: Type of a space of this dialect.
SPACE_TYPE: Final = "FineGrainedSpace"

#: Search algorithm in documents -> ours. Vega's keep all objectives in one front, as nsga2 does.
ALGORITHMS: Final[dict[str, str]] = {
    "BackboneNas": "nsga2",
    "PruneEA": "nsga2",
    "QuantEA": "nsga2",
    "nsga2": "nsga2",
    "aging": "aging",
}

#: Name that appears in guides and examples -> the name that a release had.
ALGORITHM_ALIASES: Final = {"BackboneNasSearch": "BackboneNas", "QuantEAFine": "QuantEA"}

#: Type of a block (empty: any) -> deprecated field -> field.
FIELD_ALIASES: Final[dict[str, dict[str, str]]] = {
    "": {"num_classes": "num_class"},
    "Prune": {"path": "init_model_file"},
}

#: Fields whose positions are 0 or 1, whatever the starting point shows of them.
_BINARY: Final = ("doublechannel", "downsample")
#: Fields that hold numbers of bits, and what they are searched over if the starting point holds no others.
_BITS: Final = ("nbit_w_list", "nbit_a_list")
_BIT_CANDIDATES: Final = (4, 8)

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
    work.hyper_parameters(result)
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
        listed = self.space.get("modules")
        if not isinstance(listed, list) or not listed:
            fail("E_MODULE", "modules", "must be the list of the modules' names")
        others = [
            key for key in self.space if isinstance(key, str) and key not in (*_KEYS, "search_algorithm")
        ]
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

    def hyper_parameters(self, document: dict[str, Any]) -> None:
        """Replace what ``hyper_parameters`` names by parameters.

        Args:
            document: The upgraded document; changed in place.
        """
        given = self.space.get("hyper_parameters")
        if given is None:
            return
        if not isinstance(given, Mapping):
            fail(
                "E_HYPER",
                "hyper_parameters",
                "must be a mapping of paths such as layer.doublechannel to lists",
            )
        for key, values in given.items():
            at: Path_ = ("hyper_parameters", str(key))
            parent, name, place = self._target(document, str(key), at)
            parent[name] = _parameter(parent[name], values, str(name), at)
            self.moved[place] = (*self.root, *at)

    def _target(self, document: dict[str, Any], key: str, at: Path_) -> tuple[Any, Any, Path_]:
        """The container that holds what a path names, its key there, and the path in the document."""
        module, _, rest = key.partition(".")
        if module == "process" and document.get("process"):
            place: Path_ = ("process", 0)
            node: Any = document["process"][0]
        else:
            place, node = ("modules", module), document["modules"].get(module)
            if node is None:
                fail(
                    "E_HYPER",
                    at,
                    f"there is no module {module!r}",
                    allowed=[*document["modules"]],
                    given=module,
                )
        while True:
            # A key may have dots of its own, as those of a Repeat's items.
            step = next((k for k in _keys(node) if rest == str(k) or rest.startswith(f"{k}.")), None)
            if step is None:
                known = [str(k) for k in _keys(node)]
                first = rest.partition(".")[0]
                shown = ".".join(map(str, place[1:] if place[0] == "modules" else ("process", *place[2:])))
                text = f"{shown} has no {rest!r} that could be searched; give it there first"
                if not rest:
                    text = f"{shown} as a whole cannot be searched; name a field of it"
                fail("E_HYPER", at, text, allowed=known, given=first)
            place = (*place, step)
            if rest == str(step):
                return node, step, place
            node, rest = node[step], rest[len(str(step)) + 1 :]


def _keys(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return [*node]
    return list(range(len(node))) if isinstance(node, list) else []


def _parameter(target: Any, values: Any, name: str, at: Path_) -> Any:
    """The parameter that a hyperparameter stands for.

    Args:
        target: What the document has at its path.
        values: What it gives: candidates for a value, or the starting point of a code.
        name: The field.
        at: Where it stands.
    """
    if not isinstance(values, list) or not values:
        fail("E_HYPER", at, f"is {values!r}; it must be a list")
    lists = [isinstance(value, list) for value in values]
    if isinstance(target, Mapping) and "type" in target and all(isinstance(v, Mapping) for v in values):
        return {"choice": values}
    if isinstance(target, list) and all(lists):
        return _choice(target, values)
    if any(lists) or any(isinstance(value, Mapping) for value in values) or isinstance(target, Mapping):
        fail(
            "E_HYPER", at, f"is {values!r}, which does not fit {target!r}; give a list of candidates like it"
        )
    if not isinstance(target, list):
        if name == "type":
            fail(
                "E_HYPER",
                at,
                "a type is searched with its block: name the block, and list mappings with a type",
            )
        return _choice(target, values)
    if len(values) != len(target):
        fail(
            "E_HYPER",
            at,
            f"has {len(values)} entries, but {name} has {len(target)}; give a starting point of {len(target)} entries, "
            "or a list of lists to choose from",
        )
    choices = _code_choices(name, values)
    if len(choices) < 2:
        fail(
            "E_HYPER",
            at,
            f"is {values[0]!r} everywhere, so it does not say between what to choose; give a list of lists",
        )
    return {"code": {"default": values, "choices": choices, "ones": "keep" if choices == [0, 1] else "free"}}


def _choice(target: Any, values: list[Any]) -> dict[str, Any]:
    return {"choice": values, "default": target} if target in values else {"choice": values}


def _code_choices(name: str, values: list[Any]) -> list[Any]:
    """What each position of a code can be."""
    if name in _BINARY:
        return [0, 1]
    if name in _BITS and set(values) <= set(_BIT_CANDIDATES):
        return list(_BIT_CANDIDATES)
    return sorted(set(values), key=lambda value: (str(type(value)), value))
