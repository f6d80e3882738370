"""Finding C compilers for a core or for the host, and calling them.

Three compilers do: ``zig`` (a pip package that brings every target), the core's GNU cross compiler, and for the
host whatever ``cc`` is. The flags matter more than the compiler:

* zig's names of CPUs leave extensions off, so `hannah_hw.cores` spells them out, and every object is compiled with
  a header that stops when a feature macro is not what the core has.
* Loops that copy are not to become calls of ``memcpy`` (``-fno-builtin`` for clang,
  ``-fno-tree-loop-distribute-patterns`` for GCC): an inner loop of four bytes would call a function.
* clang unrolls loops at ``-O2``, which GCC does not: whole networks' code is a third larger by it and 0 to 2 % faster
  (ResNet-8 and DS-CNN on M0+, M3 and M4). A loop that is worth it says ``#pragma GCC unroll``.
* Neither brings a C library, and the firmware needs none: what compilers call on their own is in
  ``templates/runtime_functions.c``, beside GCC's ``-lgcc``. zig would build its run-time library when it first
  meets a CPU, which takes half a minute; only firmware that needs more than our functions waits for it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from hannah_hw.cores import Core
from hannah_hw.errors import InputError, MissingToolError, RunError

CompilerName = Literal["zig", "gcc"]
COMPILERS: Final[tuple[CompilerName, ...]] = ("zig", "gcc")

#: Seconds; zig's own run-time library takes half a minute on a slow machine, see above.
TIMEOUT_S: Final = 180.0

#: What every object is compiled with.
_COMMON: Final = ("-std=c11", "-O2", "-g0", "-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections")
_BY_COMPILER: Final[Mapping[CompilerName, tuple[str, ...]]] = {
    "zig": (
        "-fno-builtin",
        "-fno-unroll-loops",
        "-fno-sanitize=all",
        "-fno-stack-protector",
        "-fno-unwind-tables",
    ),
    "gcc": ("-fno-tree-loop-distribute-patterns", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
}
_LINKED: Final = (
    "-nostdlib",
    "-static",
    "-Wl,-e,hn_reset",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,-z,max-page-size=4",
)

_DEBIAN: Final[Mapping[str, str]] = {
    "arm-none-eabi-": "gcc-arm-none-eabi",
    "riscv64-unknown-elf-": "gcc-riscv64-unknown-elf",
    "": "gcc",
}
#: Lines of a compiler's output that a message quotes.
_QUOTED: Final = 6


@dataclass(frozen=True)
class Settings:
    """How a compiler is called for one core, or for the host.

    Attributes:
        name: ``zig`` or ``gcc``; the host's ``cc`` is called as GCC is.
        core: The core; None is the host.
        machine: Flags that choose the instructions, for compiling and linking.
        flags: Flags of every object beyond `machine`.
        link_flags: Flags before the objects of a link beyond `machine`.
        libraries: Flags after them.
    """

    name: CompilerName
    core: Core | None
    machine: tuple[str, ...]
    flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    libraries: tuple[str, ...]


def settings(name: CompilerName, core: Core | None) -> Settings:
    """How a compiler is called, whether or not it is installed.

    Args:
        name: The compiler.
        core: The core; None is the host.
    """
    flags = (*_COMMON, *_BY_COMPILER[name])
    if core is None:
        machine = ("-target", "native") if name == "zig" else ()
        # A library for Python, which has memcpy; zig would build a whole C library first.
        link_flags = ("-nostdlib",) if name == "zig" else ()
        return Settings(name, core, machine, (*flags, "-fPIC"), link_flags, ())
    if name == "gcc":
        # Freestanding: of a C library's headers only those that the compiler brings.
        return Settings(name, core, core.gcc[1], (*flags, "-ffreestanding"), _LINKED, ("-lgcc",))
    triple, cpu = core.zig
    # Relaxation shrinks code while it is linked, so that sizes would depend on what else is in the ELF.
    relaxation = ("-mno-relax",) if core.isa == "riscv32" else ()
    return Settings(name, core, ("-target", triple, f"-mcpu={cpu}"), (*flags, *relaxation), _LINKED, ())


@dataclass(frozen=True)
class Compiler:
    """A compiler that is installed.

    Attributes:
        command: The program and what makes it a C compiler.
        version: First line that it says of itself; part of the key of cached objects.
        settings: How it is called.
    """

    command: tuple[str, ...]
    version: str
    settings: Settings

    @property
    def name(self) -> CompilerName:
        """``zig`` or ``gcc``."""
        return self.settings.name

    @property
    def core(self) -> Core | None:
        """The core that it compiles for; None is the host."""
        return self.settings.core

    @property
    def title(self) -> str:
        """For messages: ``zig 0.15.1 for Cortex-M4``."""
        return f"{self.version} for {self.core.title if self.core is not None else 'this machine'}"

    def run(self, arguments: Sequence[str], what: str) -> None:
        """Call it.

        Args:
            arguments: After the command and the machine flags.
            what: What is done, for messages: ``compile conv.c``.

        Raises:
            CompilerError: It failed; its ``output`` is kept.
            RunError: It took longer than `TIMEOUT_S`, or could not be started.
        """
        finished = _call([*self.command, *self.settings.machine, *arguments], f"{self.title} to {what}")
        if finished.returncode:
            raise CompilerError(f"{self.title} could not {what}", finished.stderr or finished.stdout)


class CompilerError(RunError):
    """A compiler or linker failed.

    Args:
        message: What it was to do.
        output: All it said.
    """

    def __init__(self, message: str, output: str) -> None:
        self.output = output
        lines = [line for line in output.splitlines() if line.strip()]
        more = f"\n... and {len(lines) - _QUOTED} more lines" if len(lines) > _QUOTED else ""
        super().__init__(":\n".join([message, "\n".join(lines[:_QUOTED]) + more]) if lines else message)


def find(core: Core | None, prefer: str | None = None) -> Compiler:
    """A compiler for a core: zig where it is installed, else the GNU compiler.

    Args:
        core: The core; None is the host, where the order is ``gcc``, ``cc``, zig.
        prefer: Take this one of `COMPILERS` or fail.

    Raises:
        InputError: `prefer` is no compiler.
        MissingToolError: None is installed; says how to install one.
    """
    if prefer is not None and prefer not in COMPILERS:
        raise InputError(f"unknown compiler {prefer!r}", allowed=COMPILERS, given=prefer)
    for name in ("zig", "gcc") if core is not None else ("gcc", "zig"):
        if prefer in (None, name):
            found = _zig(core) if name == "zig" else _gcc(core)
            if found is not None:
                return found
    wanted = {
        "zig": "pip install 'hannah-hw[emulate]' (zig)",
        "gcc": f"the package {_DEBIAN[core.gcc[0] if core is not None else '']} of Debian or Ubuntu",
    }
    raise MissingToolError(
        f"there is no C compiler{'' if prefer is None else f' {prefer}'} for "
        f"{core.title if core is not None else 'this machine'}; install "
        + " or ".join(text for name, text in wanted.items() if prefer in (None, name))
    )


def available(core: Core | None) -> tuple[Compiler, ...]:
    """All compilers for a core that are installed, the default first."""
    found = (_zig(core), _gcc(core)) if core is not None else (_gcc(core), _zig(core))
    return tuple(compiler for compiler in found if compiler is not None)


def _zig(core: Core | None) -> Compiler | None:
    spec = importlib.util.find_spec("ziglang")
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    program = shutil.which("zig", path=str(folder)) if folder is not None else shutil.which("zig")
    if program is None:
        return None
    return Compiler((program, "cc"), f"zig {_version(program, 'version')}", settings("zig", core))


def _gcc(core: Core | None) -> Compiler | None:
    program = shutil.which(f"{core.gcc[0] if core is not None else ''}gcc")
    if program is None and core is None:
        program = shutil.which("cc")
    if program is None:
        return None
    return Compiler((program,), _version(program, "--version"), settings("gcc", core))


@functools.lru_cache(maxsize=16)
def _version(program: str, argument: str) -> str:
    finished = _call([program, argument], f"{program} to say its version")
    lines = finished.stdout.strip().splitlines()
    if finished.returncode or not lines:
        raise CompilerError(f"{program} does not say its version", finished.stderr)
    return lines[0]


def _call(command: Sequence[str], what: str) -> subprocess.CompletedProcess[str]:
    # Messages are read: they have to be the untranslated ones.
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(f"waited {TIMEOUT_S:.0f} s for {what}, and gave up") from error
    except OSError as error:
        raise RunError(f"cannot start {command[0]}: {error.strerror or error}") from error
