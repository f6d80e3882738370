"""Columns of the kernels that are priced together, and quantities derived from them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload.table import Kernels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
T = TypeVar("T")
#: A formula over columns, and a condition.
Formula = Callable[["Entries"], FloatArray]
Condition = Callable[["Entries"], BoolArray]


class Entries:
    """Columns of N kernels of a population, gathered and converted when first read.

    Args:
        kernels: The kernel slots of P candidates.
        where: (N,) places of the kernels, ``slot · P + candidate``, ascending.
        slots: (N,) their slots.
    """

    def __init__(self, kernels: Kernels, where: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self._kernels, self.where, self.slots = kernels, where, slots
        self._runs: list[tuple[int, slice, NDArray[np.int64]]] | None = None
        self._whole: dict[str, NDArray[np.int64]] = {}
        self._real: dict[str, FloatArray] = {}
        self._derived: dict[str, Any] = {}

    @classmethod
    def of_first(cls, kernels: Kernels) -> Entries:
        """All K kernels of a population of one."""
        places = np.arange(len(kernels))
        return cls(kernels, places, places)

    @classmethod
    def of_kind(cls, kernels: Kernels, kind: str) -> Entries:
        """The active kernels of one kind of all candidates."""
        count = len(kernels.active)
        mine = [k for k, other in enumerate(kernels.kinds) if other == kind]
        places = [np.flatnonzero(kernels.active[:, k]) + k * count for k in mine]
        where = np.concatenate(places) if places else np.zeros(0, np.int64)
        return cls(kernels, where, np.repeat(np.array(mine, np.int64), [len(p) for p in places]))

    def __len__(self) -> int:
        return len(self.where)

    @functools.cached_property
    def candidates(self) -> NDArray[np.int64]:
        """(N,) the candidates they belong to."""
        return self.where - self.slots * len(self._kernels.active)

    def select(self, mask: BoolArray) -> Entries:
        """Those where the mask (N,) holds."""
        return Entries(self._kernels, self.where[mask], self.slots[mask])

    def at(self, places: NDArray[np.int64]) -> Entries:
        """Those at some places, ascending."""
        return Entries(self._kernels, self.where[places], self.slots[places])

    def _by_slot(self) -> list[tuple[int, slice, NDArray[np.int64]]]:
        """Each slot that occurs: its number, the entries of it, and their candidates."""
        if self._runs is None:
            count = len(self._kernels.active)
            changes = np.flatnonzero(self.slots[1:] != self.slots[:-1]) + 1
            bounds = [0, *changes.tolist(), len(self.slots)] if len(self.slots) else []
            self._runs = []
            for start, stop in itertools.pairwise(bounds):
                slot = int(self.slots[start])
                self._runs.append((slot, slice(start, stop), self.where[start:stop] - slot * count))
        return self._runs

    def whole(self, name: str) -> NDArray[np.int64]:
        """(N,) A column as whole numbers."""
        if name not in self._whole:
            values = np.empty(len(self.where), np.int64)
            for slot, entries, candidates in self._by_slot():
                part = self._kernels.part(name, slot)
                values[entries] = part if isinstance(part, int) else part.take(candidates)
            self._whole[name] = values
        return self._whole[name]

    def __getitem__(self, name: str) -> FloatArray:
        """(N,) A column, or a quantity derived from columns (`_DERIVED`), as real numbers."""
        if name not in self._real:
            derive = _DERIVED.get(name)
            self._real[name] = derive(self) if derive is not None else self.whole(name).astype(np.float64)
        return self._real[name]

    def once(self, name: str, derive: Callable[[Entries], T]) -> T:
        """What a function of the entries gives, computed when it is first asked for.

        Args:
            name: One for each function.
            derive: The function.
        """
        if name not in self._derived:
            self._derived[name] = derive(self)
        result: T = self._derived[name]
        return result


class WholeColumns(dict[str, NDArray[np.int64]]):
    """The columns of entries as a mapping, for the operator rules."""

    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self._entries = entries

    def __missing__(self, name: str) -> NDArray[np.int64]:
        return self._entries.whole(name)


def _depth(entries: Entries) -> NDArray[np.int64]:
    """Elements of one im2col column, whole."""
    return entries.whole("kernel_h") * entries.whole("kernel_w") * entries.whole("in_channels")


_DERIVED: Final[Mapping[str, Formula]] = {
    "pixels": lambda s: s["out_h"] * s["out_w"],
    "window": lambda s: s["kernel_h"] * s["kernel_w"],
    "outputs": lambda s: s["pixels"] * s["out_channels"],
    "taps": lambda s: s["pixels"] * s["window"],
    "depth": lambda s: _depth(s).astype(np.float64),
    "depth_rest": lambda s: (_depth(s) & 3).astype(np.float64),
    "in_rest": lambda s: (s.whole("in_channels") & 3).astype(np.float64),
    "out_rest": lambda s: (s.whole("out_channels") & 3).astype(np.float64),
    # One call of the 1x1 kernel covers the whole image, or one output row when strided.
    "calls": lambda s: np.where(
        (s.whole("stride_h") == 1) & (s.whole("stride_w") == 1), 1.0, np.maximum(s.whole("out_h"), 1)
    ),
}
