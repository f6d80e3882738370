"""Writing a float32 network as a C project for a core."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hannah_hw.cores import Core
from hannah_hw.errors import EvaluationError
from hannah_hw.firmware.floating import texts
from hannah_hw.firmware.floating.network import FloatNetwork
from hannah_hw.firmware.floating.readme import readme
from hannah_hw.firmware.linking import DEFAULT_STACK_BYTES, MemoryMap, fill
from hannah_hw.firmware.naming import identifier
from hannah_hw.firmware.project import chip_memory, copies, firmware_files, write_files

if TYPE_CHECKING:
    from hannah_hw.targets import Microcontroller

_SOURCES: Final = ("hn_float.c",)


@dataclass(frozen=True)
class FloatProject:
    """A generated project.

    Attributes:
        folder: Where it is.
        network: The network.
        core: The core.
        prefix: Beginning of its public names: ``PREFIX_input``, ``PREFIX_output``, ``PREFIX_run``.
        memory: The chip's memories.
        stack_bytes: What its stack may grow to.
        title: The chip, or the core where none was given.
        sources: Files of `hannah_hw/firmware/kernels` that it needs.
        files: Its files, relative to the folder, sorted.
    """

    folder: Path
    network: FloatNetwork
    core: Core
    prefix: str
    memory: MemoryMap
    stack_bytes: int
    title: str
    sources: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def layer_symbols(self) -> tuple[str, ...]:
        """The functions of the layers, in their order."""
        return tuple(f"{self.prefix}_layer_{k}" for k in range(len(self.network.layers)))

    @property
    def arena_symbol(self) -> str:
        """The arena."""
        return f"{self.prefix}_arena"


def generate_float(
    network: FloatNetwork,
    core: Core,
    *,
    folder: Path,
    target: Microcontroller | None = None,
    name: str | None = None,
    stack_bytes: int = DEFAULT_STACK_BYTES,
) -> FloatProject:
    """Write a project.

    Args:
        network: The network.
        core: The core that it is for.
        folder: Where to write; made if it is not there. Other files in it are left alone.
        target: The chip, for the sizes of its memories.
        name: Beginning of the public names; by default the network's.
        stack_bytes: What the stack may grow to.

    Raises:
        EvaluationError: The arena does not fit into the target's RAM; its kind is ``memory``.
        RunError: A file cannot be written.
    """
    if target is not None and network.arena_bytes + stack_bytes > target.ram_bytes:
        raise EvaluationError(
            f"the float32 network needs {network.arena_bytes:,} bytes of arena and {stack_bytes:,} bytes of stack, and "
            f"{target.name} has {target.ram_bytes:,} bytes of RAM",
            kind="memory",
        )
    prefix = identifier(network.name if name is None else name)
    memory, title = chip_memory(core, target), target.title if target is not None else core.title
    files = {
        f"{prefix}.h": texts.header(network, prefix, title),
        f"{prefix}.c": texts.api(network, prefix),
        "layers.h": texts.layers_header(network, prefix),
        "layers.c": texts.layers(network, prefix, features=True),
        "weights.c": texts.weights(network, prefix),
        "main.c": fill("main_float.c", {"PREFIX": prefix, "UPPER": prefix.upper()}),
        **firmware_files(prefix, _SOURCES, core, memory, stack_bytes, title),
    }
    files["README.md"] = readme(network, prefix, core, title, stack_bytes)
    contents = {path: text.encode() for path, text in files.items()} | copies(_SOURCES, core)
    write_files(folder, contents)
    return FloatProject(
        folder, network, core, prefix, memory, stack_bytes, title, _SOURCES, tuple(sorted(contents))
    )
