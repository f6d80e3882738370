"""Loading search spaces from the catalogue or from a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hannah_hw import catalog
from hannah_hw.errors import HannahError, InputError, SpaceError, raised_at
from hannah_hw.graph import Node, Plan
from hannah_hw.graph.numbers import check_countable
from hannah_hw.spaces.modules import execute
from hannah_hw.spaces.space import SearchSpace


def load_space(
    name: str,
    /,
    *,
    offered: Mapping[str, Any] | None = None,
    near: Path | None = None,
    allow_code: bool = False,
    **options: Any,
) -> SearchSpace:
    """A search space by catalogue name or by the path of a Python or YAML file.

    A Python file holds functions that are decorated with `hannah_hw.search_space`. Of several, the one that is named
    like the file is meant; ``file:function`` names another. The file is executed.

    A YAML file is of the format ``hannah-space/1`` (see `hannah_hw.spaces.declarative.document`) or of the dialect
    ``vega/0.9.3``. Its options are ``input_shape`` and ``classes``, which replace what the file says. It is data: a
    block type that would import code, such as ``blocks.py:my_block``, is refused unless ``allow_code`` is given.

    Args:
        name: ``ds_cnn``, ``my/space.py``, ``mlperf_tiny:resnet8``, ``my/space.yaml``.
        offered: Arguments that are passed if the space has them, such as the data's ``input_shape`` and
            ``classes``.
        near: A folder that relative paths are tried in first.
        allow_code: Whether a YAML file may name Python functions outside of what is installed for it.
        options: Arguments of the function, or options of the document.

    Raises:
        CatalogError: There is no such space.
        SpaceError: The file describes no space, or takes no such argument.
    """
    return open_space(name, options, offered=offered, near=near, allow_code=allow_code)


def open_space(
    name: str,
    options: Mapping[str, Any],
    *,
    offered: Mapping[str, Any] | None = None,
    near: Path | None = None,
    allow_code: bool = False,
) -> SearchSpace:
    """`load_space` with options of any name."""
    if not isinstance(allow_code, bool):
        raise SpaceError(f"allow_code is {allow_code!r}; it must be true or false")
    file, _, part = name.partition(":")
    path = catalog.find("search_spaces", file, near=near)
    if path.suffix == ".py":
        space = _from_function(path, name, part, offered or {}, options)
    elif part:
        raise SpaceError(f"a YAML file holds one space; write {file!r}, without {part!r}", where=str(path))
    elif path.suffix in catalog.KINDS["search_spaces"]:
        space = _from_document(path, name, offered or {}, options, allow_code)
    else:
        raise SpaceError(
            f"{path} is neither a Python nor a YAML file", allowed=catalog.KINDS["search_spaces"]
        )
    try:
        _check_sizes(space.candidate(space.default()).plan)
    except Exception as error:  # Operators of users may fail in any way.
        raise SpaceError(
            f"the network of the default parameters cannot be built: {error} (options: {space.options})",
            code="" if space.document is None else "E_BUILD",
            where=str(path),
        ) from error
    return space


def _check_sizes(plan: Plan) -> None:
    """Refuse a network whose figures would not fit 64 bits."""
    for value in (*plan.inputs, *plan.weights.values()):
        check_countable(value.shape(), value.id)
    for step in plan.steps:
        check_countable(step.shape, step.op.id)


@contextmanager
def _placed(path: Path) -> Iterator[None]:
    """Mistakes that are found inside and have no place are in a file."""
    try:
        yield
    except SpaceError as error:
        if error.where:
            raise
        raise SpaceError(error.message, code=error.code, where=str(path)) from error


def _from_function(
    path: Path, name: str, function_name: str, offered: Mapping[str, Any], options: Mapping[str, Any]
) -> SearchSpace:
    """The space that a function of a Python file builds."""
    file = name.partition(":")[0]
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
    _check_options(options, list(accepted), wanted, path)
    arguments = {k: v for k, v in offered.items() if k in accepted} | dict(options)
    try:
        outputs = function(**arguments)
    except (Exception, SystemExit) as error:
        if isinstance(error, HannahError) and not isinstance(error, InputError):
            raise
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        where = raised_at(error, path) or str(path)
        raise SpaceError(f"{wanted}({arguments}) failed: {text}", where=where) from error
    if isinstance(outputs, Node):
        outputs = [outputs]
    if not isinstance(outputs, list | tuple) or not all(isinstance(output, Node) for output in outputs):
        raise SpaceError(
            f"{wanted} returned {outputs!r}; it must return the last node of the graph", where=str(path)
        )
    with _placed(path):
        return SearchSpace(outputs, name, arguments)


def _from_document(
    path: Path, name: str, offered: Mapping[str, Any], options: Mapping[str, Any], allow_code: bool
) -> SearchSpace:
    """The space that a YAML file describes."""
    from hannah_hw.spaces.declarative.build import build, has_classes
    from hannah_hw.spaces.declarative.document import load_document

    document = load_document(path, allow_code=allow_code)
    accepted = ["input_shape", "classes"] if has_classes(document) else ["input_shape"]
    _check_options(options, accepted, document.name, path)
    arguments = {k: v for k, v in offered.items() if k in accepted} | dict(options)
    with _placed(path):
        built = build(document, **arguments)
        space = SearchSpace(built.output, name, arguments)
    built.warn_of_unused(space.parameters)
    space.document = document
    space.warnings = tuple(document.site.warnings)
    return space


def _check_options(options: Mapping[str, Any], accepted: list[str], name: str, path: Path) -> None:
    for option in options:
        if option not in accepted:
            raise SpaceError(
                f"{name} has no option {option!r}", where=str(path), allowed=accepted, given=option
            )


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
