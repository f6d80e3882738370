"""The section ``search_algorithm`` of a document: how a space asks to be searched.

A search does so unless its configuration names an algorithm. Vega's documents put options into ``policy``; the own
format takes them there or beside ``type``::

    search_algorithm:
      type: BackboneNas
      policy: {num_mutate: 10, random_ratio: 0.2}

Budgets and files belong to the configuration of the search, which serves several spaces: fields about them are
kept in the document and named by `AskedSearch.left`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hannah_hw.spaces.declarative.problems import problem
from hannah_hw.wording import dotted

#: Search algorithm in documents -> its name in a search configuration.
ALGORITHMS: Final[dict[str, str]] = {
    name: name
    for name in ("BackboneNas", "PruneEA", "QuantEA", "adaptive", "aging", "exact", "nsga2", "surrogate")
}

#: Name that appears in guides and examples -> the name that a release had.
ALGORITHM_ALIASES: Final = {"BackboneNasSearch": "BackboneNas", "QuantEAFine": "QuantEA"}

#: Fields that say how many members a population has.
_POPULATION: Final = ("population", "num_individual")
#: Option -> algorithms that have it, and its type.
_OPTIONS: Final[dict[str, tuple[tuple[str, ...], type]]] = {
    "num_mutate": (("BackboneNas",), int),
    "random_ratio": (("BackboneNas", "QuantEA", "PruneEA"), float),
}


@dataclass(frozen=True)
class AskedSearch:
    """What a document says about the search.

    Attributes:
        algorithm: Name in a search configuration.
        population: Size of the population; None: not said.
        options: Options of the algorithm.
        left: Fields that a search does not read, as dotted paths.
    """

    algorithm: str
    population: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def check_search(data: dict[str, Any]) -> dict[str, Any]:
    """The section as it is, after a check.

    Raises:
        ValidationError: An unknown type, or a number that is none (E_ALGORITHM).
    """
    read_search(data)
    return data


def read_search(data: Mapping[str, Any]) -> AskedSearch:
    """What the section asks for.

    Raises:
        ValidationError: See `check_search`.
    """
    name = data.get("type")
    if name not in ALGORITHMS:
        text = f"unknown search algorithm {name!r}" if "type" in data else "the field 'type' is missing"
        raise problem("E_ALGORITHM", text, allowed=[*ALGORITHMS], given=str(name))
    policy = data.get("policy")
    fields: dict[tuple[str, ...], Any] = {
        (str(k),): v for k, v in data.items() if k not in ("type", "policy")
    }
    if isinstance(policy, Mapping):
        fields |= {("policy", str(k)): v for k, v in policy.items()}
    population, options, left = None, {}, []
    for path, value in fields.items():
        key = path[-1]
        if key in _POPULATION:
            population = _number(path, value, int, 4)
        elif key in _OPTIONS and name in _OPTIONS[key][0]:
            options[key] = _number(path, value, _OPTIONS[key][1], 2 if _OPTIONS[key][1] is int else 0)
        else:
            left.append(dotted(path))
    return AskedSearch(ALGORITHMS[name], population, options, tuple(left))


def _number(path: tuple[str, ...], value: Any, kind: type, least: int) -> Any:
    right = isinstance(value, int | float) and not isinstance(value, bool) and kind(value) == value
    if not right or value < least or (kind is float and value >= 1):
        form = f"an integer of at least {least}" if kind is int else "a number of at least 0 and below 1"
        raise problem("E_ALGORITHM", f"is {value!r}; needed: {form}", loc=path)
    return kind(value)
