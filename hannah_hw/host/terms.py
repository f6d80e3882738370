"""Physical terms: how much of each kind of work a kernel of ONNX Runtime has to do.

A kernel takes the sum of its terms, each times a time of its own that is not negative and is fitted once for all
kernels of a class. What is known of a class is one function in a table; any other operator has the terms of what only
reads and writes its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from hannah_hw.host.geometry import Convolutions, FloatArray, block_width
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.terms_convolution import (
    Work,
    nchwc_conv,
    nchwc_depthwise,
    nchwc_pointwise,
    nchwc_stem,
    plain_conv,
    plain_depthwise,
    q_conv,
    q_depthwise,
)


@dataclass(frozen=True)
class Terms:
    """Work of N kernels of one class.

    Attributes:
        names: T names.
        work: (N, T), at least 0.
    """

    names: tuple[str, ...]
    work: FloatArray


def terms(kernels: Sequence[HostKernel], block: int | None = None) -> Terms:
    """The terms of kernels of one class.

    Args:
        kernels: Kernels, all of the same `HostKernel.kernel_class`.
        block: Channels of a block of the NCHWc layout here; None: as these kernels' shapes show it.

    Raises:
        ValueError: There are no kernels, or they are of several classes.
    """
    classes = {kernel.kernel_class for kernel in kernels}
    if len(classes) != 1:
        raise ValueError(f"terms are those of kernels of one class, not of {sorted(classes)}")
    (name,) = classes
    width = block_width(kernels) if block is None else block
    work = (
        _CONVOLUTIONS[name](Convolutions.of(kernels), width)
        if name in _CONVOLUTIONS
        else _OTHERS.get(name, _traffic)(kernels)
    )
    return Terms(tuple(work), np.stack([np.asarray(v, np.float64) for v in work.values()], axis=1))


def _bytes(kernels: Sequence[HostKernel]) -> FloatArray:
    """(3, N): bytes of computed inputs, constant inputs, outputs."""
    return np.array(
        [
            (
                sum(t.bytes for t in k.inputs if not t.constant),
                sum(t.bytes for t in k.inputs if t.constant),
                sum(t.bytes for t in k.outputs),
            )
            for k in kernels
        ],
        np.float64,
    ).T


def _traffic(kernels: Sequence[HostKernel]) -> Work:
    """What only reads and writes: bytes, and elements of the output."""
    read, constant, written = _bytes(kernels)
    elements = np.array([sum(t.elements for t in k.outputs) for k in kernels], np.float64)
    return {
        "call": np.ones(len(kernels)),
        "read": read,
        "constant": constant,
        "written": written,
        "elements": elements,
    }


def _call(kernels: Sequence[HostKernel]) -> Work:
    """What touches no data."""
    return {"call": np.ones(len(kernels))}


def _matrix(kernels: Sequence[HostKernel]) -> Work:
    """Products of matrices: multiply-adds are the outputs times what each sums up."""
    inner = np.array([k.inputs[0].shape[-1] if k.inputs[0].shape else 1 for k in kernels], np.float64)
    traffic = _traffic(kernels)
    elements = traffic["elements"]
    return {**traffic, "macs": elements * inner, "sums": inner}


def _layout(kernels: Sequence[HostKernel]) -> Work:
    """Reorders of axes: bytes, and what is left of whole registers of positions and of channels."""
    shapes = [(*k.inputs[0].shape, 1, 1, 1)[:4] for k in kernels]
    batch, second, third, fourth = np.array(shapes, np.float64).reshape(-1, 4).T
    positions, channels = third * fourth, batch * second
    return {
        **_traffic(kernels),
        "channels": channels,
        "positions": positions,
        "left_positions": positions % 8 * channels,
        "left_channels": channels % 8 * positions,
    }


def _window(kernels: Sequence[HostKernel]) -> Work:
    """Poolings: every output goes over its window."""
    taps = np.array([np.prod(k.attribute.get("kernel_shape", (1,))) for k in kernels], np.float64)
    traffic = _traffic(kernels)
    return {**traffic, "taps": traffic["elements"] * taps}


def _reduction(kernels: Sequence[HostKernel]) -> Work:
    """Poolings of a whole image: bytes, and channels that are left of a whole register."""
    traffic = _traffic(kernels)
    channels = traffic["elements"]
    positions = np.array([k.inputs[0].elements for k in kernels], np.float64) / np.maximum(channels, 1.0)
    return {**traffic, "positions": positions, "left_channels": channels % 16 * positions}


_CONVOLUTIONS: Final[Mapping[str, Callable[[Convolutions, int], Work]]] = MappingProxyType(
    {
        "nchwc_conv": nchwc_conv,
        "nchwc_depthwise": nchwc_depthwise,
        "nchwc_pointwise": nchwc_pointwise,
        "nchwc_stem": nchwc_stem,
        "plain_conv": plain_conv,
        "plain_depthwise": plain_depthwise,
        "plain_grouped": plain_conv,
        "q_conv": q_conv,
        "q_depthwise": q_depthwise,
        "q_grouped": q_conv,
    }
)

_OTHERS: Final[Mapping[str, Callable[[Sequence[HostKernel]], Work]]] = MappingProxyType(
    {
        "com.microsoft.NhwcMaxPool": _window,
        "gemm": _matrix,
        "global_pool": _reduction,
        "matmul": _matrix,
        "nchwc_global_pool": _reduction,
        "nchwc_pool": _window,
        "pool": _window,
        "q_gemm": _matrix,
        "q_global_pool": _reduction,
        "q_matmul": _matrix,
        "q_pool": _window,
        "q_transpose": _layout,
        "reorder_in": _layout,
        "reorder_out": _layout,
        "transpose": _layout,
        "view": _call,
    }
)
