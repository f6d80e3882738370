"""The ``hyper_parameters`` of the dialect ``vega/0.9.3``: paths and lists, which mean parameters of several forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hannah_hw.documents import Path_
from hannah_hw.spaces.declarative.problems import fail

#: Fields whose positions are 0 or 1, whatever the starting point shows of them.
_BINARY: Final = ("doublechannel", "downsample")
#: Fields that hold numbers of bits, and what they are searched over if the starting point holds no others.
_BITS: Final = ("nbit_w_list", "nbit_a_list")
_BIT_CANDIDATES: Final = (4, 8)


def apply_hyper_parameters(document: dict[str, Any], given: Any) -> Iterator[tuple[Path_, Path_]]:
    """Replace what ``hyper_parameters`` names by parameters.

    Args:
        document: A document of the own format; changed in place.
        given: Path -> list, such as ``layer.doublechannel: [0, 1]``.

    Yields:
        The path of each parameter in the document, and its path in the section's parent.

    Raises:
        SpaceError: A path that leads nowhere, or a list that does not fit what is there (E_HYPER).
    """
    if not isinstance(given, Mapping):
        fail("E_HYPER", "hyper_parameters", "must map paths such as layer.doublechannel to lists")
    for key, values in given.items():
        at: Path_ = ("hyper_parameters", str(key))
        parent, name, place = _target(document, str(key), at)
        parent[name] = _parameter(parent[name], values, str(name), at)
        yield place, at


def _target(document: dict[str, Any], key: str, at: Path_) -> tuple[Any, Any, Path_]:
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
