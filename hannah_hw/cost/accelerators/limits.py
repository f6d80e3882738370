"""Limits of a target on whole networks, for a population at once."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.book import Book
from hannah_hw.cost.accelerators.layers import MAC_KINDS
from hannah_hw.cost.accelerators.units import ARRAY, CPU, VECTOR
from hannah_hw.targets import Accelerator
from hannah_hw.targets.formulas import Program
from hannah_hw.targets.limits import TOTALS, parse_limit
from hannah_hw.workload.table import Workload

_TEXT: Final = "limits: {text}"


def exceeded(
    workload: Workload,
    target: Accelerator,
    units: NDArray[np.int8],
    ram: NDArray[np.int64],
    book: Book,
) -> NDArray[np.int32]:
    """(P,) the first limit that a candidate fails, an index into the rules of the book, or -1.

    ``ram_bytes`` and ``flash_bytes`` are no such limits: as on any other target they are capacities, which searches
    turn into constraints, so that it is known how much too large a network is.

    Args:
        workload: P candidates with K kernels.
        target: The target.
        units: (K, P) index into `hannah_hw.cost.accelerators.units.UNITS`, or -1.
        ram: (P,) bytes of activations at their peak.
        book: Takes the texts of the limits.
    """
    failed = np.full(workload.size, -1, np.int32)
    limits = _compiled(target.limits.layers, target.limits.when)
    if not limits:
        return failed
    totals = _Totals(workload, units, ram)
    for text, holds in limits:
        fails = (failed < 0) & ~holds(totals)
        if fails.any():
            failed[fails] = book.rule(_TEXT.format(text=text))
    return failed


@functools.lru_cache(maxsize=64)
def _compiled(layers: int | None, when: tuple[str, ...]) -> tuple[tuple[str, Program], ...]:
    texts = ([] if layers is None else [f"layers <= {layers}"]) + list(when)
    return tuple((text, parse_limit(text)) for text in texts)


class _Totals(dict[str, NDArray[np.int64]]):
    """`TOTALS` of P candidates, each summed when a limit first reads it."""

    def __init__(self, workload: Workload, units: NDArray[np.int8], ram: NDArray[np.int64]) -> None:
        super().__init__(ram_bytes=ram)
        self._workload, self._units = workload, units

    def __missing__(self, name: str) -> NDArray[np.int64]:
        kernels = self._workload.kernels
        numbers = {"array_layers": ARRAY, "vector_layers": VECTOR, "cpu_layers": CPU}
        if name in numbers:
            self[name] = (self._units == numbers[name]).sum(axis=0)
        elif name == "layers":
            self[name] = kernels.active.sum(axis=1)
        elif name == "mac_layers":
            self[name] = kernels.active[:, [kind in MAC_KINDS for kind in kernels.kinds]].sum(axis=1)
        elif name == "weight_bytes":
            self[name] = self._workload.weight_bytes.sum(axis=1)
        elif name == "biases":
            self[name] = np.where(kernels.active, kernels["bias"], 0).sum(axis=1)
        elif name == "macs":
            self[name] = self._workload.macs
        else:
            raise KeyError(name, TOTALS)
        return self[name]
