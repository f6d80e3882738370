"""Building a generated project: for the emulated core, or as a library of this machine that Python calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hannah_hw.firmware.linking import emulated_memory, link, link_host, start_objects
from hannah_hw.firmware.objects import KERNEL_FOLDER, compile_objects
from hannah_hw.firmware.project import Project
from hannah_hw.firmware.toolchain import Compiler, CompilerName, find


@dataclass(frozen=True)
class Built:
    """A built project.

    Attributes:
        elf: The ELF of a core, or the shared library of the host.
        compiler: What built it.
    """

    elf: Path
    compiler: Compiler


def build(project: Project, compiler: Compiler | CompilerName | None = None) -> Built:
    """Compile and link a project, in its folder ``build``.

    Kernels come from the object cache, and only the network's own files are compiled. Firmware is linked where
    emulated cores have their memories, with the sizes of the project's chip.

    Args:
        project: The project.
        compiler: The compiler, or its name; by default the first that is there.

    Raises:
        MissingToolError: There is no compiler.
        CompilerError: It failed, or lacks a feature of the core.
        EvaluationError: The firmware does not fit into the chip's flash or RAM; its kind is ``memory``.
        RunError: A file cannot be written.
    """
    core, prefix = project.design.core, project.prefix
    if not isinstance(compiler, Compiler):
        compiler = find(core, compiler)
    names = [f"{prefix}.c", "layers.c", "weights.c", *(() if core is None else ("main.c",))]
    objects = [
        *compile_objects(compiler, [project.folder / name for name in names]),
        *compile_objects(compiler, [KERNEL_FOLDER / name for name in project.design.sources]),
    ]
    folder = project.folder / "build"
    folder.mkdir(exist_ok=True)
    if core is None or project.memory is None:
        return Built(link_host(compiler, objects, folder / f"lib{prefix}.so"), compiler)
    usual = emulated_memory(core)
    memory = replace(project.memory, flash_origin=usual.flash_origin, ram_origin=usual.ram_origin)
    elf = link(
        compiler,
        [*objects, *start_objects(compiler)],
        folder / f"{prefix}.elf",
        memory=memory,
        stack_bytes=project.stack_bytes,
        title=f"the firmware of {prefix}",
    )
    return Built(elf, compiler)
