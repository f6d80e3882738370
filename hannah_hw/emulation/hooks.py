"""The hooks in C: compiled once for this machine, kept in the cache folder, loaded with ctypes.

In Python a hook costs about a microsecond a block, which is ten times what the emulation of the block costs.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import RunError, require
from hannah_hw.files import cache_folder

_SOURCE: Final = Path(__file__).with_name("hooks.c")
_FLAGS: Final = ("-O2", "-shared", "-fPIC", "-std=c11")
_TIMEOUT_S: Final = 120.0

HOOK_CODE: Final = 4
HOOK_BLOCK: Final = 8
#: Reads, writes and fetches of memory that is not mapped or protected: called on faults only, unlike hooks of accesses.
HOOK_FAULT: Final = 0b111111 << 4


class Counters(ctypes.Structure):
    """``hannah_counters`` of hooks.c."""

    _fields_ = (
        ("code_start", ctypes.c_uint64),
        ("halfwords", ctypes.c_uint64),
        ("starts", ctypes.c_void_p),
        ("ends", ctypes.c_void_p),
        ("taken", ctypes.c_void_p),
        ("arrivals", ctypes.c_void_p),
        ("previous_end", ctypes.c_uint64),
        ("budget", ctypes.c_uint64),
        ("outside", ctypes.c_uint64),
        ("fault_address", ctypes.c_uint64),
        ("fault_size", ctypes.c_uint64),
        ("stop", ctypes.c_void_p),
        ("exhausted", ctypes.c_uint32),
    )


class Operand(ctypes.Structure):
    """``hannah_operand`` of hooks.c."""

    _fields_ = (
        ("base", ctypes.c_int32),
        ("index", ctypes.c_int32),
        ("shift", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
        ("alignment", ctypes.c_uint32),
    )


class Loads(ctypes.Structure):
    """``hannah_loads`` of hooks.c."""

    _fields_ = (
        ("code_start", ctypes.c_uint64),
        ("halfwords", ctypes.c_uint64),
        ("entries", ctypes.c_void_p),
        ("operands", ctypes.c_void_p),
        ("reads", ctypes.c_void_p),
        ("flash_start", ctypes.c_uint32),
        ("flash_size", ctypes.c_uint32),
        ("misaligned_at", ctypes.c_uint64),
        ("read_register", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
    )


@functools.cache
def hooks() -> ctypes.CDLL:
    """The compiled hooks.

    Raises:
        MissingExtraError: There is neither a C compiler on PATH nor ziglang.
        RunError: They could not be compiled.
    """
    command, version = _compiler()
    key = hashlib.sha256(
        _SOURCE.read_bytes() + repr((command, version, _FLAGS, sys.platform)).encode()
    ).hexdigest()
    try:
        library = cache_folder() / f"hooks-{key[:16]}.so"
        if not library.exists():
            _compile(command, library)
    except OSError as error:
        raise RunError(
            f"cannot keep the compiled hooks: {error}; name a folder that can be written in HANNAH_HW_CACHE"
        ) from error
    return ctypes.CDLL(str(library))


def unicorn_library() -> Any:
    """Unicorn's own C library, as its Python package has loaded it.

    Raises:
        MissingExtraError: unicorn is not installed.
    """
    return require("unicorn.unicorn_py3.unicorn", "emulate").uclib


def address_of(function: Any) -> int:
    """The address of a C function."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def add_hook(engine: Any, kind: int, name: str, context: ctypes.Structure) -> None:
    """Have Unicorn call a function of hooks.c everywhere.

    Args:
        engine: A ``unicorn.Uc``.
        kind: ``HOOK_BLOCK``, ``HOOK_CODE`` or ``HOOK_FAULT``.
        name: The function.
        context: What it is given; must live as long as the engine.

    Raises:
        RunError: Unicorn refuses.
    """
    handle = ctypes.c_size_t()
    everywhere = (ctypes.c_uint64(1), ctypes.c_uint64(0))
    status = unicorn_library().uc_hook_add(
        engine._uch,
        ctypes.byref(handle),
        ctypes.c_int(kind),
        ctypes.cast(getattr(hooks(), name), ctypes.c_void_p),
        ctypes.byref(context),
        *everywhere,
    )
    if status:
        raise RunError(f"Unicorn refused the hook {name} with status {status}")


def _compiler() -> tuple[tuple[str, ...], str]:
    """A C compiler for this machine and what tells its versions apart without running it."""
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path:
            status = Path(path).resolve().stat()
            return (path,), f"{status.st_size} {status.st_mtime_ns}"
    require("ziglang", "emulate")
    return (sys.executable, "-m", "ziglang", "cc"), importlib.metadata.version("ziglang")


def _compile(command: tuple[str, ...], library: Path) -> None:
    """Compile beside the library's place and rename, so that processes may share a cache."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        try:
            result = subprocess.run(
                [*command, *_FLAGS, "-o", str(made), str(_SOURCE)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunError(f"cannot compile the emulator's hooks with {command[0]}: {error}") from error
        if result.returncode:
            raise RunError(
                f"{' '.join(command)} cannot compile the emulator's hooks:\n{result.stderr.strip()}"
            )
        made.replace(library)
