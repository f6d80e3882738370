"""Bit widths in ONNX: functions of standard operators that say with how many bits a value is kept.

``hannah_hw.FakeQuantize(x, scale, low, high)`` with the attribute ``bits`` rounds a value to a grid, so that any
runtime computes what the network with few bits computes, and a reader knows the bits. For a weight, ``x`` is the
initialiser, which is on the grid already: the whole multiples are ``x / scale``. ``hannah_hw.Unquantized(x)`` passes
on a value that is kept as floating point in a network that is quantised otherwise.

A batch normalisation folds into a quantised weight exactly: the grid is symmetric, with a scale an output channel,
so the factor of a channel changes its scale, and its sign the signs of the multiples.

A runtime computes every step as torch does, rounding included. But sums in another order differ in their last bit,
and where such a sum lies halfway between two multiples that is a whole step of the grid: the results of deep
networks of few bits may differ by more than the rounding of float32, on any two machines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.graph.bits import FLOAT_BITS, LEAST_SCALE, grid
from hannah_hw.operators.quantise import DOMAIN, FAKE_QUANTISE, UNQUANTISED

if TYPE_CHECKING:
    from onnx import FunctionProto

FloatArray = NDArray[np.float32]

#: Version of the functions' domain.
VERSION = 1


@dataclass(frozen=True)
class QuantisedWeight:
    """A weight on its grid.

    Attributes:
        bits: Bits of a value.
        levels: Whole multiples of the scale; with 32 bits, the values.
        scale: Broadcasts to the levels; with 32 bits, 1 or what was folded into the weight.
    """

    bits: int
    levels: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, weight: FloatArray, bits: int, axis: int | None) -> QuantisedWeight:
        """Round a weight as `hannah_hw.executors.fake_quantise.quantised` does.

        Args:
            weight: Its values, float32.
            bits: Bits of a value.
            axis: The dimension of which each index has a scale of its own; None: one scale for all.
        """
        if bits == FLOAT_BITS:
            return cls(bits, weight, np.ones((1,) * weight.ndim, np.float32))
        others = tuple(dim for dim in range(weight.ndim) if dim != axis)
        sizes = np.abs(weight)
        if bits == 1:
            scale = np.maximum(sizes.mean(others, keepdims=True), np.float32(LEAST_SCALE))
            return cls(bits, np.where(weight < 0, np.float32(-1), np.float32(1)), scale)
        largest = sizes.max(others, keepdims=True)
        scale = np.maximum(largest / np.float32(grid(bits)[1]), np.float32(LEAST_SCALE))
        return cls(bits, np.rint(weight / scale), scale)

    @property
    def values(self) -> FloatArray:
        """The weight itself."""
        result: FloatArray = self.levels * self.scale
        return result

    def scaled(self, multiply: Callable[[NDArray[Any]], NDArray[Any]]) -> QuantisedWeight:
        """The weight whose output channels are multiplied, on a grid of the same width.

        Args:
            multiply: An array of the weight's shape -> the array with its output channels multiplied.
        """
        factors = multiply(np.broadcast_to(self.scale, self.levels.shape).astype(np.float64))
        scale = np.maximum(np.abs(factors), LEAST_SCALE).astype(np.float32)
        for axis in range(scale.ndim):
            first = scale.take([0], axis)
            scale = first if np.array_equal(np.broadcast_to(first, scale.shape), scale) else scale
        # What a factor of 0 leaves is on the grid too: a multiple of the least scale.
        signs = np.where(factors < 0, np.float32(-1), np.float32(1))
        return QuantisedWeight(self.bits, self.levels * signs, scale)

    @property
    def transposed(self) -> QuantisedWeight:
        """A matrix the other way round."""
        return QuantisedWeight(self.bits, np.ascontiguousarray(self.levels.T), self.scale.T)


def functions(names: set[str], opset: int) -> list[FunctionProto]:
    """Definitions of the functions of the domain.

    Args:
        names: Which, with their domain.
        opset: Operator set of the model.
    """
    from onnx import helper

    imports = [helper.make_opsetid("", opset)]
    fake_quantise = [
        helper.make_node("Div", ["x", "scale"], ["multiple"]),
        helper.make_node("Round", ["multiple"], ["whole"]),
        helper.make_node("Clip", ["whole", "low", "high"], ["level"]),
        helper.make_node("Mul", ["level", "scale"], ["y"]),
    ]
    bodies = {
        FAKE_QUANTISE: (["x", "scale", "low", "high"], fake_quantise),
        UNQUANTISED: (["x"], [helper.make_node("Identity", ["x"], ["y"])]),
    }
    return [
        helper.make_function(DOMAIN, name.removeprefix(f"{DOMAIN}."), inputs, ["y"], nodes, imports, ["bits"])
        for name, (inputs, nodes) in bodies.items()
        if name in names
    ]
