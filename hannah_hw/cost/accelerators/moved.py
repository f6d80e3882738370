"""Values and operations of layers that are no multiply-accumulates, and of those that are, on a unit beside the array.

Operations are counted as textbook formulas need them: one for every addition, multiplication, comparison, exponential
or division of a value. What only moves values has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.workload.table import KERNEL_KINDS

FloatArray = NDArray[np.float64]

#: Bits of an element of a bias, or of an offset a channel.
_BIAS_BITS: Final = 32


@dataclass(frozen=True)
class Moved:
    """What M layers move, whatever runs them.

    Attributes:
        inputs: (M,) values read.
        outputs: (M,) values written.
        input_bits: (M,) bits read.
        weight_bits: (M,) bits of weights and biases read.
        output_bits: (M,) bits written.
    """

    inputs: FloatArray
    outputs: FloatArray
    input_bits: FloatArray
    weight_bits: FloatArray
    output_bits: FloatArray

    @classmethod
    def of(cls, layers: Layers) -> Moved:
        """What layers move: every input once, every weight once, every output once.

        A product of activations reads its second operand as if it were weights. A concatenation reads what it writes,
        and a slice no more than that. A multiplication with one number a channel reads that many numbers besides.
        """
        single = _real(layers, "in_channels", "in_h", "in_w")
        outputs = _real(layers, "out_channels", "out_h", "out_w")
        operands = _real(layers, "operands")
        inputs = np.where(layers.is_kind("add", "mul"), single * operands, single)
        a_channel = layers.is_kind("mul") & (layers["groups"] > 1)
        inputs = np.where(a_channel, single + layers["in_channels"], inputs)
        inputs = np.where(layers.is_kind("concat", "slice"), outputs, inputs)
        # The second operand of a product: (channels of a group) x (results of a row) of each group.
        second = np.where(
            layers.is_kind("matmul"),
            _real(layers, "in_channels", "out_channels") / np.maximum(layers["groups"], 1),
            0.0,
        )
        weights = layers["weights"] * layers["weight_bits"] + layers["bias"] * _BIAS_BITS
        return cls(
            inputs,
            outputs,
            inputs * layers["activation_bits"],
            weights + second * layers["weight_bits"],
            outputs * layers["output_bits"],
        )


def _real(layers: Layers, *columns: str) -> FloatArray:
    product = np.ones(len(layers))
    for column in columns:
        product = product * layers[column]
    return product


def _outputs(layers: Layers) -> FloatArray:
    return _real(layers, "out_channels", "out_h", "out_w")


def _window(layers: Layers) -> FloatArray:
    return _real(layers, "kernel_h", "kernel_w")


def _a_value(times: int) -> Callable[[Layers], FloatArray]:
    return lambda layers: times * _outputs(layers)


def _products(layers: Layers) -> FloatArray:
    return 2 * _real(layers, "macs")


def _none(layers: Layers) -> FloatArray:
    return np.zeros(len(layers))


#: Kernel kind -> (M,) operations. For each value of the result:
#: a sum of n values is n - 1 additions; a product of two is 1; the mean of a window of n is n - 1 additions and a
#: multiplication; the maximum of n is n - 1 comparisons, and at least 1; a softmax is a comparison, a subtraction, an
#: exponential, an addition and a division; a normalisation over rows is two additions for mean and variance, a
#: subtraction, a square, a multiplication by the deviation, and scale and offset; batch normalisation is scale and
#: offset; a clamp is 1; a sigmoid is exponential, addition, division; its piecewise linear form multiplication,
#: addition and clamp, and one multiplication more for the swish of it; a change of bits is a multiplication and a
#: clamp; bilinear upsampling from n values is n multiplications and n - 1 additions. A multiply-accumulate is 2.
OPERATIONS: Final[Mapping[str, Callable[[Layers], FloatArray]]] = {
    **dict.fromkeys(("conv", "conv_transpose", "linear", "matmul"), _products),
    "add": lambda layers: (layers["operands"] - 1) * _outputs(layers),
    "mul": lambda layers: (layers["operands"] - 1) * _outputs(layers),
    "scale": _a_value(1),
    "avg_pool": lambda layers: _window(layers) * _outputs(layers),
    "max_pool": lambda layers: np.maximum(_window(layers) - 1, 1) * _outputs(layers),
    "softmax": _a_value(5),
    "activation": _a_value(1),
    "sigmoid": _a_value(3),
    "hard_sigmoid": _a_value(3),
    "hard_swish": _a_value(4),
    "batch_norm": _a_value(2),
    "layer_norm": _a_value(7),
    "upsample": lambda layers: np.where(_window(layers) > 1, 2 * _window(layers) - 1, 0) * _outputs(layers),
    "quantize": _a_value(2),
    **dict.fromkeys(("concat", "slice", "permute", "pad"), _none),
}


def operations(layers: Layers) -> FloatArray:
    """(M,) operations of layers; see `OPERATIONS`."""
    total = np.zeros(len(layers))
    for number in np.unique(layers.kinds).tolist():
        mine = layers.kinds == number
        total[mine] = OPERATIONS[KERNEL_KINDS[number]](layers.at(mine))
    return total
