"""Quantisation of data: values rounded to a uniform grid of few bits, while training and when deployed.

The grid of b bits has one scale for the whole value, from the largest magnitude that training saw:
``scale = running_max / high`` and ``y = clip(round(x / scale), low, high) * scale`` with ``low, high`` of
`hannah_hw.graph.bits.grid`; halves are rounded to even. This is uniform symmetric quantisation as in Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (CVPR 2018), with its
moving average of the range; the gradient passes straight through inside the range and is 0 outside of it
(Bengio et al., arXiv 1308.3432).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Scalar
from hannah_hw.graph import Node, Op, Tensor
from hannah_hw.graph.bits import (
    FLOAT_BITS,
    LEAST_SCALE,
    MOST_BITS,
    bits_condition,
    check_bits,
    grid,
    is_width,
)
from hannah_hw.graph.numbers import real, required
from hannah_hw.operators.dimensions import elementwise_columns, vector_requirements
from hannah_hw.workload.rows import Row

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor

    from hannah_hw.graph.protocols import OnnxEmitter, OnnxNode

#: Domain and names of the ONNX functions that say with how many bits a value is kept; `hannah_hw.lowering`
#: defines them by standard operators.
DOMAIN: Final = "hannah_hw"
FAKE_QUANTISE: Final = f"{DOMAIN}.FakeQuantize"
UNQUANTISED: Final = f"{DOMAIN}.Unquantized"


class Quantize(Op):
    """Operands: data, and the largest magnitude that training saw of it, (1,); `hannah_hw.blocks.quantize` makes it.

    The value behind it is kept with ``bits`` bits: as the output stage of the kernel before it where nothing else
    reads the value between, else by a kernel of its own. With 32 bits it is not quantised: it passes on its
    operand, which is kept as floating point, also in a network that is 8 bits wide otherwise.

    Args:
        bits: 2 to 16 with a sign, 1 to 16 without; or 32.
        signed: Whether the grid has negative values. One without suits values that are never negative.
        momentum: Weight of a batch in the running maximum while training.
    """

    inputs = 1
    arity = (2, 2)
    takes = "data and a running maximum, a Tensor of shape (1,); use hannah_hw.blocks.quantize"
    onnx_types: ClassVar[tuple[str, ...]] = (FAKE_QUANTISE, UNQUANTISED)

    def __init__(self, bits: Scalar = 8, signed: bool = True, momentum: float = 0.1) -> None:
        super().__init__()
        if not isinstance(signed, bool):
            raise SpaceError(f"signed of {type(self).__name__} is {signed!r}; it must be True or False")
        self.bits: Any = bits
        self.signed = signed
        self.momentum: Any = real(momentum, f"the momentum of {type(self).__name__}", 0.0)
        check_bits(bits, type(self).__name__ + (" with a sign" if signed else ""), self._least)

    @property
    def _least(self) -> int:
        return 2 if self.signed else 1

    def requirements(self) -> list[tuple[Scalar, str]]:
        """There is such a grid, with one range."""
        condition = bits_condition(self.bits, self._least)
        widths = required([condition], lambda: f"{self.bits} is no bit width")
        return [*widths, *vector_requirements(self.operands[1:], 1)]

    def _forward_implementation(self, *args: TorchTensor) -> TorchTensor:
        data, running_max = args
        if self.bits == FLOAT_BITS:
            return data
        if self._training:
            peak = data.detach().abs().amax()
            running_max.mul_(1.0 - self.momentum).add_(peak, alpha=self.momentum)
        low, high = grid(int(self.bits), self.signed)
        scale = (running_max / high).clamp_min(LEAST_SCALE)
        inside = data.clamp(low * scale, high * scale)
        values = (data.detach() / scale).round().clamp(low, high) * scale
        # The difference is exactly 0 and carries the gradient.
        return values + (inside - inside.detach())

    def row(self) -> Row:
        """The output stage of its producer where that can be, else a ``quantize`` kernel."""
        columns = elementwise_columns(self.operands[0].shape())
        return Row("quantize", "quantize", columns, bits=self.bits)

    def to_onnx(self, emitter: OnnxEmitter, inputs: list[str]) -> str:
        """The function ``hannah_hw.FakeQuantize``, or ``hannah_hw.Unquantized`` with 32 bits."""
        data, running_max = inputs
        if self.bits == FLOAT_BITS:
            return emitter.node(UNQUANTISED, [data], bits=FLOAT_BITS)
        low, high = grid(int(self.bits), self.signed)
        scale = np.maximum(emitter.weight(running_max)[0] / np.float32(high), np.float32(LEAST_SCALE))
        constants = {"scale": scale, "low": low, "high": high}
        names = [emitter.constant(name, np.array(value, np.float32)) for name, value in constants.items()]
        return emitter.node(FAKE_QUANTISE, [data, *names], bits=int(self.bits))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Node:
        """Read either function on data."""
        bits, signed = kept_bits(node)
        scale = node.values(1)
        if scale is not None and scale.size != 1:
            raise ModelError(f"data has one scale, not {scale.size}")
        result: Node = cls(bits, signed)(node.operands[0], Tensor("running_max", (1,)))
        return result


class Requantize(Quantize):
    """The same for a value whose parts are on a grid, such as a sum or a maximum of quantised values.

    A kernel that computes with values of few bits writes the network's usual width unless it says otherwise.
    """

    onnx_types = ()


def kept_bits(node: OnnxNode) -> tuple[int, bool]:
    """With how many bits one of the ONNX functions keeps a value, and whether with a sign.

    The attribute only says so; what the function computes is the grid.

    Args:
        node: A node of the function.

    Raises:
        ModelError: It does not say how many bits, or its grid is another or is computed.
    """
    bits: Any = node.attributes.get("bits")
    if not is_width(bits):
        raise ModelError(f"it says that it has {bits!r} bits; allowed are 1 to {MOST_BITS}, and {FLOAT_BITS}")
    if (bits == FLOAT_BITS) != (node.type == UNQUANTISED):
        raise ModelError(f"{node.type} does not keep {bits} bits")
    if bits == FLOAT_BITS:
        return bits, True
    scale, *limits = (node.values(position) for position in (1, 2, 3))
    if scale is None or not (np.isfinite(scale) & (scale > 0)).all():
        raise ModelError("its scale is computed, or is no positive number")
    found = tuple(float(limit.item()) if limit is not None and limit.size == 1 else None for limit in limits)
    values = node.values(0)
    if bits == 1 and values is not None and not np.rint(values / scale).all():
        raise ModelError("a value of 1 bit is a scale or its negative, but there are zeros")
    for signed in (True, False):
        if found == grid(bits, signed):
            return bits, signed
    raise ModelError(f"a grid from {found[0]} to {found[1]} is not that of {bits} bits")
