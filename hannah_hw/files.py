"""Writing files whole, and the folder of what can be made again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

#: What names of files end in that are being written.
_TEMPORARY: Final = ".tmp"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a device or a pipe, such as ``/dev/stdout``, is written to as it is.

    Raises:
        OSError: It cannot be written.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left of `write_atomically` in a folder, which need not exist."""
    for path in folder.glob(f".*.*{_TEMPORARY}"):
        if path.suffixes[-2:-1] and path.suffixes[-2][1:].isdigit():
            path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where what is slow to make is kept, made where it is missing: ``$HANNAH_HW_CACHE``, else the user's cache folder.

    Raises:
        OSError: It cannot be made.
    """
    given = os.environ.get("HANNAH_HW_CACHE")
    if given:
        folder = Path(given).expanduser().absolute()
    else:
        user = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
        folder = Path(user).expanduser().absolute() / "hannah_hw"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
