"""The Workload of an integer network."""

from __future__ import annotations

import numpy as np

from hannah_hw.firmware.layers import Network
from hannah_hw.workload import KERNEL_COLUMNS, Buffers, Kernels, Workload


def workload_of(network: Network) -> Workload:
    """The table that cost models and the memory planner read: that of ``read_onnx(source).deployed()``.

    Args:
        network: The network.

    Returns:
        A population of one.
    """
    layers, values = network.layers, network.values
    first = np.zeros((1, len(values)), np.int64)
    reads = np.zeros((len(layers), len(values)), np.bool_)
    kinds = ["input"] * len(values)
    for index, layer in enumerate(layers):
        first[0, layer.output] = index
        kinds[layer.output] = "activation"
        reads[index, list(layer.inputs)] = True
    last, output = first.copy(), np.zeros((1, len(values)), np.bool_)
    for index, layer in enumerate(layers):
        last[0, list(layer.inputs)] = index
    output[0, list(network.outputs)] = True
    last[output] = max(len(layers) - 1, 0)
    return Workload(
        Kernels(
            tuple(layer.name for layer in layers),
            tuple(layer.kind for layer in layers),
            np.ones((1, len(layers)), np.bool_),
            {
                name: np.array([[layer.columns[name] for layer in layers]], np.int64)
                for name in KERNEL_COLUMNS
            },
        ),
        Buffers(
            tuple(value.name for value in values),
            tuple(kinds),
            np.array([[value.size for value in values]], np.int64),
            first,
            last,
            output,
        ),
        reads,
        np.ones(1, np.bool_),
    )
