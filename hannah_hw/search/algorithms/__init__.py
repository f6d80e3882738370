"""Search algorithms. To add one, write its module here: every subclass of `Algorithm` with a name is registered."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any, Final

from hannah_hw.errors import ConfigError
from hannah_hw.search.algorithms.base import Algorithm
from hannah_hw.search.protocols import Encoding


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


def find_algorithm(which: str | type[Algorithm]) -> type[Algorithm]:
    """An algorithm by its name, by ``package.module:Class`` of an installed package, or as it is.

    Raises:
        ConfigError: There is none of that name.
    """
    if isinstance(which, type):
        return which
    module, colon, name = which.partition(":")
    if which in ALGORITHMS or not colon:
        if which not in ALGORITHMS:
            raise ConfigError(
                f"unknown algorithm {which!r}",
                allowed=[*sorted(ALGORITHMS), "package.module:Class"],
                given=which,
            )
        return ALGORITHMS[which]
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{which!r} cannot be imported: {error}", where="algorithm") from error
    if not isinstance(found, type) or not issubclass(found, Algorithm):
        raise ConfigError(
            f"{which!r} is no algorithm; it must be a subclass of hannah_hw.search.Algorithm",
            where="algorithm",
        )
    return found


def check_options(which: str | type[Algorithm], options: Mapping[str, Any]) -> None:
    """Check that an algorithm has options of these names: arguments beyond those of every algorithm.

    Raises:
        ConfigError: It has not, or there is no such algorithm.
    """
    every = inspect.signature(Algorithm).parameters
    given = inspect.signature(find_algorithm(which)).parameters
    anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    allowed = [name for name, one in given.items() if name not in every and one.kind not in anything]
    for name in options:
        if name not in allowed:
            raise ConfigError(f"{which} has no option {name!r}", allowed=allowed or ["none"], given=name)


def make_algorithm(
    which: str | type[Algorithm],
    encoding: Encoding,
    objectives: int,
    options: Mapping[str, Any],
    **common: Any,
) -> Algorithm:
    """A fresh algorithm.

    Args:
        which: See `find_algorithm`.
        encoding: See `Algorithm`, as for the others.
        objectives: Number of objectives.
        options: Options of this algorithm alone.
        common: ``population``, ``seed`` and ``outlook``.

    Raises:
        ConfigError: There is none of that name, or an option is unknown or out of range.
    """
    check_options(which, options)
    try:
        return find_algorithm(which)(encoding, objectives, **common, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{which}: {error}", where="search.options") from error


__all__ = ["ALGORITHMS", "Algorithm", "check_options", "find_algorithm", "make_algorithm"]
