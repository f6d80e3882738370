"""The hooks in C and Unicorn's C interface, by which they are called."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, Final

from hannah_hw.emulation.compiling import compiled
from hannah_hw.errors import RunError, require

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
    return ctypes.CDLL(str(compiled(Path(__file__).with_name("hooks.c"))))


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
