"""Building a generated project: for the emulated core, or as a library of this machine that Python calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from hannah_hw.cores import Core
from hannah_hw.emulation.elf import Sizes, elf_sizes
from hannah_hw.errors import RunError
from hannah_hw.files import write_atomically
from hannah_hw.firmware.linking import MemoryMap, emulated_memory, link, link_host, start_objects
from hannah_hw.firmware.objects import KERNEL_FOLDER, compile_objects
from hannah_hw.firmware.project import Project
from hannah_hw.firmware.readme import Measured, readme
from hannah_hw.firmware.toolchain import Compiler, find


@dataclass(frozen=True)
class Built:
    """A built project.

    Attributes:
        elf: The ELF of a core, or the shared library of the host.
        compiler: What built it.
    """

    elf: Path
    compiler: Compiler


class Buildable(Protocol):
    """What `build` needs to know of a generated project: int8 networks and float32 networks have their own."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    @property
    def prefix(self) -> str:
        """Beginning of its public names, and name of its main source."""

    @property
    def core(self) -> Core | None:
        """The core; None is the host."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Files of `hannah_hw/firmware/kernels` that it needs."""

    @property
    def memory(self) -> MemoryMap | None:
        """The chip's memories; None for the host."""

    @property
    def stack_bytes(self) -> int:
        """What its stack may grow to."""


def build(project: Buildable, compiler: Compiler | str | None = None, *, emulated: bool = True) -> Built:
    """Compile and link a project, in its folder ``build``.

    Kernels come from the object cache, and only the network's own files are compiled.

    Args:
        project: The project.
        compiler: The compiler, or its name; by default the first that is there.
        emulated: Link firmware where emulated cores have their memories, with the sizes of the project's chip; if not,
            where the chip has them.

    Raises:
        InputError: There is no compiler of that name.
        MissingToolError: There is no compiler.
        CompilerError: It failed, or lacks a feature of the core.
        EvaluationError: The firmware does not fit into the chip's flash or RAM; its kind is ``memory``.
        RunError: A file cannot be written.
    """
    core, prefix = project.core, project.prefix
    if not isinstance(compiler, Compiler):
        compiler = find(core, compiler)
    names = [f"{prefix}.c", "layers.c", "weights.c", *(() if core is None else ("main.c",))]
    folder = project.folder / "build"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {folder}: {error.strerror or error}") from error
    objects = [
        *compile_objects(compiler, [project.folder / name for name in names], folder=folder),
        *compile_objects(compiler, [KERNEL_FOLDER / name for name in project.sources]),
    ]
    if core is None or project.memory is None:
        return Built(link_host(compiler, objects, folder / f"lib{prefix}.so"), compiler)
    memory, usual = project.memory, emulated_memory(core)
    if emulated:
        memory = replace(memory, flash_origin=usual.flash_origin, ram_origin=usual.ram_origin)
    elf = link(
        compiler,
        [*objects, *start_objects(compiler)],
        folder / f"{prefix}.elf",
        memory=memory,
        stack_bytes=project.stack_bytes,
        title=f"the firmware of {prefix}",
    )
    return Built(elf, compiler)


def write_sizes(project: Project, built: Built) -> Sizes:
    """Write the sizes of built firmware into the project's README.

    Raises:
        MissingExtraError: pyelftools is not installed.
        RunError: The file cannot be written.
    """
    sizes = elf_sizes(built.elf)
    measured = Measured(sizes.flash_bytes, sizes.code_bytes, sizes.ram_bytes, built.compiler.version)
    text = readme(project.design, project.memory, project.stack_bytes, project.title, measured)
    try:
        write_atomically(project.folder / "README.md", text.encode())
    except OSError as error:
        raise RunError(f"cannot write to {project.folder}: {error.strerror or error}") from error
    return sizes
