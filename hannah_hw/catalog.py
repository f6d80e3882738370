"""Finding targets, cost models, search spaces and examples by name or by path.

A checkout reads them from its root; an installed wheel carries them in ``hannah_hw/catalog``; the
environment variable ``HANNAH_HW_PATH`` (directories with the same subfolders, separated as in ``PATH``)
comes before both. A path is taken as it is: a user's own file is treated as a shipped one.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hannah_hw.errors import CatalogError
from hannah_hw.wording import shortened

#: Catalogue -> the suffixes of its entries, in order of preference.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "targets": (".yaml",),
    "cost_models": (".yaml",),
    "search_spaces": (".py", ".yaml", ".yml"),
    "examples": (".yaml",),
}
#: Catalogue -> what to do where no name is near to the one that was given.
_ADVICE: Final = {
    "targets": " (`hannah-hw targets list` shows all, `hannah-hw targets new NAME` begins one of your own)",
    "search_spaces": " (`hannah-hw spaces list` shows all; one of your own is a path ending in .py or .yaml)",
}
#: Built-in data sets; with ``_rows`` the same as series of their rows.
DATA_SETS: Final = ("mnist5k", "digits", "mnist5k_rows", "digits_rows")
#: Catalogues whose entries lie in subfolders and are named by both, such as ``m4/hannah``.
NESTED: Final = frozenset({"cost_models"})


def directories(kind: str) -> Iterator[Path]:
    """Existing folders of a catalogue, first match first."""
    package = Path(__file__).resolve().parent
    roots = [Path(p).expanduser() for p in os.environ.get("HANNAH_HW_PATH", "").split(os.pathsep) if p]
    shipped = package / "catalog" if (package / "catalog").is_dir() else package.parent
    for root in [*roots, shipped]:
        folder = root / kind
        if folder.is_dir():
            yield folder


def names(kind: str) -> list[str]:
    """Sorted names of a catalogue's entries."""
    pattern = "*/*" if kind in NESTED else "*"
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in directories(kind)
        for path in folder.glob(pattern)
        if path.suffix in KINDS[kind] and not path.name.startswith("_")
    }
    return sorted(found)


def find(kind: str, name: str, *, near: Path | None = None) -> Path:
    """The file of a catalogue entry.

    Args:
        kind: A key of `KINDS`.
        name: A catalogue name, or a path (recognised by a suffix, or by a separator where names have none).
        near: A folder that relative paths are tried in first: that of the file which refers to `name`.

    Raises:
        CatalogError: Nothing is found; names the nearest entry.
    """
    try:
        return _found(kind, name, near)
    except OSError as error:
        raise CatalogError(f"cannot look for {shortened(name)}: {error.strerror}") from error


def _found(kind: str, name: str, near: Path | None) -> Path:
    path = Path(name).expanduser()
    if path.suffix in KINDS[kind] or (len(path.parts) > 1 and kind not in NESTED):
        bases = [near, Path.cwd()] if near is not None else [Path.cwd()]
        for base in bases:
            if (base / path).is_file():
                return base / path
            if (base / path).exists():
                raise CatalogError("is no regular file", where=str(base / path))
        looked = "" if path.is_absolute() else f" in {' or '.join(dict.fromkeys(map(str, bases)))}"
        raise CatalogError(f"there is no file {name!r}{looked}")
    for folder in directories(kind):
        for suffix in KINDS[kind]:
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    singular = kind.removesuffix("s").replace("_", " ")
    if name and Path(name).exists():
        ends = " or ".join(KINDS[kind])
        raise CatalogError(f"{name!r} is no {singular}: the name of such a file ends in {ends}", where=name)
    known = names(kind)
    advice = "" if difflib.get_close_matches(name, known, n=1) else _ADVICE.get(kind, "")
    raise CatalogError(f"unknown {singular} {name!r}{advice}", allowed=known, given=name)
