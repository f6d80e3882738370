"""A folder of files by class: ``CLASS/FILE``, or ``train/CLASS/FILE`` with other parts beside it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hannah_hw.errors import DataError

#: Name of a folder in lower case -> the part that it holds.
PARTS: Final[Mapping[str, str]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
#: Most files of a data set.
MAX_FILES: Final = 500_000


@dataclass(frozen=True)
class Filed:
    """Files by part and class.

    Attributes:
        parts: Part (``train``, ``val``, ``test``) -> (file, class) in the order of the files' names.
        class_names: Sorted; a class is an index into them.
        ignored: Files of other kinds that lie among them.
    """

    parts: Mapping[str, list[tuple[Path, int]]]
    class_names: tuple[str, ...]
    ignored: int

    @property
    def files(self) -> list[Path]:
        """All files, part by part."""
        return [file for entries in self.parts.values() for file, _ in entries]


def files_by_class(folder: Path, suffixes: Collection[str]) -> Filed:
    """The files of a folder of classes, whatever the order in which the system lists them.

    Folders and files whose names begin with ``.`` or ``_`` are no data. Links to folders are not followed.

    Args:
        folder: Of the data set.
        suffixes: Of files that count, in lower case.

    Raises:
        DataError: It is no folder, has fewer than two classes, no training part, too many files, or a class that only
            another part has.
    """
    where = str(folder)
    if not folder.is_dir():
        raise DataError("there is no such folder", where=where)
    inside = _folders(folder)
    named = {PARTS[name.lower()]: folder / name for name in inside if name.lower() in PARTS}
    split = "train" in named
    if named and not split and set(map(str.lower, inside)) <= PARTS.keys():
        raise DataError("there is no folder 'train' beside the other parts", where=where)
    roots = named if split else {"train": folder}
    found = {part: {name: _walk(root / name) for name in _folders(root)} for part, root in roots.items()}
    classes = sorted(name for name, files in found["train"].items() if _of(files, suffixes))
    if len(classes) < 2:
        linked = any(entry.is_symlink() and entry.is_dir() for entry in roots["train"].iterdir())
        raise DataError(
            f"{len(classes)} folders hold files with {', '.join(sorted(suffixes))}; needed are at least two, one a "
            f"class: {roots['train']}/CLASS/FILE" + ("; links to folders are not followed" if linked else ""),
            where=where,
        )
    numbers = {name: number for number, name in enumerate(classes)}
    parts: dict[str, list[tuple[Path, int]]] = {}
    ignored = 0
    for part, by_class in found.items():
        parts[part] = []
        for name, files in sorted(by_class.items()):
            kept = _of(files, suffixes)
            ignored += len(files) - len(kept)
            if kept and name not in numbers:
                raise DataError(
                    f"the class {name!r} has no training files",
                    where=str(roots[part] / name),
                    allowed=classes,
                    given=name,
                )
            parts[part] += [(file, numbers[name]) for file in kept]
        if not parts[part]:
            raise DataError("this part holds no files of any class", where=str(roots[part]))
    filed = Filed(parts, tuple(classes), ignored)
    if len(filed.files) > MAX_FILES:
        raise DataError(f"{len(filed.files)} files are more than the limit of {MAX_FILES}", where=where)
    return filed


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and e.name[0] not in "._")


def _walk(folder: Path) -> list[Path]:
    """All files under a folder, sorted by their paths."""
    return sorted(
        Path(root) / name for root, _, names in os.walk(folder) for name in names if name[0] not in "._"
    )


def _of(files: list[Path], suffixes: Collection[str]) -> list[Path]:
    """Regular files with one of some suffixes: what is a pipe would be waited for."""
    return [file for file in files if file.suffix.lower() in suffixes and file.is_file()]
