"""GreenWaves GAP9: the NE16 convolution engine, eight cores beside it, and a DMA engine.

NE16 computes 3 x 3 output pixels of 32 output channels (of 16 channels where each has a filter of its own) from 16
input channels at a time; weights are taken bit by bit, except by windows of one pixel, which take all bits of a weight
at once. The phases of such a job and their cycles are those of the public performance model of the engine
(``Ne16PerfModel`` of the PULP project's DORY): load the input 6 + 25 (10 + 9 for a window of one pixel), offsets of the
weights 6 (6 + channels where each has its filter), products 6 + channels x weight bits (6 + channels for a window of
one pixel), 2 between jobs; once for all input channels 9 + channels to scale, 8 + channels / 8 to add the bias, 13 to
write.

What is no 1 x 1 or 3 x 3 window runs on the cores at ``core_macs_per_cycle``. The DMA engine moves inputs and outputs
between the two memories, ``dma_bytes_per_cycle``, before and after; weights are fetched while the layer before is
computed. ``layer_cycles`` is what every layer costs beyond that, whatever it computes: the one figure that is fitted.

Energy: ``busy_pj`` for a cycle in which the engine or the cores compute, ``mac_pj`` for a multiply-accumulate.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import MAC_KINDS, Layers
from hannah_hw.cost.accelerators.moved import Moved
from hannah_hw.cost.closed_form.gemm import ceil_div
from hannah_hw.cost.closed_form.machine import Counts, FloatArray, Machine

_IntArray = NDArray[np.int64]
_SIDE, _IN_CHANNELS, _OUT_CHANNELS = 3, 16, 32
_FIFO: Final = 6


def ne16_cycles(
    pixels_h: _IntArray,
    pixels_w: _IntArray,
    in_channels: _IntArray,
    out_channels: _IntArray,
    weight_bits: _IntArray,
    points: NDArray[np.bool_],
    depthwise: NDArray[np.bool_],
) -> _IntArray:
    """Cycles of the engine for M convolutions.

    Args:
        pixels_h: (M,) rows of the output.
        pixels_w: (M,) columns of the output.
        in_channels: (M,) input channels.
        out_channels: (M,) output channels.
        weight_bits: (M,) bits of a weight.
        points: (M,) whether the window is one pixel, otherwise it is 3 x 3.
        depthwise: (M,) whether each channel has a filter of its own.
    """
    width = np.where(depthwise, _IN_CHANNELS, _OUT_CHANNELS)
    load = np.where(points, 10 + _SIDE**2, _FIFO + (_SIDE + 2) ** 2)
    jobs = np.where(depthwise, 1, ceil_div(in_channels, _IN_CHANNELS))

    def tile(channels: _IntArray) -> _IntArray:
        offsets = _FIFO + np.where(depthwise, channels, 0)
        products = _FIFO + channels * np.where(points, 1, weight_bits)
        finish = 9 + channels + 8 + ceil_div(channels, 8) + 3 + _SIDE**2 + 1
        result: _IntArray = jobs * (load + offsets + products + 2) + finish
        return result

    whole, rest = out_channels // width, out_channels % width
    tiles = ceil_div(pixels_h, _SIDE) * ceil_div(pixels_w, _SIDE)
    total: _IntArray = tiles * (whole * tile(width) + np.where(rest > 0, tile(rest), 0))
    return total


def gap9(layers: Layers, machine: Machine) -> Counts:
    """Count layers of any kind; see the module."""
    engine, cores = busy_cycles(layers, machine)
    moved = Moved.of(layers)
    second = np.where(layers.is_kind("matmul"), moved.weight_bits, 0.0)
    bits = moved.input_bits + second + moved.output_bits
    transfer = np.ceil(bits / 8.0 / machine.settings["dma_bytes_per_cycle"])
    busy = engine + cores
    macs = layers["macs"].astype(np.float64)
    return Counts(
        cycles={
            "ne16": engine,
            "cores": cores,
            "transfer": transfer,
            "layer": np.full(len(layers), machine.settings["layer_cycles"]),
        },
        energy={"busy": busy * machine.settings["busy_pj"], "mac": macs * machine.settings["mac_pj"]},
    )


def busy_cycles(layers: Layers, machine: Machine) -> tuple[FloatArray, FloatArray]:
    """(M,) cycles of the engine and (M,) cycles of the cores."""
    groups = np.maximum(layers["groups"], 1)
    square = layers["kernel_h"] == layers["kernel_w"]
    points = square & (layers["kernel_w"] == 1)
    fits = points | (square & (layers["kernel_w"] == 3))
    fits &= (layers["dilation_h"] == 1) & (layers["dilation_w"] == 1)
    depthwise = (
        (groups > 1) & (groups == layers["in_channels"]) & (groups == layers["out_channels"]) & ~points
    )
    engine = (layers.is_kind("conv") & fits) | layers.is_kind("linear")
    # Groups of several channels are as many convolutions, one after the other.
    repeats = np.where(depthwise, 1, groups)
    of_engine = repeats * ne16_cycles(
        layers["out_h"],
        layers["out_w"],
        layers["in_channels"] // repeats,
        layers["out_channels"] // repeats,
        layers["weight_bits"],
        points,
        depthwise,
    )
    on_cores = layers.is_kind(*MAC_KINDS) & ~engine
    macs = layers["macs"] / machine.settings["core_macs_per_cycle"]
    return np.where(engine, of_engine, 0).astype(np.float64), np.where(on_cores, np.ceil(macs), 0.0)
