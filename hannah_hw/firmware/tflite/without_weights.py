"""Sums, products, poolings, softmax and functions of one value as operators."""

from __future__ import annotations

from typing import Final

from hannah_hw.firmware.layers import Layer
from hannah_hw.firmware.tflite.file import Quantisation
from hannah_hw.firmware.tflite.functions import Function, factor_of, function_of, refused, relu6
from hannah_hw.firmware.tflite.graph import Graph
from hannah_hw.firmware.tflite.grids import is_global
from hannah_hw.firmware.tflite.weighted import padded
from hannah_hw.firmware.tflite.windows import padding_of

#: The grid of numbers from 0 to 6.
_SIX: Final = Quantisation((6.0 / 255.0,), -128)
#: The activation ``relu6`` in the schema.
_RELU6: Final = 3


def addition(graph: Graph, layer: Layer) -> None:
    """ADD."""
    operands = [graph.read(index) for index in layer.inputs]
    graph.write(layer, "ADD", 2, operands, "AddOptions", fuses=True)


def product(graph: Graph, layer: Layer) -> None:
    """MUL, of the same shape or with one value a channel."""
    operands = [graph.read(index) for index in layer.inputs]
    if graph.value(layer.inputs[1]).size != graph.value(layer.inputs[0]).size:
        operands[1] = graph.read(layer.inputs[1], (1, 1, 1, graph.value(layer.inputs[1]).size))
    graph.write(layer, "MUL", 2, operands, "MulOptions", fuses=True)


def average(graph: Graph, layer: Layer) -> None:
    """AVERAGE_POOL_2D, or MEAN of everything."""
    if is_global(layer):
        axes = graph.integers(f"{layer.name}/axes", [1, 2])
        operands = [graph.read(layer.inputs[0]), axes]
        graph.write(layer, "MEAN", 2, operands, "ReducerOptions", {"KeepDims": True})
        return
    if padding_of(layer.columns).explicit:
        raise refused(layer, "its padding is neither SAME nor VALID, and values of a PAD would count")
    _check_dilation(layer)
    _pool(graph, layer, "AVERAGE_POOL_2D")


def largest(graph: Graph, layer: Layer) -> None:
    """MAX_POOL_2D."""
    _check_dilation(layer)
    _pool(graph, layer, "MAX_POOL_2D")


def _pool(graph: Graph, layer: Layer, code: str) -> None:
    c = layer.columns
    data, mode = padded(graph, layer)
    fields = {
        "Padding": mode,
        "StrideW": c["stride_w"],
        "StrideH": c["stride_h"],
        "FilterWidth": c["kernel_w"],
        "FilterHeight": c["kernel_h"],
    }
    graph.write(layer, code, 2, [data], "Pool2DOptions", fields, fuses=True)


def _check_dilation(layer: Layer) -> None:
    if max(layer.columns["dilation_h"], layer.columns["dilation_w"]) > 1:
        raise refused(layer, "a pooling has no dilation there")


def softmax(graph: Graph, layer: Layer) -> None:
    """SOFTMAX over rows."""
    rows, classes = layer.columns["in_w"], layer.columns["in_channels"]
    tensor = graph.tensors[layer.inputs[0]]
    shape = graph.file.tensors[tensor].shape
    if shape[-1] != classes:
        shape = (rows, classes)
    data = graph.viewed(tensor, shape)
    graph.write(layer, "SOFTMAX", 2, [data], "SoftmaxOptions", {"Beta": 1.0}, shape=shape)


def clamp(graph: Graph, layer: Layer) -> None:
    """RELU or RELU6 that stands by itself."""
    function = _function(graph, layer)
    graph.write(layer, "RELU6" if function is relu6 else "RELU", 2, [graph.read(layer.inputs[0])])


def sigmoid(graph: Graph, layer: Layer) -> None:
    """LOGISTIC."""
    _function(graph, layer)
    graph.write(layer, "LOGISTIC", 2, [graph.read(layer.inputs[0])])


def hard_swish(graph: Graph, layer: Layer) -> None:
    """HARD_SWISH."""
    _function(graph, layer)
    graph.write(layer, "HARD_SWISH", 1, [graph.read(layer.inputs[0])], "HardSwishOptions")


def hard_sigmoid(graph: Graph, layer: Layer) -> None:
    """``relu6(x + 3) / 6`` as ADD with RELU6 and MUL, which is how converters write it."""
    _function(graph, layer)
    shape = (1, *graph.value(layer.output).shape)
    operands = [graph.read(layer.inputs[0]), graph.number(f"{layer.name}/three", 3.0)]
    six = graph.between(f"{layer.name}/of_six", shape, _SIX)
    graph.file.call("ADD", 2, operands, six, "AddOptions", FusedActivationFunction=_RELU6)
    sixth = graph.number(f"{layer.name}/sixth", 1.0 / 6.0)
    graph.write(layer, "MUL", 2, [six, sixth], "MulOptions")


def scale(graph: Graph, layer: Layer) -> None:
    """MUL with a number."""
    factor = factor_of(layer, graph.value(layer.inputs[0]), graph.value(layer.output))
    operands = [graph.read(layer.inputs[0]), graph.number(f"{layer.name}/factor", factor)]
    graph.write(layer, "MUL", 2, operands, "MulOptions")


def _function(graph: Graph, layer: Layer) -> Function:
    return function_of(layer, graph.value(layer.inputs[0]), graph.value(layer.output))
