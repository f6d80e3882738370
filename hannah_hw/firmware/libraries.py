"""Which kernel in C runs a layer on a core.

The class of a layer is that of the cost library, asked with the layer's row of the Workload: firmware and estimate
cannot differ about it. Cores with the DSP extension may also run the portable kernel of a class, where no faster one
accepts the layer's weights.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hannah_hw.cores import Core, runtimes
from hannah_hw.cost import libraries as cost_libraries
from hannah_hw.cost.classes import KernelClass, Library
from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware import packing_common, packing_dsp, packing_mve, packing_portable
from hannah_hw.firmware.implementation import Implementation
from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.network import workload_of

Implementations = Mapping[str, tuple[Implementation, ...]]


@dataclass(frozen=True)
class Choice:
    """What runs a layer.

    Attributes:
        kernel_class: Its class in the cost library.
        implementation: The kernel in C.
        own: Whether it is of the core's kernel set; if not, nothing but correct results is known of it.
    """

    kernel_class: KernelClass
    implementation: Implementation
    own: bool


@functools.cache
def _of_set(kernels: str) -> Implementations:
    """All implementations of a kernel set, those of the set itself first."""
    sets = {
        "dsp": packing_dsp.IMPLEMENTATIONS,
        "dsp_slow_flash": packing_dsp.IMPLEMENTATIONS_SLOW_FLASH,
        "helium": packing_mve.IMPLEMENTATIONS,
        "portable": packing_portable.IMPLEMENTATIONS,
    }
    found = dict(sets[kernels])
    for name, entries in packing_common.IMPLEMENTATIONS.items():
        found[name] = (*found.get(name, ()), *entries)
    return found


def library(core: Core | None) -> Implementations:
    """Class -> implementations, most wanted first.

    Args:
        core: The core; None is the host, which runs the portable kernels.
    """
    return _of_set(core.kernels if core is not None else "portable")


def cost_library(core: Core | None) -> Library:
    """The cost library whose classes these are."""
    kernels = core.kernels if core is not None else "portable"
    return cost_libraries.LIBRARIES[f"hannah_{kernels}"]


def core_of_library(core: Core, name: str) -> Core:
    """The core with the kernels of a cost library, where it has a runtime of them; else as it is.

    Args:
        core: One of `hannah_hw.cores.CORES`.
        name: Of a cost library, as cost models say.
    """
    return next((other for other in runtimes(core).values() if cost_library(other).name == name), core)


def choose(network: Network, layer: Layer, core: Core | None) -> Choice:
    """What runs one layer; see `choose_all`.

    Args:
        network: The network.
        layer: One of its layers.
        core: The core; None is the host.

    Raises:
        UnsupportedError: Nothing does; names layer, kind, core and reason.
    """
    index = next(k for k, other in enumerate(network.layers) if other is layer)
    return _choice(network, layer, core, _classes(network, core)[index])


def choose_all(network: Network, core: Core | None) -> tuple[Choice, ...]:
    """What runs each layer.

    Args:
        network: The network.
        core: The core; None is the host.

    Raises:
        UnsupportedError: Nothing runs a layer; names layer, kind, core and reason.
    """
    classes = _classes(network, core)
    return tuple(_choice(network, layer, core, classes[k]) for k, layer in enumerate(network.layers))


def _classes(network: Network, core: Core | None) -> Sequence[KernelClass | None]:
    found = cost_library(core)
    indices = found.classify(workload_of(network).kernels)[0]
    return [found.classes[index] if index >= 0 else None for index in indices]


def _choice(network: Network, layer: Layer, core: Core | None, entry: KernelClass | None) -> Choice:
    place = core.title if core is not None else "this machine"
    if entry is None:
        raise UnsupportedError(
            f"layer {layer.name!r}: there is no int8 kernel for {layer.kind!r} of this shape for {place}"
        )
    reasons = []
    own = library(core).get(entry.name, ())
    portable = _of_set("portable").get(entry.name, ())
    for implementation in (*own, *(other for other in portable if other not in own)):
        reason = implementation.refuses(network, layer)
        if reason is None:
            return Choice(entry, implementation, implementation in own)
        reasons.append(f"{implementation.function}: {reason}")
    said = (
        "; ".join(reasons)
        if reasons
        else f"the library for {place} has no kernel of the class {entry.name!r}"
    )
    raise UnsupportedError(f"layer {layer.name!r} ({layer.kind}) cannot run on {place}: {said}")
