"""Programs that are no Python packages: what each enables, whether it answers, how to install it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hannah_hw.cores import core_named
from hannah_hw.emulation.qemu import QEMU

#: Seconds within which a program must say its version.
TIMEOUT_S: Final = 20.0


@dataclass(frozen=True)
class Program:
    """A program on PATH.

    Attributes:
        names: Under which it is looked for, the first that is there.
        enables: What it is for.
        debian: The package of Debian and Ubuntu that brings it.
    """

    names: tuple[str, ...]
    enables: str
    debian: str

    @property
    def install(self) -> str:
        """The command that installs it on Debian and Ubuntu."""
        return f"apt install {self.debian}"


PROGRAMS: Final = (
    Program(
        (QEMU,), "measure and calibrate on cores with vector instructions, such as m55", "qemu-system-arm"
    ),
    Program(("make",), "building exported C projects with their Makefile", "make"),
    Program(("cmake",), "building exported C projects with CMake", "cmake"),
    Program(
        ("chromium", "chromium-browser", "google-chrome"),
        "the report's own tests, for developers",
        "chromium",
    ),
)


@dataclass(frozen=True)
class Found:
    """What was found of a program.

    Attributes:
        path: Where it is; None where it is not.
        version: The first line of what it says of itself.
        problem: Why it does not work; empty where it does, or is not there.
    """

    path: str | None
    version: str | None = None
    problem: str = ""


def ask(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """What a program says that is given nothing to read, however it ends.

    Raises:
        subprocess.TimeoutExpired: It takes longer.
        OSError: It does not start.
    """
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def look_for(program: Program) -> Found:
    """Find a program and let it say its version."""
    path = next((found for name in program.names if (found := shutil.which(name))), None)
    if path is None:
        return Found(None)
    try:
        done = ask([path, "--version"], TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Found(path, problem=f"it did not say its version within {TIMEOUT_S:g} s")
    except OSError as failure:
        return Found(path, problem=f"it does not start: {failure.strerror or failure}")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return Found(path, problem=f"{path} --version ended with the code {done.returncode}")
    return Found(path, lines[0].strip())


def compilers() -> tuple[dict[str, list[str]], list[str]]:
    """C compilers of firmware by what they compile for, the default first; and what is wrong with others."""
    from hannah_hw.errors import HannahError
    from hannah_hw.firmware.toolchain import available

    places = {"Cortex-M": core_named("m4"), "RISC-V": core_named("rv32imc"), "this machine": None}
    found: dict[str, list[str]] = {}
    problems = []
    for place, core in places.items():
        try:
            found[place] = [compiler.version for compiler in available(core)]
        except HannahError as error:
            found[place] = []
            problems.append(f"a C compiler for {place}: {error}")
    return found, problems
