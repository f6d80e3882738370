"""Which buffers of a candidate stay in the on-chip memory from layer to layer, and where its weights are.

A target names the memory in which activations may stay (``on_chip``). A buffer stays there over its whole life, from
the kernel that writes it to the last one that reads it, or it lies in the outermost memory, which costs traffic. The
inputs and outputs of the network come from outside and lie in the outermost memory, and so does what another processor
writes or reads. Memory is given out in granules of 1/32 of its size. If the buffers that may stay do not fit all at
once, they are taken in the order of the traffic that they save (one write, and one read for each kernel that reads
them), equal ones in the order in which they are written; each stays if it fits at every kernel of its life. That saves
98 % of what the best choice would, on average over candidates of four spaces in memories of 30 to 80 % of their peaks;
first come, first served saves 97 %, most saved a byte first 97 %, a byte and kernel 96 %. The resident bytes never
exceed the memory. Addresses are not planned.

If weights pass through that memory too, 1/8 of it is kept free for them. Weights stay on chip from one inference to the
next if those of all layers fit at once: into that memory beside its activations, if it holds weights, else into the
outermost of the memories of known size that do and that the whole array shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.intervals import peaks, raised, resident
from hannah_hw.cost.accelerators.streams import outermost
from hannah_hw.targets import Accelerator
from hannah_hw.targets.area import instances
from hannah_hw.workload.table import Workload

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Parts of the on-chip memory that are given out.
GRANULES: Final = 32
#: Share of it that is kept free where weights pass through it.
_FREE: Final = 8

#: Bits of a placement code: what is on chip, and above them the granules that other buffers take.
INPUT, OUTPUT, WEIGHTS, RESERVED = 1, 2, 4, 8
#: Placement codes are below this.
CODES: Final = 512


@dataclass(frozen=True)
class Residence:
    """Memories in which values stay.

    Attributes:
        activations: Name of the memory of activations; None: they go through the outermost memory.
        weights: The same of weights.
        size: Bytes of the first one; None without it, or if it is without bound.
        weights_size: Bytes of the second one.
    """

    activations: str | None
    weights: str | None
    size: int | None
    weights_size: int | None

    @property
    def shared(self) -> bool:
        """Whether weights and activations stay in one memory."""
        return self.weights is not None and self.weights == self.activations

    @property
    def any(self) -> bool:
        """Whether anything may stay."""
        return self.activations is not None or self.weights is not None

    @property
    def granule(self) -> int:
        """Bytes of a granule."""
        return max(1, (self.size or 0) // GRANULES)


def residence(target: Accelerator) -> Residence:
    """Where values of a target may stay rather than move to the outermost memory and back.

    Activations do so only if the target names an on-chip memory that holds inputs and outputs and is not itself the
    outermost one of these; weights stay in that memory or in one of their own.
    """
    named = [m for m in target.memories if m.name == target.on_chip]
    if not named or not {"I", "O"} <= set(named[0].holds):
        return Residence(None, None, None, None)
    memory = named[0]
    outer = {outermost(target, operand) for operand in ("I", "O")}
    activations = None if outer == {memory.name} else memory
    bounded = [
        m
        for position, m in enumerate(target.memories)
        if "W" in m.holds and m.size is not None and instances(target, position) == 1
    ]
    weights = memory if "W" in memory.holds else bounded[-1] if bounded else None
    if weights is not None and weights.name == outermost(target, "W"):
        weights = None
    return Residence(
        None if activations is None else activations.name,
        None if weights is None else weights.name,
        None if activations is None else activations.size,
        None if weights is None else weights.size,
    )


@dataclass(frozen=True)
class Placement:
    """Where the values of P candidates with K kernels and B buffers lie.

    Attributes:
        codes: (K, P) sums of `INPUT`, `OUTPUT`, `WEIGHTS` where these are on chip, and `RESERVED` times the granules of
            the memory of activations that hold something else meanwhile.
        buffers: (P, B) whether a buffer stays on chip.
        weights: (P,) whether the weights do.
    """

    codes: NDArray[np.int16]
    buffers: BoolArray
    weights: BoolArray

    def without(self, candidates: BoolArray) -> Placement:
        """The same, but some candidates (P,) keep nothing on chip."""
        kept = ~candidates
        return Placement(self.codes * kept, self.buffers & kept[:, None], self.weights & kept)


def nowhere(workload: Workload) -> Placement:
    """Everything in the outermost memory."""
    shape = workload.kernels.active.shape
    return Placement(
        np.zeros(shape[::-1], np.int16),
        np.zeros((shape[0], len(workload.buffers)), np.bool_),
        np.zeros(shape[0], np.bool_),
    )


def place(workload: Workload, target: Accelerator, weights: IntArray, elsewhere: BoolArray) -> Placement:
    """Decide what stays on chip.

    Args:
        workload: P candidates with K kernels.
        target: The target.
        weights: (K, P) bytes of the weights that a kernel reads.
        elsewhere: (K, P) whether another processor runs the kernel.
    """
    where, buffers = residence(target), workload.buffers
    if not where.any or not len(buffers) or not workload.size:
        return nowhere(workload)
    live = _Lives(workload, elsewhere)
    live.may_stay &= where.activations is not None
    granules = -(-live.bytes // where.granule) if where.size is not None else np.zeros_like(live.bytes)
    capacity = (where.size or 0) // where.granule
    total = weights.sum(axis=0)
    if where.shared:
        # A granule more, for the sum of the layers' shares is rounded up once and a layer's own share another time.
        held = -(-total // where.granule) + 1 if where.size is not None else np.zeros_like(total)
        open_ = np.full(workload.size, capacity - capacity // _FREE)
    else:
        held = np.zeros_like(total)
        open_ = np.full(workload.size, capacity)
    stays = resident(granules, live.first, live.last, live.may_stay, live.saved(), open_)
    taken = raised(np.where(stays, granules, 0), live.first, live.last, len(workload.kernels))
    if where.weights is None:
        keeps = np.zeros(workload.size, np.bool_)
    elif where.shared:
        keeps = (peaks(taken) + held <= capacity) | (where.size is None)
    else:
        keeps = (total <= where.weights_size) if where.weights_size is not None else np.ones_like(total, bool)
    keeps = keeps & (total > 0)
    codes = live.codes(stays, granules, taken, matmul=where.shared)
    codes += (WEIGHTS * (keeps & (weights > 0))).astype(np.int16)
    if where.shared and where.size is not None:
        others = -(-(total - weights) // where.granule)
        codes += (RESERVED * np.where(keeps, others, 0)).astype(np.int16)
    return Placement(codes, stays.T, keeps)


class _Lives:
    """Sizes, lives and readers of the buffers of P candidates; tables are (B, P), (K, P) or (E, P).

    An edge is a kernel with a buffer that it may read: E of them, in the order of kernels. Which buffers the kernels of
    one candidate read follows from their lives: a buffer that is live when a kernel runs that some candidates read it
    with counts as read.

    Args:
        workload: The candidates.
        elsewhere: (K, P) whether another processor runs the kernel.
    """

    def __init__(self, workload: Workload, elsewhere: BoolArray) -> None:
        buffers, kernels = workload.buffers, workload.kernels
        self.bytes = np.ascontiguousarray(buffers.bytes.T)
        self.first = np.ascontiguousarray(buffers.first.T)
        self.last = np.ascontiguousarray(buffers.last.T)
        self._active = np.ascontiguousarray(kernels.active.T)
        owners = {name: index for index, name in enumerate(buffers.names)}
        own = np.array([owners.get(name, -1) for name in kernels.names], np.int64)
        #: Kernels that write a buffer, and that buffer.
        self._writers, self._written = np.flatnonzero(own >= 0), own[own >= 0]
        reads = workload.reads.copy()
        reads[self._writers, self._written] = False
        self._readers, self._read = np.nonzero(reads)
        time = self._readers[:, None]
        #: (E, P) whether the kernel of an edge reads its buffer.
        self._there = (self.first[self._read] <= time) & (self.last[self._read] >= time)
        self._there &= (self.bytes[self._read] > 0) & self._active[self._readers]
        #: Kernels that read something, and where their edges begin.
        self._reading, self._begins = np.unique(self._readers, return_index=True)
        self._products = np.array([kind == "matmul" for kind in kernels.kinds])
        self.may_stay = (self.bytes > 0) & ~buffers.output.T
        self.may_stay[[b for b, kind in enumerate(buffers.kinds) if kind == "input"]] = False
        if elsewhere.any():
            touched = np.zeros(self.bytes.shape, np.int64)
            np.add.at(touched, self._read, self._there & elsewhere[self._readers])
            np.add.at(touched, self._written, elsewhere[self._writers])
            self.may_stay &= touched == 0

    def saved(self) -> IntArray:
        """(B, P) bytes that need not move if a buffer stays: once written, and read by each reader."""
        times = np.ones_like(self.bytes)
        np.add.at(times, self._read, self._there)
        return times * self.bytes

    def codes(
        self, stays: BoolArray, granules: IntArray, taken: IntArray, *, matmul: bool
    ) -> NDArray[np.int16]:
        """(K, P) placement codes of activations.

        Args:
            stays: (B, P) whether a buffer stays on chip.
            granules: (B, P) what it takes there.
            taken: (K, P) granules that are taken during each kernel.
            matmul: Whether the second operand of a product of activations may be where its weights would be.
        """
        inside = np.zeros(taken.shape, np.bool_)
        own = np.zeros(taken.shape, np.int64)
        if len(self._reading):
            near = stays[self._read] & self._there
            inside[self._reading] = np.logical_and.reduceat(near | ~self._there, self._begins, axis=0)
            inside[self._reading] &= np.logical_or.reduceat(self._there, self._begins, axis=0)
            held = np.add.reduceat(near * granules[self._read], self._begins, axis=0)
            own[self._reading] = held * inside[self._reading]
        written = np.zeros(taken.shape, np.bool_)
        written[self._writers] = stays[self._written] & self._active[self._writers]
        own[self._writers] += written[self._writers] * granules[self._written]
        codes = INPUT * inside.astype(np.int16) + OUTPUT * written.astype(np.int16)
        if matmul:
            codes += (WEIGHTS * (inside & self._products[:, None])).astype(np.int16)
        codes += (RESERVED * (taken - own) * self._active).astype(np.int16)
        return codes
