"""Search algorithms. To add one, write its module here: every subclass of `Algorithm` with a name is registered."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from hannah_hw.errors import ConfigError
from hannah_hw.search.algorithms.base import Algorithm


def _discover() -> dict[str, type[Algorithm]]:
    """The algorithms of this folder by name; two of one name are a mistake of the programmer."""
    found: dict[str, type[Algorithm]] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for value in vars(importlib.import_module(f"{__name__}.{module}")).values():
            if not isinstance(value, type) or not issubclass(value, Algorithm) or "name" not in vars(value):
                continue
            if found.setdefault(value.name, value) is not value:
                raise ImportError(f"{value} and {found[value.name]} are both named {value.name!r}")
    return found


#: Name in a search configuration -> class.
ALGORITHMS: Final[dict[str, type[Algorithm]]] = _discover()


def find_algorithm(name: str) -> type[Algorithm]:
    """The class of a named algorithm.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in ALGORITHMS:
        raise ConfigError(f"unknown algorithm {name!r}", allowed=sorted(ALGORITHMS), given=name)
    return ALGORITHMS[name]


__all__ = ["ALGORITHMS", "Algorithm", "find_algorithm"]
