"""Options that several verbs share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hannah_hw import catalog
from hannah_hw.errors import CatalogError, InputError

#: Input shapes of a model that leaves them open.
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="[NAME=]SIZES",
        help="Shape of the input where the model leaves it open, as in 1,3,96,96; repeatable by input name.",
    ),
]


_SIZE: Final = re.compile(r"\s*0*[1-9][0-9]{0,8}\s*", re.ASCII)


def parse_shapes(texts: Sequence[str] | None) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
    """One shape, or shapes by input name; None where nothing was given.

    Raises:
        InputError: Not of the form ``1,3,96,96`` or ``image=1,3,96,96``.
    """
    if not texts:
        return None
    shapes = {}
    for text in texts:
        name, sign, sizes = text.rpartition("=")
        parts = sizes.split(",")
        if (sign and not name) or not all(_SIZE.fullmatch(part) for part in parts):
            raise InputError(
                "write it as 1,3,96,96 or NAME=1,3,96,96, every size at least 1", where=f"--shape {text}"
            )
        shapes[name] = tuple(int(part) for part in parts)
    if "" not in shapes:
        return shapes
    if len(texts) > 1:
        raise InputError("with several inputs, each shape needs a name: NAME=1,3,96,96", where="--shape")
    return shapes[""]


def parse_settings(texts: Sequence[str] | None) -> Mapping[str, Any]:
    """``KEY=VALUE`` texts, the values read as YAML; lists become tuples.

    Raises:
        InputError: Not of that form.
    """
    from hannah_hw.documents import parse_document

    parsed: dict[str, Any] = {}
    for text in texts or ():
        key, sign, value = text.partition("=")
        if not sign or not key.strip().isidentifier():
            raise InputError("write it as KEY=VALUE, for example classes=10", where=f"--set {text}")
        found = parse_document(f"value: {value}", f"--set {text}", InputError).data["value"]
        parsed[key.strip()] = tuple(found) if isinstance(found, list) else found
    return parsed


def refuse_options(unused: Mapping[str, object], reason: str) -> None:
    """See that options that do not apply were not given.

    Args:
        unused: Option -> its value; one that was not given is None or False.
        reason: Why they do not apply.

    Raises:
        InputError: One was given.
    """
    for option, value in unused.items():
        if value:
            raise InputError(reason, where=option)


def find_config(config: Path) -> Path:
    """The file of a search configuration: a path, or the name of an example.

    Raises:
        CatalogError: There is neither.
    """
    if config.is_file():
        return config
    try:
        return catalog.find("examples", str(config))
    except CatalogError as error:
        raise CatalogError(f"{error}; `hannah-hw init DATA --target CHIP` writes a configuration") from error


def fresh_folder(name: str) -> Path:
    """The first of runs/NAME, runs/NAME-2, ... that does not exist."""
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder
