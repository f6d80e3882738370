"""What a generated project consists of, before any text is written: kernels, constants, calls and memory."""

from __future__ import annotations

from dataclasses import dataclass

from hannah_hw.cores import Core
from hannah_hw.errors import InputError, UnsupportedError
from hannah_hw.firmware.calls import FIELDS, KernelCall, layer_calls
from hannah_hw.firmware.implementation import Packed
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.libraries import Choice, choose_all
from hannah_hw.firmware.memory import Memory, plan
from hannah_hw.firmware.naming import identifier
from hannah_hw.workload.arena import DEFAULT_ALIGNMENT


@dataclass(frozen=True)
class Step:
    """One layer of the design.

    Attributes:
        layer: The layer.
        choice: What runs it.
        packed: Its constants.
        calls: The calls of its kernel.
    """

    layer: Layer
    choice: Choice
    packed: Packed
    calls: tuple[KernelCall, ...]


@dataclass(frozen=True)
class Design:
    """A network on a core.

    Attributes:
        network: The network.
        core: The core; None is the host.
        prefix: Beginning of all its public names in C.
        steps: Its layers.
        memory: Where values and scratch memory lie.
    """

    network: Network
    core: Core | None
    prefix: str
    steps: tuple[Step, ...]
    memory: Memory

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights, biases, multipliers and tables."""
        return sum(len(step.packed.data) for step in self.steps)

    @property
    def description_bytes(self) -> int:
        """Bytes of the structures that describe the layers to their kernels."""
        return 4 * len(FIELDS) * sum(len(step.calls) for step in self.steps)

    @property
    def sources(self) -> tuple[str, ...]:
        """Files of `hannah_hw/firmware/kernels` that it needs, sorted."""
        return tuple(sorted({name for step in self.steps for name in step.choice.implementation.sources}))

    @property
    def functions(self) -> tuple[str, ...]:
        """Kernels in C that it calls, sorted."""
        return tuple(sorted({step.choice.implementation.function for step in self.steps}))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(step.layer.columns["macs"] for step in self.steps)


def make_design(
    network: Network,
    core: Core | None,
    *,
    name: str | None = None,
    planner: str = "greedy_best_fit",
    alignment: int = DEFAULT_ALIGNMENT,
    ram_bytes: int | None = None,
    stack_bytes: int = 0,
) -> Design:
    """Choose kernels, pack constants and place values.

    Args:
        network: The network.
        core: The core; None is the host.
        name: From which the prefix of its names is made; by default the network's.
        planner: A key of `hannah_hw.workload.arena.PLANNERS`.
        alignment: Of values in the arena, in bytes: a power of two, at least 4.
        ram_bytes: The chip's RAM, if the network has to fit into it.
        stack_bytes: What of it the stack takes.

    Raises:
        UnsupportedError: A layer that no kernel runs, or another rounding than q32.
        EvaluationError: It does not fit into the RAM.
        InputError: Unknown planner or alignment.
    """
    if alignment < 4:
        raise InputError(f"an alignment of {alignment} bytes; kernels need 4 or more")
    if network.rounding != "q32":
        raise UnsupportedError(f"there are no kernels in C for the rounding {network.rounding!r}; use q32")
    choices = choose_all(network, core)
    steps = []
    for layer, choice in zip(network.layers, choices, strict=True):
        packed = choice.implementation.pack(network, layer)
        steps.append(Step(layer, choice, packed, layer_calls(network, layer, packed)))
    memory = plan(
        network,
        choices,
        core,
        planner=planner,
        alignment=alignment,
        ram_bytes=ram_bytes,
        reserved_bytes=stack_bytes,
    )
    prefix = identifier(network.name if name is None else name)
    return Design(network, core, prefix, tuple(steps), memory)
