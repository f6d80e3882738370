"""Integer networks as .tflite files, for comparison with TFLite Micro (package tflite-micro).

The kinds of the MLPerf Tiny networks: convolution, fully connected, addition, average and maximum pooling, softmax.
A padding that TFLite has no word for becomes SAME, which takes the same memory.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from hannah_hw.errors import UnsupportedError
from hannah_hw.firmware.layers import Layer, Network


def to_tflite(network: Network) -> bytes:
    """The content of a .tflite file.

    Raises:
        UnsupportedError: A kind of layer that is not written.
    """
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as s

    model = s.ModelT(version=3, description=network.name, buffers=[s.BufferT()], operatorCodes=[])
    graph = s.SubGraphT(tensors=[], operators=[], name=network.name)

    def tensor(name: str, shape: Any, kind: int, scales: Any, zero: int, data: Any = None) -> int:
        if data is not None:
            raw = np.ascontiguousarray(data)
            model.buffers.append(s.BufferT(data=np.frombuffer(raw.tobytes(), np.uint8)))
        steps = np.atleast_1d(np.asarray(scales, np.float32))
        quantised = s.QuantizationParametersT(
            scale=steps, zeroPoint=np.full(len(steps), zero, np.int64), quantizedDimension=0
        )
        buffer = len(model.buffers) - 1 if data is not None else 0
        graph.tensors.append(
            s.TensorT(
                name=name,
                shape=np.array(shape, np.int32),
                type=kind,
                buffer=buffer,
                quantization=quantised,
            )
        )
        return len(graph.tensors) - 1

    tensors, grids = {}, _grids(network)
    for index, value in enumerate(network.values):
        flat = all(layer.kind in ("linear", "softmax") for layer in network.layers if index in layer.inputs)
        flat &= all(layer.kind in ("linear", "softmax") for layer in network.layers if layer.output == index)
        shape = (1, value.size) if flat else (1, *value.shape)
        tensors[index] = tensor(value.name, shape, s.TensorType.INT8, *grids[index])

    def operator(code: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        codes = [entry.builtinCode for entry in model.operatorCodes]
        if code not in codes:
            entry = s.OperatorCodeT(
                deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=_VERSIONS.get(code, 1)
            )
            model.operatorCodes.append(entry)
            codes.append(code)
        graph.operators.append(
            s.OperatorT(
                opcodeIndex=codes.index(code),
                inputs=np.array(inputs, np.int32),
                outputs=np.array([output], np.int32),
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def constants(layer: Layer, shape: Any, axis: int) -> list[int]:
        assert layer.weights is not None
        assert layer.bias is not None
        first, result = network.values[layer.inputs[0]], network.values[layer.output]
        steps = layer.scales * result.scale / first.scale
        weights = (
            layer.weights.reshape(shape) if axis == 0 else np.moveaxis(layer.weights[..., 0], 0, -1)[None]
        )
        found = [
            tensor(f"{layer.name}.weight", weights.shape, s.TensorType.INT8, steps, 0, weights),
            tensor(
                f"{layer.name}.bias",
                layer.bias.shape,
                s.TensorType.INT32,
                steps * grids[layer.inputs[0]][0],
                0,
                layer.bias,
            ),
        ]
        graph.tensors[found[0]].quantization.quantizedDimension = axis
        return found

    b, o = s.BuiltinOperator, s.BuiltinOptions
    for layer in network.layers:
        c, operands, result = layer.columns, [tensors[i] for i in layer.inputs], tensors[layer.output]
        if layer.kind == "conv" and c["groups"] == 1:
            options = s.Conv2DOptionsT(**_strides(c), dilationWFactor=1, dilationHFactor=1)
            operands += constants(layer, layer.weights.shape, 0)
            operator(b.CONV_2D, operands, result, o.Conv2DOptions, options)
        elif layer.kind == "conv" and c["groups"] == c["in_channels"] == c["out_channels"]:
            options = s.DepthwiseConv2DOptionsT(
                **_strides(c), depthMultiplier=1, dilationWFactor=1, dilationHFactor=1
            )
            operands += constants(layer, None, 3)
            operator(b.DEPTHWISE_CONV_2D, operands, result, o.DepthwiseConv2DOptions, options)
        elif layer.kind == "linear":
            operands += constants(layer, (c["out_channels"], -1), 0)
            operator(b.FULLY_CONNECTED, operands, result, o.FullyConnectedOptions, s.FullyConnectedOptionsT())
        elif layer.kind == "add":
            operator(b.ADD, operands, result, o.AddOptions, s.AddOptionsT())
        elif layer.kind in ("avg_pool", "max_pool"):
            options = s.Pool2DOptionsT(**_strides(c), filterWidth=c["kernel_w"], filterHeight=c["kernel_h"])
            code = b.AVERAGE_POOL_2D if layer.kind == "avg_pool" else b.MAX_POOL_2D
            operator(code, operands, result, o.Pool2DOptions, options)
        elif layer.kind == "softmax":
            operator(b.SOFTMAX, operands, result, o.SoftmaxOptions, s.SoftmaxOptionsT(beta=1.0))
        else:
            raise UnsupportedError(f"{layer.name!r}: {layer.kind} is not written as .tflite")
    graph.inputs = np.array([tensors[i] for i in network.inputs], np.int32)
    graph.outputs = np.array([tensors[i] for i in network.outputs], np.int32)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _grids(network: Network) -> list[tuple[float, int]]:
    """Scale and zero point of each value, as TFLite wants them: it pools without scaling, and softmax has one grid."""
    grids = [(value.scale, value.zero_point) for value in network.values]
    for layer in network.layers:
        if layer.kind in ("avg_pool", "max_pool"):
            grids[layer.output] = grids[layer.inputs[0]]
        elif layer.kind == "softmax":
            grids[layer.output] = (1 / 256, -128)
    return grids


#: Operator -> version whose int8 form has scales by channel, where that is not the first.
_VERSIONS = {3: 3, 4: 3, 9: 4, 0: 2, 1: 2, 17: 2, 25: 2}


def _strides(columns: Any) -> dict[str, int]:
    """Strides, and SAME (0) or VALID (1) by the size of the result."""
    same = all(columns[f"out_{a}"] == -(-columns[f"in_{a}"] // columns[f"stride_{a}"]) for a in "hw")
    return {"strideW": columns["stride_w"], "strideH": columns["stride_h"], "padding": 0 if same else 1}


def tflm_arena(network: Network) -> tuple[int, int]:
    """Bytes of TFLite Micro's arena: what is planned for values and scratch memory, and what stays for good.

    The first is that of the chip; the second is of this machine, whose pointers have 64 bits.
    """
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(to_tflite(network), arena_size=1 << 22)
    text = _captured(interpreter.print_allocations)
    sizes = {}
    for word in ("head", "tail"):
        line = next(line for line in text.splitlines() if f"Arena allocation {word}" in line)
        sizes[word] = int(line.split(word)[1].split()[0])
    return sizes["head"], sizes["tail"]


def _captured(function: Any) -> str:
    """What a function in C writes to standard output and error."""
    with tempfile.TemporaryFile() as stream:
        kept = [os.dup(number) for number in (1, 2)]
        try:
            for number in (1, 2):
                os.dup2(stream.fileno(), number)
            function()
        finally:
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
        stream.seek(0)
        return stream.read().decode(errors="replace")
