"""Ranges that integer kernels can write: no finer than what they compute.

The sums of a layer with weights are whole multiples of ``scale_in * scale_weight``. A result with finer steps holds
nothing more, and kernels scale their sums by a factor below one half (see `hannah_hw.firmware.layers`). Such ranges
come from layers whose values vanish, as behind weights that are not trained.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hannah_hw.lowering.nodes import array_of
from hannah_hw.lowering.ranges import Ranges

#: Operators with weights.
_WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_CLAMPS: Final = frozenset({"Clip", "Relu"})

#: Steps of a sum that a step of the result is at least; a little above two, for scales are rounded to float32.
_LEAST_STEPS: Final = 2.01


def widened(graph: Any, ranges: Ranges) -> Ranges:
    """The ranges, where they are too narrow with a larger upper end.

    Args:
        graph: An `onnx.GraphProto` in floating point.
        ranges: Value name -> smallest and largest value.
    """
    result = dict(ranges)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    clamps = {node.input[0]: node for node in graph.node if node.op_type in _CLAMPS}
    for node in graph.node:
        if node.op_type not in _WEIGHTED or node.input[0] not in result or node.input[1] not in weights:
            continue
        weight = array_of(weights[node.input[1]])
        if not weight.size:
            continue
        low, high = (float(limit) for limit in result[node.input[0]])
        step = (max(high, 0.0) - min(low, 0.0)) / 255.0 * float(np.abs(weight).max()) / 127.0
        names = [node.output[0]]
        if node.output[0] in clamps:
            names.append(clamps[node.output[0]].output[0])
        for name in names:
            if name not in result:
                continue
            low, high = (float(limit) for limit in result[name])
            least = min(low, 0.0) + 255.0 * _LEAST_STEPS * step
            if max(high, 0.0) < least:
                result[name] = (result[name][0], np.float32(least))
    return result
