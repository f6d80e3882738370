"""The kernels of a population as one table: what is the same kernel is there once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.host.kernels import HostKernel

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class KernelTable:
    """N kernels of P networks, of which M are distinct.

    Attributes:
        kernels: The M distinct ones, in the order of their first use.
        which: (N,) index into ``kernels``: network after network, each in execution order.
        network: (N,) the network that a kernel belongs to, ascending.
        size: P.
    """

    kernels: tuple[HostKernel, ...]
    which: IntArray
    network: IntArray
    size: int

    @classmethod
    def of(cls, networks: Sequence[Sequence[HostKernel]]) -> KernelTable:
        """The table of P networks."""
        index: dict[str, int] = {}
        kernels: list[HostKernel] = []
        which: list[int] = []
        for network in networks:
            for kernel in network:
                number = index.setdefault(kernel.key, len(kernels))
                if number == len(kernels):
                    kernels.append(kernel)
                which.append(number)
        counts = [len(network) for network in networks]
        owners = np.repeat(np.arange(len(networks)), counts)
        return cls(tuple(kernels), np.array(which, np.int64), owners.astype(np.int64), len(networks))

    def sums(self, values: FloatArray) -> FloatArray:
        """(P,) sums over the kernels of each network of (M,) values of the distinct ones."""
        return np.bincount(self.network, values[self.which], self.size).astype(np.float64)

    def of_network(self, index: int) -> IntArray:
        """(K,) indices into ``kernels`` of the kernels of one network, in execution order."""
        begin, end = np.searchsorted(self.network, [index, index + 1])
        return self.which[begin:end]
