"""Layers with weights as operators: convolutions of all sorts, fully connected layers, batch normalisation."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.firmware.layers import Layer
from hannah_hw.firmware.tflite.file import Quantisation
from hannah_hw.firmware.tflite.functions import refused
from hannah_hw.firmware.tflite.graph import Graph, constants
from hannah_hw.firmware.tflite.grids import affine_offsets
from hannah_hw.firmware.tflite.windows import VALID, padding_of, transposed_of

#: Weights of a batch normalisation: all its precision is in the scales of its channels.
_LARGEST: Final = 127
#: Its largest bias, which leaves room in int32 for the products that it is added to.
_LARGEST_BIAS: Final = 1 << 30


def convolution(graph: Graph, layer: Layer) -> None:
    """CONV_2D, or DEPTHWISE_CONV_2D where each group has one input channel."""
    c = layer.columns
    data, padding = padded(graph, layer)
    weights = constants(layer.weights)
    fields = {
        "Padding": padding,
        "StrideW": c["stride_w"],
        "StrideH": c["stride_h"],
        "DilationWFactor": c["dilation_w"],
        "DilationHFactor": c["dilation_h"],
    }
    if c["groups"] > 1 and c["groups"] == c["in_channels"]:
        parameters = _parameters(graph, layer, np.moveaxis(weights[..., 0], 0, -1)[None], axis=3)
        fields["DepthMultiplier"] = c["out_channels"] // c["in_channels"]
        options, version = "DepthwiseConv2DOptions", 3
        graph.write(layer, "DEPTHWISE_CONV_2D", version, [data, *parameters], options, fields, fuses=True)
        return
    version = 3 if c["groups"] == 1 else 6
    operands = [data, *_parameters(graph, layer, weights)]
    graph.write(layer, "CONV_2D", version, operands, "Conv2DOptions", fields, fuses=True)


def padded(graph: Graph, layer: Layer) -> tuple[int, int]:
    """The operand of a window, padded by an operator where neither SAME nor VALID is its padding.

    Returns:
        The tensor, and the mode of the window's own padding.
    """
    index = layer.inputs[0]
    padding, data = padding_of(layer.columns), graph.read(index)
    if not padding.explicit:
        return data, padding.mode
    height, width, channels = graph.value(index).shape
    shape = (1, height + sum(padding.rows), width + sum(padding.columns), channels)
    pads = graph.integers(f"{layer.name}/pads", [(0, 0), padding.rows, padding.columns, (0, 0)])
    result = graph.between(f"{layer.name}/padded", shape, graph.grid(index))
    if layer.kind != "max_pool":
        return graph.file.call("PAD", 2, [data, pads], result, "PadOptions"), VALID
    lowest = graph.file.tensor(f"{layer.name}/lowest", (1,), graph.grid(index), np.full(1, -128, np.int8))
    return graph.file.call("PADV2", 2, [data, pads, lowest], result, "PadV2Options"), VALID


def transposed(graph: Graph, layer: Layer) -> None:
    """TRANSPOSE_CONV, and a cut where its padding is not TFLite's."""
    c = layer.columns
    if c["groups"] > 1:
        raise refused(layer, f"a transposed convolution has one group there, and this has {c['groups']}")
    if max(c["dilation_h"] * (c["kernel_h"] > 1), c["dilation_w"] * (c["kernel_w"] > 1)) > 1:
        raise refused(layer, "a transposed convolution has no dilation there")
    weights, how = constants(layer.weights), transposed_of(c)
    shape = (1, *how.sizes, c["out_channels"])
    operands = [graph.integers(f"{layer.name}/shape", shape)]
    parameters = _parameters(graph, layer, weights)
    operands += [parameters[0], graph.read(layer.inputs[0]), parameters[1]]
    options = "TransposeConvOptions"
    fields = {"Padding": how.mode, "StrideW": c["stride_w"], "StrideH": c["stride_h"]}
    if how.begins is None:
        graph.write(layer, "TRANSPOSE_CONV", 3, operands, options, fields)
        return
    whole = graph.between(f"{layer.name}/whole", shape, graph.grid(layer.output))
    graph.file.call("TRANSPOSE_CONV", 3, operands, whole, options, **fields)
    cut(graph, layer, whole, (0, *how.begins, 0))


