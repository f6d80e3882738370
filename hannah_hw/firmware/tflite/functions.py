"""Which function a layer looks up in its table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware.arithmetic import to_real
from hannah_hw.firmware.layers import Layer, Value
from hannah_hw.firmware.network.kinds import CURVES, table_of

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


def refused(layer: Layer, reason: str) -> UnsupportedError:
    """The error that TFLite has no operator for a layer."""
    return UnsupportedError(f"{layer.name!r} (kind {layer.kind}) cannot be written as TFLite: {reason}")


def relu(x: Floats) -> Floats:
    """``max(x, 0)``."""
    return np.maximum(x, 0.0)


def relu6(x: Floats) -> Floats:
    """``min(max(x, 0), 6)``."""
    return np.clip(x, 0.0, 6.0)


def function_of(layer: Layer, source: Value, result: Value) -> Function:
    """The function of one value that a layer computes.

    Args:
        layer: A layer with a table.
        source: What it reads.
        result: What it writes.

    Raises:
        UnsupportedError: The table is none of a function that TFLite has.
    """
    if layer.kind == "scale":
        factor = factor_of(layer, source, result)
        return lambda x: factor * x
    for function in (CURVES[layer.kind],) if layer.kind in CURVES else (relu, relu6):
        if _off(layer, source, result, function) == 0:
            return function
    raise refused(layer, "its table is not that of the function it is named after, nor of a ReLU")


def factor_of(layer: Layer, source: Value, result: Value) -> float:
    """The number that a ``scale`` layer multiplies with: the one nearest to its table.

    Raises:
        UnsupportedError: The table is not that of a product with a number.
    """
    table = table_array(layer)
    x = to_real(np.arange(-128, 128), source.scale, source.zero_point).astype(np.float64)
    y = to_real(table, result.scale, result.zero_point).astype(np.float64)
    # Where the table saturates it does not tell.
    inside = (table > -128) & (table < 127) & (x != 0)
    if not inside.any():
        raise refused(layer, "its result takes too few values to tell the factor")
    factor = float((x * y)[inside].sum() / (x * x)[inside].sum())
    if _off(layer, source, result, lambda values: factor * values) > 1:
        raise refused(layer, "its table is not that of a product with a number")
    return factor


def table_array(layer: Layer) -> NDArray[np.int64]:
    """(256,) the table of a layer.

    Raises:
        UnsupportedError: It has none.
    """
    if layer.table is None:
        raise refused(layer, "it has no table")
    return layer.table.astype(np.int64)


def _off(layer: Layer, source: Value, result: Value, function: Function) -> int:
    """How many steps a layer's table is off a function's, at most."""
    wanted = table_of(source, result, function).astype(np.int64)
    return int(np.abs(wanted - table_array(layer)).max())
