"""Where a network's values lie: the plan that the estimate prices is the one that the generated project uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hannah_hw.cores import Core
from hannah_hw.errors import EvaluationError
from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.libraries import Choice, cost_library
from hannah_hw.firmware.network import workload_of
from hannah_hw.workload.arena import DEFAULT_ALIGNMENT, plan_arena


@dataclass(frozen=True)
class Memory:
    """A network's arena.

    Attributes:
        offsets: For each value its first byte.
        scratch_offsets: For each layer the first byte of its scratch memory; 0 where it has none.
        scratch_bytes: For each layer the size of its scratch memory.
        in_place: For each layer whether its result lies on an operand.
        arena_bytes: Bytes of the arena.
        alignment: Of the arena and of every value in it.
    """

    offsets: tuple[int, ...]
    scratch_offsets: tuple[int, ...]
    scratch_bytes: tuple[int, ...]
    in_place: tuple[bool, ...]
    arena_bytes: int
    alignment: int


def plan(
    network: Network,
    choices: Sequence[Choice],
    core: Core | None,
    *,
    planner: str = "greedy_best_fit",
    alignment: int = DEFAULT_ALIGNMENT,
    ram_bytes: int | None = None,
    reserved_bytes: int = 0,
) -> Memory:
    """Place all values and the scratch memory of all layers in one arena.

    Args:
        network: The network.
        choices: What runs each layer.
        core: The core; None is the host.
        planner: A key of `hannah_hw.workload.arena.PLANNERS`.
        alignment: Bytes, a power of two.
        ram_bytes: The chip's RAM, if the arena has to fit into it.
        reserved_bytes: What of it the stack takes.

    Raises:
        EvaluationError: It does not fit; names the layer that needs most. Its kind is ``memory``.
        InputError: Unknown planner or alignment.
    """
    workload = workload_of(network)
    shape = (1, len(network.layers))
    # Of a kernel from another library than the core's own it is not known that it may write over its operand.
    own = np.array([choice.own for choice in choices], np.bool_).reshape(shape)
    in_place = cost_library(core).memory(workload.kernels)[0] & own
    scratch = [
        choice.implementation.scratch(network, layer)
        for layer, choice in zip(network.layers, choices, strict=True)
    ]
    found = plan_arena(workload, in_place, np.array(scratch, np.int64).reshape(shape), planner, alignment)
    memory = Memory(
        offsets=tuple(int(offset) for offset in found.offsets[0]),
        scratch_offsets=tuple(int(offset) for offset in found.scratch_offsets[0]),
        scratch_bytes=tuple(scratch),
        in_place=tuple(bool(flag) for flag in found.in_place[0]),
        arena_bytes=int(found.arena_bytes[0]),
        alignment=alignment,
    )
    if network.layers and ram_bytes is not None and memory.arena_bytes + reserved_bytes > ram_bytes:
        raise EvaluationError(_too_large(network, memory, ram_bytes, reserved_bytes), kind="memory")
    return memory


def _too_large(network: Network, memory: Memory, ram_bytes: int, reserved_bytes: int) -> str:
    """The message for an arena that does not fit, with the layer that needs most of it."""
    buffers = workload_of(network).buffers
    needs = []
    for k in range(len(network.layers)):
        live = np.flatnonzero((buffers.first[0] <= k) & (k <= buffers.last[0]))
        top = max(memory.offsets[b] + network.values[b].size for b in live)
        needs.append(max(top, memory.scratch_offsets[k] + memory.scratch_bytes[k]))
    worst = max(range(len(needs)), key=needs.__getitem__)
    stack = f" and {reserved_bytes:,} bytes of stack" if reserved_bytes else ""
    return (
        f"layer {network.layers[worst].name!r} needs {needs[worst]:,} bytes of arena, "
        f"{memory.scratch_bytes[worst]:,} of them scratch memory; the network needs {memory.arena_bytes:,}{stack}, "
        f"and there are {ram_bytes:,} bytes of RAM"
    )
