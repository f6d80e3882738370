"""One kernel call as an integer network of one layer, with random weights, constants and operands.

Nothing here bends a figure: our kernels take the same path for any values, but for two things that real networks
settle. Clamps are those of int8 alone, for a network that is quantised well saturates where its ReLU clamps (zero
point -128); weights spread over int8 as those of a channel with a scale of its own do, so that proofs about sums of
weights (`hannah_hw.firmware.implementation.Implementation.refuses`) hold where they hold for real layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import InputError
from hannah_hw.firmware import arithmetic
from hannah_hw.firmware.arithmetic import affine_constants
from hannah_hw.firmware.layers import Layer, Network, Value
from hannah_hw.firmware.network.order import loops
from hannah_hw.measure.sampling import Shape

Int8Array = NDArray[np.int8]

#: Kinds whose result has the scale and zero point of the operand.
_COPIES: Final = ("max_pool", "slice", "pad", "permute", "upsample", "concat")
#: Kinds that look every value up in a table.
_TABLES: Final = ("activation", "sigmoid", "hard_sigmoid", "hard_swish", "scale", "quantize")
#: Weights are normal; the largest of a channel is 127, about 3.5 standard deviations of a few hundred.
_DEVIATIONS: Final = 3.5


@dataclass(frozen=True)
class Call:
    """A layer and what it is called with.

    Attributes:
        network: One layer.
        operands: The inputs' values, each (height, width, channels).
    """

    network: Network
    operands: tuple[Int8Array, ...]

    @property
    def layer(self) -> Layer:
        """The layer."""
        return self.network.layers[0]


def random_call(shape: Shape, seed: int) -> Call:
    """A call of a kernel at a shape.

    Args:
        shape: The shape.
        seed: Of all values.
    """
    generator = np.random.default_rng([seed, *shape.input_shape, *shape.output_shape])
    zero_in, zero_out = (int(z) for z in generator.integers(-128, 128, 2))
    shapes = _operand_shapes(shape)
    if shape.kind in _COPIES:
        zero_out = zero_in
    if shape.kind == "softmax":
        zero_out = -128
    zeros = [zero_in] + [zero_out if shape.kind in _COPIES else int(generator.integers(-128, 128))] * (
        len(shapes) - 1
    )
    ratios = np.ones(1) if shape.kind in _COPIES else generator.uniform(0.3, 0.9, len(shapes))
    scale_out = 1 / 256 if shape.kind == "softmax" else 0.05
    if shape.kind == "mul":
        # scale_a · scale_b / scale_out: the result of two full-range operands has the range of int8.
        ratios = generator.uniform(0.5, 1.0, 1) / 128
    scales = [0.02 if shape.kind in ("softmax", "mul") else scale_out * float(r) for r in ratios]
    values = [
        Value(f"operand_{number}", size, scales[min(number, len(scales) - 1)], zero)
        for number, (size, zero) in enumerate(zip(shapes, zeros, strict=True))
    ]
    weights, bias, multipliers = _parameters(shape, generator)
    options = _options(shape)
    if shape.kind == "batch_norm":
        factors, shifts = generator.uniform(0.3, 0.9, (2, shape.columns["out_channels"]))
        affine = affine_constants(factors, 100 * (shifts - 0.6), zero_in, zero_out)
        bias, multipliers, options = affine.offsets, factors, {"bits": affine.bits}
    layer = Layer(
        name=shape.kernel_class,
        kind=shape.kind,
        inputs=tuple(range(len(values))),
        output=len(values),
        columns=shape.columns,
        weights=weights,
        bias=bias,
        scales=ratios if multipliers is None else multipliers,
        table=generator.integers(-128, 128, 256).astype(np.int8) if shape.kind in _TABLES else None,
        options=options,
    )
    result = Value("result", shape.output_shape, scale_out, zero_out)
    network = Network(
        shape.kernel_class, (*values, result), (layer,), tuple(range(len(values))), (len(values),)
    )
    operands = tuple(generator.integers(-128, 128, size).astype(np.int8) for size in shapes)
    return Call(network, operands)


def _operand_shapes(shape: Shape) -> list[tuple[int, int, int]]:
    first = shape.input_shape
    if shape.kind == "concat":
        axis = shape.moves.axis
        sizes = [[*first[:axis], part, *first[axis + 1 :]] for part in shape.moves.parts]
        return [(height, width, channels) for height, width, channels in sizes]
    if shape.kind == "mul" and shape.columns["groups"] > 1:
        return [first, (1, 1, first[2])]
    return [first] * shape.columns["operands"]


def _parameters(
    shape: Shape, generator: np.random.Generator
) -> tuple[Int8Array | None, NDArray[np.int32], NDArray[np.float64]] | tuple[None, None, None]:
    """Weights, biases and scales of a layer that has them."""
    columns = shape.columns
    if shape.kind == "batch_norm":
        channels = columns["out_channels"]
        offsets = generator.integers(-64, 64, channels).astype(np.int32) << arithmetic.ADD_BITS
        return None, offsets, generator.uniform(-0.9, 0.9, channels)
    if not columns["weights"]:
        return None, None, None
    channels, window = columns["out_channels"], (columns["kernel_h"], columns["kernel_w"])
    size = (channels, *window, columns["in_channels"] // columns["groups"])
    depth = math.prod(size[1:])
    weights = np.rint(generator.normal(0.0, 127 / _DEVIATIONS, size)).clip(-127, 127).astype(np.int8)
    # Sums of products of standard deviation 74 (operands, uniform) and that of the weights become 40 steps.
    spread = math.sqrt(depth) * 74 * 127 / _DEVIATIONS
    scales = np.minimum(generator.uniform(0.5, 1.5, channels) * 40 / spread, 0.45)
    bias = np.rint(generator.normal(0.0, spread / 4, channels)).astype(np.int32)
    return weights, bias, scales


def _options(shape: Shape) -> dict[str, int | tuple[int, ...]]:
    """What `Layer.options` says of the shape."""
    if shape.kind in ("concat", "slice"):
        options: dict[str, int | tuple[int, ...]] = {"axis": shape.moves.axis}
        return options | ({"begin": shape.moves.begin} if shape.kind == "slice" else {})
    if shape.kind == "batch_norm":
        return {"bits": arithmetic.ADD_BITS}
    if shape.kind == "permute":
        places = np.arange(math.prod(shape.input_shape)).reshape(shape.input_shape)
        found = loops(places.transpose(shape.moves.order).ravel())
        if found is None:
            raise InputError(f"the order {shape.moves.order} of axes is no nest of loops")
        return {"sizes": found[0], "steps": found[1]}
    return {}
