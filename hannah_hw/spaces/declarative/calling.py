"""Calling the functions of a document: what goes wrong in one is shown with its place in the document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hannah_hw.errors import HannahError, InputError, SpaceError, raised_at
from hannah_hw.graph import Node
from hannah_hw.spaces.declarative.definitions import Definition
from hannah_hw.spaces.declarative.problems import current_site


def called(definition: Definition, argument: Any, fields: Mapping[str, Any]) -> Any:
    """What the function of a block or of a process returns.

    Args:
        definition: The function.
        argument: The data, or the network.
        fields: Its fields.

    Raises:
        SpaceError: Anything that went wrong. What the function did not place is placed where its mapping stands.
    """
    try:
        result = definition.function(argument, **fields)
        if isinstance(result, Node):
            result.shape()  # what operators require of plain sizes is checked here
        return result
    except (Exception, SystemExit) as error:
        if isinstance(error, HannahError) and (not isinstance(error, InputError) or error.where):
            raise
        at = _line(definition.function, error)
        failed = f"{definition.name} failed{f' in {at}' if at else ''}: "
        if isinstance(error, InputError):
            text = f"{failed if at else ''}{error}"
        else:
            text = f"{failed}{type(error).__name__}: {error}"
        raise SpaceError(text, code="E_BUILD", where=current_site().where) from error


def _line(function: Any, error: BaseException) -> str:
    """``file:line`` where the function of a user failed; empty for one of the library."""
    code = getattr(function, "__code__", None)
    if code is None or str(function.__module__).startswith("hannah_hw."):
        return ""
    return raised_at(error, Path(code.co_filename))
