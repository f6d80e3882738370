"""Kernel classes of CMSIS-NN on a core with the DSP extension: which kernel runs, and what its time depends on.

A class says which rows of the Workload it runs, the features whose non-negative combination gives the cycles
without wait states, how many data reads go to flash, and how much scratch memory the kernel asks for. All of
it is vectorised over candidates and slots. The features and the reads follow the loops of the library's
sources (Arm CMSIS-NN, s8 kernels with ``ARM_MATH_DSP``, Apache-2.0):

* convolution: im2col of two output pixels to 16 bit, then ``arm_nn_mat_mult_kernel_s8_s16`` takes two pixels by
  two channels, four columns at a time; per pair of pixels a channel reads its weights as words (the remainder
  as bytes), its bias, multiplier and shift;
* 1x1: ``arm_nn_mat_mult_nt_t_s8`` in place, 16 columns at a time; every call sums each weight row once, byte by
  byte; a strided convolution makes one call per output row;
* depthwise 3x3: four channels at a time, nine words of weights and four each of bias, multiplier and shift;
* depthwise otherwise: im2col to 16 bit, then four channels at a time;
* fully connected: every weight once, as words;
* addition: constants, at a rate taken from the count below.

Counted by an emulator on the four MLPerf Tiny networks, the reads are 1.804, 0.525, 1.684 and 0.068 million
(ResNet-8, DS-CNN, MobileNetV1-0.25, autoencoder); these formulas give 1.804, 0.527, 1.684 and 0.068. They do not
rest on that count, but for the addition: the count came from memory hooks, which that emulator gets wrong around
predicated instructions.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload.table import Kernels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


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

    @classmethod
    def of_first(cls, kernels: Kernels) -> Entries:
        """All K kernels of a population of one."""
        places = np.arange(len(kernels))
        return cls(kernels, places, places)

    def __len__(self) -> int:
        return len(self.where)

    @functools.cached_property
    def candidates(self) -> NDArray[np.int64]:
        """(N,) the candidates they belong to."""
        return self.where - self.slots * len(self._kernels.active)

    def select(self, mask: BoolArray) -> Entries:
        """Those where the mask (N,) holds."""
        return Entries(self._kernels, self.where[mask], self.slots[mask])

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


class WholeColumns(dict[str, NDArray[np.int64]]):
    """The columns of entries as a mapping, for the operator rules."""

    def __init__(self, entries: Entries) -> None:
        super().__init__()
        self._entries = entries

    def __missing__(self, name: str) -> NDArray[np.int64]:
        return self._entries.whole(name)


def _halves(count: FloatArray) -> FloatArray:
    return np.ceil(count * 0.5)


def _depth(entries: Entries) -> NDArray[np.int64]:
    """Elements of one im2col column, whole."""
    return entries.whole("kernel_h") * entries.whole("kernel_w") * entries.whole("in_channels")


_DERIVED: Final[Mapping[str, Callable[[Entries], FloatArray]]] = {
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


@dataclass(frozen=True)
class KernelClass:
    """One kernel of the library.

    Attributes:
        name: Key of its coefficients.
        kind: Kernel kind of the Workload that it runs.
        title: What people call it.
        selects: (N,) whether it is the kernel that runs, among the classes of its kind; None: always.
        features: Feature name -> (N,).
        flash_reads: (N,) data reads from flash.
        scratch: (N,) bytes of scratch memory.
    """

    name: str
    kind: str
    title: str
    features: Mapping[str, Callable[[Entries], FloatArray]]
    selects: Callable[[Entries], BoolArray] | None = None
    flash_reads: Callable[[Entries], FloatArray] | None = None
    scratch: Callable[[Entries], FloatArray] | None = None


def _is_depthwise(s: Entries) -> BoolArray:
    groups = s.whole("groups")
    result: BoolArray = (
        (groups > 1) & (groups == s.whole("in_channels")) & (groups == s.whole("out_channels"))
    )
    return result


def _is_dense(s: Entries) -> BoolArray:
    """All channels in one group: the features of the im2col kernels do not describe other convolutions."""
    result: BoolArray = s.whole("groups") == 1
    return result


def _is_pointwise(s: Entries) -> BoolArray:
    result: BoolArray = (
        (s.whole("groups") == 1)
        & (s.whole("kernel_h") * s.whole("kernel_w") == 1)
        & ((s.whole("pad_top") | s.whole("pad_left") | s.whole("pad_bottom") | s.whole("pad_right")) == 0)
    )
    return result


def _is_depthwise_3x3(s: Entries) -> BoolArray:
    result: BoolArray = (
        _is_depthwise(s)
        & (s.whole("kernel_h") == 3)
        & (s.whole("kernel_w") == 3)
        & (s.whole("pad_top") <= 1)
        & (s.whole("pad_left") <= 1)
    )
    return result


def _is_row(s: Entries) -> BoolArray:
    """A one-dimensional convolution."""
    result: BoolArray = _is_dense(s) & (s.whole("in_h") == 1) & (s.whole("kernel_h") == 1)
    return result


def _conv_reads(s: Entries) -> FloatArray:
    per_pair = (s["depth"] - s["depth_rest"]) * 0.25 + s["depth_rest"] + 3.0
    return _halves(s["pixels"]) * s["out_channels"] * per_pair


def _pointwise_reads(s: Entries) -> FloatArray:
    calls = s["calls"]
    per_pair = (s["in_channels"] - s["in_rest"]) * 0.25 + s["in_rest"] + 2.0
    pairs = _halves(s["pixels"] / calls) * calls
    return (calls * s["in_channels"] + pairs * per_pair) * s["out_channels"]


def _depthwise_reads(s: Entries) -> FloatArray:
    fours = (s["out_channels"] - s["out_rest"]) * 0.25
    return s["pixels"] * (fours * (s["window"] + 12.0) + s["out_rest"] * (s["window"] + 3.0))


def _linear_reads(s: Entries) -> FloatArray:
    return s["outputs"] * ((s["in_channels"] - s["in_rest"]) * 0.25 + s["in_rest"] + 1.0)


def _column_scratch(s: Entries) -> FloatArray:
    # arm_convolve_s8_get_buffer_size: two columns of 16 bit, rounded up to four elements.
    return np.ceil(s["depth"] * 0.25) * 16.0


_CONV_FEATURES: Final[Mapping[str, Callable[[Entries], FloatArray]]] = {
    "macs": lambda s: s["outputs"] * s["depth"],
    "outputs": lambda s: s["outputs"],
    "im2col": lambda s: s["pixels"] * s["depth"],
    "taps": lambda s: s["taps"],
    "rest_macs": lambda s: s["outputs"] * s["depth_rest"],
    "calls": lambda s: np.ones_like(s["pixels"]),
}


def _odd_pixel_macs(s: Entries) -> FloatArray:
    per_call = s["pixels"] / s["calls"]
    return (per_call - 2.0 * np.floor(per_call * 0.5)) * s["calls"] * s["in_channels"] * s["out_channels"]


#: Flash reads of an addition per element: what the emulated ResNet-8 reads beyond its other kernels.
_ADD_READS: Final = 2.6

#: All classes; among those of one kind the first that selects a kernel runs it.
KERNEL_CLASSES: Final[tuple[KernelClass, ...]] = (
    KernelClass(
        "conv_1x1",
        "conv",
        "1x1 convolution",
        {
            "macs": lambda s: s["outputs"] * (s.whole("in_channels") & ~15),
            "quad_macs": lambda s: s["outputs"] * (s.whole("in_channels") & 12),
            "rest_macs": lambda s: s["outputs"] * s["in_rest"],
            "outputs": lambda s: s["outputs"],
            "weight_sums": lambda s: s["calls"] * s["in_channels"] * s["out_channels"],
            "odd_pixel_macs": _odd_pixel_macs,
            "odd_channel_pixels": lambda s: s["pixels"] * (s.whole("out_channels") & 1),
            "calls": lambda s: s["calls"],
        },
        _is_pointwise,
        _pointwise_reads,
    ),
    KernelClass(
        "dw_3x3",
        "conv",
        "depthwise 3x3 convolution",
        {
            "macs": lambda s: s["outputs"] * 9.0,
            "pixels": lambda s: s["pixels"],
            "rest_pixels": lambda s: s["pixels"] * s["out_rest"],
            "calls": lambda s: np.ones_like(s["pixels"]),
        },
        _is_depthwise_3x3,
        _depthwise_reads,
    ),
    KernelClass(
        "dw",
        "conv",
        "depthwise convolution",
        {
            "macs": lambda s: s["outputs"] * s["window"],
            "outputs": lambda s: s["outputs"],
            "taps": lambda s: s["taps"],
            "rest_macs": lambda s: s["taps"] * s["out_rest"],
            "pixels": lambda s: s["pixels"],
        },
        _is_depthwise,
        _depthwise_reads,
        # arm_depthwise_conv_s8_opt_get_buffer_size: one column of 16 bit.
        lambda s: s["window"] * s["out_channels"] * 2.0,
    ),
    KernelClass("conv_1xn", "conv", "1-D convolution", _CONV_FEATURES, _is_row, _conv_reads, _column_scratch),
    KernelClass("conv", "conv", "convolution", _CONV_FEATURES, _is_dense, _conv_reads, _column_scratch),
    KernelClass(
        "fc",
        "linear",
        "fully connected",
        {
            "macs": lambda s: s["outputs"] * s["in_channels"],
            "outputs": lambda s: s["outputs"],
            "rest_macs": lambda s: s["outputs"] * s["in_rest"],
            "calls": lambda s: s["pixels"],
        },
        None,
        _linear_reads,
    ),
    KernelClass(
        "avg_pool",
        "avg_pool",
        "average pooling",
        {"inputs": lambda s: s["outputs"] * s["window"], "outputs": lambda s: s["outputs"]},
        scratch=lambda s: s["out_channels"] * 4.0,
    ),
    KernelClass("max_pool", "max_pool", "maximum pooling", {"inputs": lambda s: s["outputs"] * s["window"]}),
    KernelClass(
        "add",
        "add",
        "addition",
        {"outputs": lambda s: s["outputs"]},
        flash_reads=lambda s: s["outputs"] * _ADD_READS,
    ),
    KernelClass("softmax", "softmax", "softmax", {"outputs": lambda s: s["outputs"]}),
    KernelClass("activation", "activation", "activation", {"outputs": lambda s: s["outputs"]}),
)


def classes_of(kind: str) -> list[tuple[int, KernelClass]]:
    """The classes of a kernel kind with their indices, in the order in which they are tried."""
    return [(index, entry) for index, entry in enumerate(KERNEL_CLASSES) if entry.kind == kind]


def feature_matrix(entry: KernelClass, kernels: Kernels) -> FloatArray:
    """(K, F) features of the kernels of a population of one, whether or not the class selects them."""
    entries = Entries.of_first(kernels)
    return np.stack([feature(entries) for feature in entry.features.values()], axis=1)
