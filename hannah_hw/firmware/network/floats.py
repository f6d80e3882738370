"""Between real values in ONNX's order, channels first, and the int8 values that a network reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.firmware.arithmetic import to_real, to_steps
from hannah_hw.firmware.layers import Network


def quantise_input(network: Network, *inputs: Any) -> list[NDArray[np.int8]]:
    """What the network reads.

    Args:
        network: The network.
        inputs: For each graph input its real values, (1, C, H, W), (1, C, L) or (1, C); the batch may be left out.

    Returns:
        For each input (height, width, channels) int8.

    Raises:
        DataError: Not one array an input, or another number of values.
    """
    if len(inputs) != len(network.inputs):
        raise DataError(f"the network has {len(network.inputs)} inputs; {len(inputs)} were given")
    result = []
    for index, values in zip(network.inputs, inputs, strict=True):
        value, array = network.values[index], np.asarray(values, np.float32)
        height, width, channels = value.shape
        if array.size != value.size:
            raise DataError(
                f"the input {value.name!r} has {channels} x {height} x {width} values (channels, height, width), "
                f"not {array.shape}"
            )
        last = np.moveaxis(array.reshape(channels, height, width), 0, -1)
        result.append(to_steps(np.ascontiguousarray(last), value.scale, value.zero_point))
    return result


def dequantise(network: Network, outputs: Sequence[NDArray[np.int8]]) -> list[NDArray[np.float32]]:
    """What the network writes, as real values.

    Args:
        network: The network.
        outputs: For each graph output (height, width, channels) int8.

    Returns:
        For each output (1, C, H, W) float32; in ONNX's order, so that a reshape gives the file's shape.
    """
    return [
        np.ascontiguousarray(np.moveaxis(to_real(array, value.scale, value.zero_point), -1, 0))[None]
        for value, array in ((network.values[i], o) for i, o in zip(network.outputs, outputs, strict=True))
    ]
