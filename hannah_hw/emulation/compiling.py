"""Small C sources of ours for this machine: compiled once, kept in the cache folder.

A hook in Python costs about a microsecond a block of instructions, ten times what the emulation of the block costs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from hannah_hw.errors import RunError, require
from hannah_hw.files import cache_folder

_FLAGS: Final = ("-O2", "-shared", "-fPIC", "-std=c11")
_TIMEOUT_S: Final = 120.0


def compiled(source: Path, *flags: str) -> Path:
    """A C source as a shared library for this machine.

    Args:
        source: The file.
        flags: More flags.

    Returns:
        The library; made by an earlier call with the same source, compiler and flags, or now.

    Raises:
        MissingExtraError: There is neither a C compiler on PATH nor ziglang.
        RunError: It could not be compiled or kept.
    """
    command, version = _compiler()
    made_from = repr((command, version, _FLAGS, flags, sys.platform)).encode()
    key = hashlib.sha256(source.read_bytes() + made_from).hexdigest()
    try:
        library = cache_folder() / f"{source.stem}-{key[:16]}.so"
        if not library.exists():
            _compile([*command, *_FLAGS, *flags], source, library)
    except OSError as error:
        raise RunError(
            f"cannot keep what {source.name} compiles to: {error}; name a folder that can be written in HANNAH_HW_CACHE"
        ) from error
    return library


def _compiler() -> tuple[tuple[str, ...], str]:
    """A C compiler for this machine, and what tells its versions apart without running it."""
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path:
            status = Path(path).resolve().stat()
            return (path,), f"{status.st_size} {status.st_mtime_ns}"
    require("ziglang", "emulate")
    return (sys.executable, "-m", "ziglang", "cc"), importlib.metadata.version("ziglang")


def _compile(command: list[str], source: Path, library: Path) -> None:
    """Compile beside the library's place and rename, so that processes may share a cache."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        try:
            result = subprocess.run(
                [*command, "-o", str(made), str(source)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RunError(f"{command[0]} did not compile {source.name} in {_TIMEOUT_S:g} s") from error
        if result.returncode:
            raise RunError(f"{command[0]} cannot compile {source.name}:\n{result.stderr.strip()}")
        made.replace(library)
