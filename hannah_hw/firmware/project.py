"""Writing an int8 network as one C project: sources, kernels, build files and a page that explains them.

The same network gives the same bytes: nothing in a project depends on time, place or what is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hannah_hw.cores import Core
from hannah_hw.cost import load_cost_model
from hannah_hw.cost.kernels import price_kernels
from hannah_hw.errors import RunError
from hannah_hw.files import write_atomically
from hannah_hw.firmware import readme, sources
from hannah_hw.firmware.design import Design, make_design
from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.libraries import core_of_library
from hannah_hw.firmware.linking import (
    DEFAULT_STACK_BYTES,
    MemoryMap,
    emulated_memory,
    fill,
    linker_script,
    start_sources,
)
from hannah_hw.firmware.network import workload_of
from hannah_hw.firmware.objects import KERNEL_FOLDER, feature_assertions, included
from hannah_hw.firmware.toolchain import settings

if TYPE_CHECKING:
    from hannah_hw.targets import Microcontroller

#: Bytes of flash and RAM where no target says them.
_SIZES: Final = (1 << 20, 256 << 10)
#: What targets call the runtime that a project is.
_RUNTIME: Final = "hannah"


@dataclass(frozen=True)
class Project:
    """A generated project.

    Attributes:
        folder: Where it is.
        design: What it consists of.
        memory: The chip's memories; None for the host.
        stack_bytes: What its stack may grow to.
        title: The chip, or the core where none was given.
        files: Its files, relative to the folder, sorted.
    """

    folder: Path
    design: Design
    memory: MemoryMap | None
    stack_bytes: int
    title: str
    files: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """Beginning of its public names: ``PREFIX_init``, ``PREFIX_input``, ``PREFIX_output``, ``PREFIX_run``."""
        return self.design.prefix

    @property
    def network(self) -> Network:
        """The network."""
        return self.design.network

    @property
    def core(self) -> Core | None:
        """The core; None is the host."""
        return self.design.core

    @property
    def sources(self) -> tuple[str, ...]:
        """Files of `hannah_hw/firmware/kernels` that it needs."""
        return self.design.sources

    @property
    def layer_symbols(self) -> tuple[str, ...]:
        """The functions of the layers, in their order."""
        return tuple(f"{self.prefix}_layer_{k}" for k in range(len(self.design.steps)))

    @property
    def arena_symbol(self) -> str:
        """The arena, `design.memory.arena_bytes` long."""
        return f"{self.prefix}_arena"


def generate(
    network: Network,
    core: Core | None,
    *,
    folder: Path,
    target: Microcontroller | None = None,
    name: str | None = None,
    stack_bytes: int = DEFAULT_STACK_BYTES,
) -> Project:
    """Write a project.

    Args:
        network: The network.
        core: The core that it is for; None is any machine with a C compiler, which runs the portable kernels.
        folder: Where to write; made if it is not there. Other files in it are left alone.
        target: The chip, for the sizes of its memories and its memory planner.
        name: Beginning of the public names; by default the network's.
        stack_bytes: What the stack may grow to.

    Raises:
        UnsupportedError: A layer that no kernel runs on this core.
        EvaluationError: The network does not fit into the target's RAM; its kind is ``memory``.
        RunError: A file cannot be written.
    """
    own = own_runtime(target) if target is not None else None
    arena = own.model.arena if own is not None else None
    design = make_design(
        network,
        _with_kernels(core, own),
        name=name,
        planner=arena.planner if arena is not None else "greedy_best_fit",
        alignment=max(4, arena.alignment) if arena is not None else 16,
        ram_bytes=target.ram_bytes if target is not None and core is not None else None,
        stack_bytes=stack_bytes,
    )
    memory: MemoryMap | None = None
    if core is None:
        title = sources.title(core)
        built_by = _host_files(design)
    else:
        memory, title = chip_memory(core, target), target.title if target is not None else core.title
        built_by = firmware_files(design.prefix, design.sources, core, memory, stack_bytes, title)
    texts = {
        f"{design.prefix}.h": sources.header(design),
        f"{design.prefix}.c": sources.api(design),
        "layers.h": sources.layers_header(design),
        "layers.c": sources.layers(design),
        "weights.c": sources.weights(design),
        **_main(design),
        **built_by,
        "README.md": readme.readme(design, memory, stack_bytes, title, code_bytes=_code_bytes(design, own)),
    }
    contents = {path: text.encode() for path, text in texts.items()}
    contents |= copies((*design.sources, "hn.h"), core)
    write_files(folder, contents)
    return Project(folder, design, memory, stack_bytes, title, tuple(sorted(contents)))


def own_runtime(target: Microcontroller) -> Microcontroller:
    """The target with the runtime of our own kernels in use, where it has that runtime."""
    return target.using(_RUNTIME) if _RUNTIME in target.model.runtimes else target


def _with_kernels(core: Core | None, target: Microcontroller | None) -> Core | None:
    """The core with the kernels that the target's cost model is of, where that is one of ours for this core."""
    if target is None or core is not target.processor or target.model.runtime != _RUNTIME:
        return core
    near = target.origin.parent if target.origin is not None else None
    return core_of_library(core, load_cost_model(target.model.coefficients, near=near).library)