def cut(graph: Graph, layer: Layer, data: int, begins: tuple[int, ...]) -> None:
    """SLICE of a layer's result out of a tensor."""
    sizes = (1, *graph.value(layer.output).shape)
    bounds = [
        graph.integers(f"{layer.name}/{name}", part) for name, part in (("begin", begins), ("size", sizes))
    ]
    graph.write(layer, "SLICE", 2, [data, *bounds], "SliceOptions")


def linear(graph: Graph, layer: Layer) -> None:
    """FULLY_CONNECTED on a row of features."""
    weights = constants(layer.weights)
    outputs = len(weights)
    data = graph.read(layer.inputs[0], (1, graph.value(layer.inputs[0]).size))
    parameters = _parameters(graph, layer, weights.reshape(outputs, -1))
    grid = graph.file.tensors[parameters[0]].quantisation
    version = 12 if grid is not None and len(grid.scales) > 1 else 4
    options, shape = "FullyConnectedOptions", (1, outputs)
    graph.write(layer, "FULLY_CONNECTED", version, [data, *parameters], options, shape=shape, fuses=True)


def batch_norm(graph: Graph, layer: Layer) -> None:
    """DEPTHWISE_CONV_2D of one pixel: a factor and an offset a channel, with a scale of its own for each factor.

    A factor that is tiny beside its offset, as of a channel that was pruned, has the scale of the offset.
    """
    offsets = affine_offsets(graph.network, layer)
    ratios = np.where(layer.scales == 0, 1.0, np.abs(layer.scales)) / _LARGEST
    ratios = np.maximum(ratios, np.abs(offsets) / _LARGEST_BIAS)
    weights = np.rint(layer.scales / ratios).astype(np.int8)[None, None, None]
    bias = np.rint(offsets / ratios).astype(np.int32)
    operands = [graph.read(layer.inputs[0]), *_tensors(graph, layer, weights, 3, ratios, bias)]
    fields = {
        "Padding": VALID,
        "DepthMultiplier": 1,
        "StrideW": 1,
        "StrideH": 1,
        "DilationWFactor": 1,
        "DilationHFactor": 1,
    }
    graph.write(layer, "DEPTHWISE_CONV_2D", 3, operands, "DepthwiseConv2DOptions", fields, fuses=True)


def _parameters(graph: Graph, layer: Layer, weights: NDArray[Any], axis: int = 0) -> list[int]:
    return _tensors(graph, layer, weights, axis, layer.scales, constants(layer.bias))


def _tensors(
    graph: Graph,
    layer: Layer,
    weights: NDArray[Any],
    axis: int,
    ratios: NDArray[np.float64],
    bias: NDArray[np.int32],
) -> list[int]:
    """Weights and bias.

    Args:
        graph: The graph.
        layer: The layer.
        weights: As the operator has them.
        axis: Of them that runs over the output channels.
        ratios: (out_channels,) scale of a product of steps by that of the result.
        bias: (out_channels,) in products of steps.
    """
    operand, result = graph.value(layer.inputs[0]).scale, graph.value(layer.output).scale
    scales = np.asarray(ratios * result / operand, np.float32).astype(np.float64)
    if (scales == scales[0]).all():
        scales = scales[:1]
    grid = Quantisation(tuple(scales.tolist()), 0, axis if len(scales) > 1 else 0)
    sums = Quantisation(tuple((scales * operand).tolist()), 0)
    return [
        graph.file.tensor(f"{layer.name}/weights", weights.shape, grid, weights),
        graph.file.tensor(f"{layer.name}/bias", bias.shape, sums, bias),
    ]
