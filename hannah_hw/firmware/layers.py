"""An int8 network as a list of integer layers, in the order of the Workload's kernels.

Values lie in memory as (height, width, channels), channels last, int8. A real value is ``scale · (q - zero_point)``.

The arithmetic contract, q32, is that of every layer with weights::

    acc = bias + Σ weight · (x - zero_point_in)                       exact in int32
    y   = clamp(zero_point_out + floor((acc · M + 2^31) / 2^32))      M = floor(scale · 2^32 + 1/2)

with ``scale = scale_in · scale_weight / scale_out`` of the output channel, in float64. `hannah_hw.firmware.reference`
computes every kind of layer by it; kernels in C must agree bit by bit. The other kinds, by the constants of
`hannah_hw.firmware.arithmetic`:

* ``add``: `arithmetic.Sum` of the two operands' ``scales``;
* ``mul``: ``acc = (a - zero_a) · (b - zero_b)`` times `arithmetic.multiplier` of ``scales[0]``; the second operand
  has the data's shape, or one value a channel;
* ``batch_norm``: `arithmetic.Affine` of ``scales``; ``bias`` holds its offsets and ``options`` its ``bits``;
* ``avg_pool``: `arithmetic.Average` over the values of a window that lie inside the data; ``scales[0]`` is
  ``scale_in / scale_out``;
* ``max_pool``, ``slice``, ``pad``, ``permute``, ``upsample``: copies; operand and result have the same scale and zero
  point, and zeros of a padding are the zero point;
* ``concat``: copies each operand through its row of ``table``, or as it is without one;
* ``softmax``: `arithmetic.Exponentials`, over the channels of each of ``in_w`` rows;
* ``activation``, ``sigmoid``, ``hard_sigmoid``, ``hard_swish``, ``scale``: look each value up in ``table``.

All but tables end with the clamp to [low, high].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware.arithmetic import Rounding


@dataclass(frozen=True)
class Value:
    """A tensor between layers.

    Attributes:
        name: That of the Workload's buffer: the graph input, or the kernel that writes it.
        shape: (height, width, channels) without the batch; 1 for what the tensor does not have.
        scale: Real value of one step.
        zero_point: The int8 value that stands for 0.
    """

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Elements, which are bytes."""
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True)
class Layer:
    """One kernel call.

    Attributes:
        name: Name of the Workload's kernel.
        kind: Its kind, of `hannah_hw.workload.table.KERNEL_KINDS`.
        inputs: Indices into `Network.values` of the operands.
        output: Index of the result.
        columns: The kernel's row of the Workload: `hannah_hw.workload.table.KERNEL_COLUMNS` -> value.
        low: Smallest output value; saturation and any activation together.
        high: Largest output value.
        weights: (out_channels, kernel_h, kernel_w, in_channels / groups) int8 in [-127, 127], or None.
            Fully connected layers have kernel 1x1 and ``in_channels`` in the order of the operand's memory.
        bias: (out_channels,) int32 accumulator units, the operand's zero point not yet folded in; None without weights,
            but for ``batch_norm``.
        scales: (out_channels,) float64, ``scale_in · scale_weight / scale_out``; for kinds without weights (1,) or
            one per operand, the ratio of operand scale to output scale; see the module.
        table: (256,) int8 results for the operands -128 ... 127, for functions of one value; of a ``concat``
            (operands, 256), or None where every operand has the result's scale and zero point.
        options: What else the kind needs in whole numbers. ``concat``: ``axis``, 0, 1 or 2 of (height, width,
            channels). ``slice``: ``axis`` and ``begin``. ``permute``: ``sizes`` and ``steps``: the result, in the order
            of its memory, is ``for i0 in sizes[0]: for i1 in sizes[1]: ... x[i0 · steps[0] + i1 · steps[1] + ...]``.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    output: int
    columns: Mapping[str, int]
    low: int = -128
    high: int = 127
    weights: NDArray[np.int8] | None = None
    bias: NDArray[np.int32] | None = None
    scales: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    table: NDArray[np.int8] | None = None
    options: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """An integer network.

    Attributes:
        name: Of the model.
        values: All tensors.
        layers: In execution order.
        inputs: Indices of the graph inputs.
        outputs: Indices of the graph outputs.
        rounding: Contract of the layers with weights: ``q32``, or ``double``, that of TensorFlow Lite
            (`arithmetic.requantise_double`).
    """

    name: str
    values: tuple[Value, ...]
    layers: tuple[Layer, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    rounding: Rounding = "q32"
