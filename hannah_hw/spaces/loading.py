"""Loading search spaces from the catalogue or from a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hannah_hw import catalog
from hannah_hw.errors import HannahError, InputError, SpaceError, raised_at
from hannah_hw.graph import Node
from hannah_hw.spaces.modules import execute
from hannah_hw.spaces.space import SearchSpace


def load_space(
    name: str, *, offered: Mapping[str, Any] | None = None, near: Path | None = None, **options: Any
) -> SearchSpace:
    """A search space by catalogue name or by the path of a Python file.

    The file holds functions that are decorated with `hannah_hw.search_space`. Of several, the one that is named
    like the file is meant; ``file:function`` names another.

    Args:
        name: ``ds_cnn``, ``my/space.py``, ``mlperf_tiny:resnet8``.
        offered: Arguments that are passed if the function has them, such as the data's ``input_shape`` and
            ``classes``.
        near: A folder that relative paths are tried in first.
        options: Arguments of the function.

    Raises:
        CatalogError: There is no such space.
        SpaceError: The file holds no such function, does not run, or takes no such argument.
    """
    file, _, function_name = name.partition(":")
    path = catalog.find("search_spaces", file, near=near)
    if path.suffix != ".py":
        raise SpaceError(f"{path} is no Python file; search spaces are written in Python", allowed=[".py"])
    functions = space_functions(path)
    wanted = function_name or (
        path.stem if path.stem in functions or len(functions) != 1 else next(iter(functions))
    )
    if wanted not in functions:
        raise SpaceError(
            f"no function {wanted!r} that is decorated with @hannah_hw.search_space",
            where=str(path),
            allowed=[f"{file}:{f}" for f in functions],
            given=f"{file}:{wanted}",
        )
    function = functions[wanted]
    accepted = inspect.signature(function).parameters
    for option in options:
        if option not in accepted:
            raise SpaceError(
                f"{wanted} has no option {option!r}", where=str(path), allowed=accepted, given=option
            )
    arguments = {k: v for k, v in (offered or {}).items() if k in accepted} | options
    try:
        outputs = function(**arguments)
    except InputError as error:
        raise SpaceError(f"{wanted}({arguments}): {error}", where=str(path)) from error
    except HannahError:
        raise
    except (Exception, SystemExit) as error:
        raise SpaceError(
            f"{wanted}({arguments}) failed: {type(error).__name__}: {error}",
            where=raised_at(error, path) or str(path),
        ) from error
    if isinstance(outputs, Node):
        outputs = [outputs]
    if not isinstance(outputs, list | tuple) or not all(isinstance(output, Node) for output in outputs):
        raise SpaceError(
            f"{wanted} returned {outputs!r}; it must return the last node of the graph", where=str(path)
        )
    space = SearchSpace(outputs, name, arguments)
    try:
        _ = space.candidate(space.default()).plan
    except Exception as error:
        raise SpaceError(
            f"{wanted}({arguments}): the network of the default parameters cannot be built: {error}",
            where=str(path),
        ) from error
    return space


def space_functions(path: Path) -> dict[str, Callable[..., Any]]:
    """The functions of a file that are decorated with ``@search_space``.

    Raises:
        SpaceError: The file cannot be executed.
    """
    module = execute(path)
    return {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "is_search_space", False) and value.__module__ == module.__name__
    }
