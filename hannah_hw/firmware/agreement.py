"""How far the integer reference is from ONNX Runtime's integer kernels, layer by layer.

Every layer gets the operands that ONNX Runtime computed, so that differences do not add up from layer to layer.
ONNX Runtime multiplies accumulators by float32 factors and rounds halves to even, where the reference multiplies by
whole numbers and rounds halves up: results differ by at most one step, and rarely.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware import reference
from hannah_hw.firmware.arithmetic import Rounding, to_steps
from hannah_hw.firmware.layers import Network, Value
from hannah_hw.firmware.network.reading import read_network
from hannah_hw.graph import Op
from hannah_hw.lowering.reader import OnnxModel, read_onnx

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession


@dataclass(frozen=True)
class Agreement:
    """One layer of a network.

    Attributes:
        name: Of the layer.
        kind: Its kind.
        values: How many results were compared.
        different: How many of them differ.
        largest: The largest difference, in steps.
    """

    name: str
    kind: str
    values: int
    different: int
    largest: int


def integer_session(model: ModelProto | str | os.PathLike[str]) -> InferenceSession:
    """A session of ONNX Runtime on one thread that computes signed int8 models on integer kernels, on x86 too."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    source: Any = os.fspath(model) if isinstance(model, str | os.PathLike) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def agreement(
    source: str | os.PathLike[str] | ModelProto,
    inputs: Iterable[NDArray[np.float32]],
    *,
    rounding: Rounding = "q32",
) -> list[Agreement]:
    """Compare the layers of an int8 ONNX model with ONNX Runtime.

    Args:
        source: The model, with one input.
        inputs: Inputs of the model's shape, one after the other.
        rounding: See `Network.rounding`.

    Raises:
        ModelError: See `read_network`.
        UnsupportedError: See `read_network`.
    """
    import onnx

    model = onnx.load(Path(source)) if isinstance(source, str | os.PathLike) else source
    network = replace(read_network(model), rounding=rounding)
    names = stored_names(read_onnx(model), network)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    wanted = list(dict.fromkeys(names.values()))
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    session = integer_session(probe)
    (feed,) = (value.name for value in session.get_inputs())
    counts = np.zeros((len(network.layers), 3), np.int64)
    for array in inputs:
        computed = dict(zip(wanted, session.run(wanted, {feed: array}), strict=True))
        values = [in_memory(computed[names[value.name]], value) for value in network.values]
        for index, layer in enumerate(network.layers):
            ours = reference.run_layer(network, layer, [values[i] for i in layer.inputs])
            gap = np.abs(ours.astype(np.int64) - values[layer.output])
            counts[index] += gap.size, np.count_nonzero(gap), 0
            counts[index, 2] = max(counts[index, 2], gap.max())
    return [
        Agreement(layer.name, layer.kind, *(int(count) for count in row))
        for layer, row in zip(network.layers, counts, strict=True)
    ]


def stored_names(model: OnnxModel, network: Network) -> dict[str, str]:
    """Name of each value of a network -> name of the tensor of the file that holds it, int8 where there is one."""
    owners: dict[int, str] = {}
    kept = {value.name for value in network.values}
    for node in model.order:
        if node.id in kept:
            owners[id(node)] = node.id
        elif isinstance(node, Op):
            owners[id(node)] = owners[id(node.data_operands()[0])]
    result: dict[str, str] = {}
    for name, node in model.values.items():
        result.setdefault(owners[id(node)], name)
    for pair in model.model.graph.node:
        # The last quantise node is that of what the kernel writes, or of a view of it.
        if pair.op_type == "QuantizeLinear" and pair.input[0] in model.values:
            result[owners[id(model.values[pair.input[0]])]] = pair.output[0]
    return result


def in_memory(array: NDArray[Any], value: Value) -> NDArray[np.int8]:
    """A tensor of ONNX, int8, uint8 or real, as a network stores it: (height, width, channels) int8."""
    height, width, channels = value.shape
    last = np.moveaxis(array.reshape(channels, height, width), 0, -1)
    if array.dtype == np.uint8:
        return (last.astype(np.int16) - 128).astype(np.int8)
    if array.dtype == np.int8:
        return np.ascontiguousarray(last)
    return to_steps(last, value.scale, value.zero_point)