def _code_bytes(design: Design, target: Microcontroller | None) -> float | None:
    """The code's size as the target's cost model estimates it; None where it has none of our kernels."""
    if target is None or target.model.runtime != _RUNTIME:
        return None
    if design.core is None or design.core.name != target.processor.name:
        return None
    costs = price_kernels(workload_of(design.network), target)
    return float(costs.code_bytes[0]) if costs.supported[0] else None


def chip_memory(core: Core, target: Microcontroller | None) -> MemoryMap:
    """The memories of a chip; what is not known is that of emulated cores, with usual sizes."""
    usual = emulated_memory(core)
    if target is None:
        return replace(usual, flash_bytes=_SIZES[0], ram_bytes=_SIZES[1], placed=False)
    flash, ram = target.flash_origin, target.ram_origin
    return MemoryMap(
        usual.flash_origin if flash is None else flash,
        target.flash_bytes,
        usual.ram_origin if ram is None else ram,
        target.ram_bytes,
        placed=flash is not None and ram is not None,
    )


def _main(design: Design) -> dict[str, str]:
    values = design.network.values
    words = {
        "PREFIX": design.prefix,
        "UPPER": design.prefix.upper(),
        "INPUT_BYTES": ", ".join(str(values[index].size) for index in design.network.inputs),
        "OUTPUT_BYTES": ", ".join(str(values[index].size) for index in design.network.outputs),
    }
    return {"main.c": fill("main_host.c" if design.core is None else "main_firmware.c", words)}


def _kernels(names: Sequence[str]) -> str:
    return " ".join(f"kernels/{name}" for name in names)


def firmware_files(
    prefix: str, kernels: Sequence[str], core: Core, memory: MemoryMap, stack_bytes: int, title: str
) -> dict[str, str]:
    """The files that build firmware: name -> text.

    Args:
        prefix: Beginning of its public names.
        kernels: Files of `hannah_hw/firmware/kernels` that it needs.
        core: The core.
        memory: The chip's memories.
        stack_bytes: What the stack may grow to.
        title: What it is for.
    """
    gcc, zig = settings("gcc", core), settings("zig", core)
    assembly = any(name.endswith(".S") for name in kernels)
    words = {
        "PREFIX": prefix,
        "STACK_BYTES": stack_bytes,
        "GCC": f"{core.gcc[0]}gcc",
        "SIZE": f"{core.gcc[0]}size",
        "GCC_MACHINE": " ".join(gcc.machine),
        "GCC_FLAGS": " ".join(gcc.flags),
        "GCC_LIBRARIES": " ".join(gcc.libraries),
        "ZIG_MACHINE": " ".join(zig.machine),
        "ZIG_FLAGS": " ".join(zig.flags),
        "ZIG_LIBRARIES": " ".join(zig.libraries),
        "LINK_FLAGS": " ".join(gcc.link_flags),
        "PROCESSOR": core.isa,
        "KERNELS": _kernels(kernels),
        "LANGUAGES": "C ASM" if assembly else "C",
    }
    return {
        "Makefile": fill("Makefile.firmware", words),
        "CMakeLists.txt": fill("CMakeLists.firmware", words),
        "toolchain.cmake": fill("toolchain.cmake", words),
        "link.ld": linker_script(memory, stack_bytes, title),
        "features.h": feature_assertions(core),
    }


def _host_files(design: Design) -> dict[str, str]:
    flags = [flag for flag in settings("gcc", None).flags if flag != "-fPIC"]
    words = {"PREFIX": design.prefix, "FLAGS": " ".join(flags), "KERNELS": _kernels(design.sources)}
    return {"Makefile": fill("Makefile.host", words), "CMakeLists.txt": fill("CMakeLists.host", words)}


def copies(names: Sequence[str], core: Core | None) -> dict[str, bytes]:
    """Kernels and the headers that they include, and for a core its start-up code: path -> content.

    Args:
        names: Files of `hannah_hw/firmware/kernels`.
        core: The core; None is the host.
    """
    files = {path.name: path for name in names for path in included(KERNEL_FOLDER / name)}
    found = {f"kernels/{name}": path.read_bytes() for name, path in files.items()}
    if core is not None:
        start, functions = start_sources(core)
        found |= {"start.c": start.read_bytes(), "runtime_functions.c": functions.read_bytes()}
    return found


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files of a project.

    Raises:
        RunError: One cannot be written.
    """
    try:
        (folder / "kernels").mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            write_atomically(folder / path, content)
    except OSError as error:
        raise RunError(f"cannot write to {os.fspath(folder)}: {error.strerror or error}") from error
