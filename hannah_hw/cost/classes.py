"""Kernel classes and libraries of them: which kernel runs a row of the Workload, and what its figures depend on.

A class says which rows it runs, the features whose non-negative combination gives the cycles without wait states,
how many data reads go to flash, how many bytes its constants and its scratch memory take, and whether its result may
be written over an operand. All of it is vectorised over candidates and slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.entries import BoolArray, Condition, Entries, FloatArray, Formula
from hannah_hw.workload.table import Kernels


@dataclass(frozen=True)
class KernelClass:
    """One kernel of a library.

    Attributes:
        name: Key of its coefficients.
        kinds: Kernel kinds of the Workload that it runs.
        title: What people call it.
        features: Feature name -> (N,).
        selects: (N,) whether it is the kernel that runs, among the classes of its kind; None: always.
        flash_reads: (N,) data reads from flash.
        scratch: (N,) bytes of scratch memory.
        constants: (N,) bytes of packed weights, biases and multipliers in flash; None: as the cost model's runtime
            says, from the elements of weights and bias.
        in_place: (N,) whether the result may lie exactly on an operand of the same size that nobody reads later: the
            only operand, or either of two.
        doubt: (N,) relative half width of what columns of the Workload cannot tell about the cycles, such as which loop
            the values of the weights allow; on top of the error of the fit.
    """

    name: str
    kinds: tuple[str, ...]
    title: str
    features: Mapping[str, Formula]
    selects: Condition | None = None
    flash_reads: Formula | None = None
    scratch: Formula | None = None
    constants: Formula | None = None
    in_place: Condition | None = None
    doubt: Formula | None = None


@dataclass(frozen=True)
class Library:
    """A library of kernels.

    Attributes:
        name: Key in `hannah_hw.cost.libraries.LIBRARIES`.
        title: What people call it.
        classes: All classes; among those of one kind the first that selects a kernel runs it.
        scratch_in_arena: Whether scratch memory lies in the arena above the live buffers, else apart from it.
    """

    name: str
    title: str
    classes: tuple[KernelClass, ...]
    scratch_in_arena: bool = False

    def __getitem__(self, name: str) -> KernelClass:
        """The class of that name; `KeyError` if there is none."""
        for entry in self.classes:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def of_kind(self, kind: str) -> list[tuple[int, KernelClass]]:
        """The classes of a kernel kind with their indices, in the order in which they are tried."""
        return [(index, entry) for index, entry in enumerate(self.classes) if kind in entry.kinds]

    def selected(self, kind: str, entries: Entries) -> Iterator[tuple[int, KernelClass | None, Entries]]:
        """Kernels of one kind by the class that runs them.

        Yields:
            Index of the class, the class and its kernels; -1, None and the kernels that no class runs.
        """
        for number, entry in self.of_kind(kind):
            if not len(entries):
                return
            chosen = entry.selects(entries) if entry.selects is not None else None
            if chosen is None or chosen.all():
                yield number, entry, entries
                return
            if chosen.any():
                yield number, entry, entries.select(chosen)
                entries = entries.select(~chosen)
        if len(entries):
            yield -1, None, entries

    def classify(self, kernels: Kernels) -> NDArray[np.int8]:
        """(P, K) index into `classes` of what runs each kernel; -1 where no class does or the kernel is inactive."""
        found = np.full(kernels.active.shape[::-1], -1, np.int8)
        for number, _, entries in self._parts(kernels):
            found.reshape(-1)[entries.where] = number
        return found.T

    def memory(self, kernels: Kernels) -> tuple[BoolArray, NDArray[np.int64]]:
        """What `hannah_hw.workload.arena.plan_arena` asks of kernels.

        Returns:
            (P, K) whether a kernel's result may lie on an operand, and (P, K) bytes of its scratch memory; False and
            0 where no class runs it.
        """
        shape = kernels.active.shape[::-1]
        in_place, scratch = np.zeros(shape, np.bool_), np.zeros(shape, np.int64)
        for _, entry, entries in self._parts(kernels):
            if entry is not None and entry.in_place is not None:
                in_place.reshape(-1)[entries.where] = entry.in_place(entries)
            if entry is not None and entry.scratch is not None:
                scratch.reshape(-1)[entries.where] = entry.scratch(entries)
        return in_place.T, scratch.T

    def _parts(self, kernels: Kernels) -> Iterator[tuple[int, KernelClass | None, Entries]]:
        for kind in dict.fromkeys(kernels.kinds):
            yield from self.selected(kind, Entries.of_kind(kernels, kind))


def feature_matrix(entry: KernelClass, kernels: Kernels) -> FloatArray:
    """(K, F) features of the kernels of a population of one, whether or not the class selects them."""
    entries = Entries.of_first(kernels)
    return np.stack([feature(entries) for feature in entry.features.values()], axis=1)
