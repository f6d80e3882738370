"""From the layers of a network to the operators of TFLite.

Most kinds of layer are one operator. What takes more:

* a padding that is neither SAME nor VALID: PAD before the window, PADV2 with -128 before a maximum pooling;
* an operand of a concatenation that cannot take over its grid: QUANTIZE before it;
* a range that no activation of TFLite has: MAXIMUM and MINIMUM;
* a permutation: RESHAPE, TRANSPOSE, RESHAPE; hard sigmoid: ADD with RELU6, MUL; batch normalisation: a depthwise
  convolution of one pixel, which has a scale a channel, so that nothing is lost.

TFLite's own arithmetic rounds twice where `hannah_hw.firmware.reference` rounds once, and looks functions of one value
up in tables of its own: results differ by a step now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hannah_hw.firmware.layers import Layer, Network
from hannah_hw.firmware.tflite import moving, weighted, without_weights
from hannah_hw.firmware.tflite.file import TfliteFile
from hannah_hw.firmware.tflite.functions import refused
from hannah_hw.firmware.tflite.graph import Graph
from hannah_hw.firmware.tflite.grids import regridded

#: Kinds whose operand may be a row of features.
_FLAT: Final = ("linear", "softmax")


@dataclass(frozen=True)
class TfliteModel:
    """A network as a .tflite file.

    Attributes:
        content: Of the file.
        layers: For each of its operators the name of the layer that it is of.
        network: The network on the file's grids.
    """

    content: bytes
    layers: tuple[str, ...]
    network: Network


def to_tflite(network: Network) -> bytes:
    """The content of a .tflite file with int8 inputs and outputs, channels last.

    Args:
        network: The network.

    Raises:
        UnsupportedError: TFLite has no operator for a layer; the message names it and says why.
        MissingExtraError: ``tflite`` is not installed.
    """
    return tflite_model(network).content


def tflite_model(network: Network) -> TfliteModel:
    """A .tflite file, and which layer each of its operators is of; see `to_tflite`."""
    network = regridded(network)
    graph = Graph(network, TfliteFile(network.name))
    for index in network.inputs:
        graph.tensors[index] = graph.file.tensor(
            network.values[index].name, _input_shape(network, index), graph.grid(index)
        )
        graph.file.inputs.append(graph.tensors[index])
    owners: list[str] = []
    for layer in network.layers:
        if layer.kind not in _KINDS:
            raise refused(layer, "nothing there computes it in int8")
        _KINDS[layer.kind](graph, layer)
        owners += [layer.name] * (len(graph.file.operators) - len(owners))
    graph.file.outputs += [graph.tensors[index] for index in network.outputs]
    return TfliteModel(graph.file.serialise(), tuple(owners), network)


def _input_shape(network: Network, index: int) -> tuple[int, ...]:
    """(1, height, width, channels), or (1, features) where only fully connected layers read it."""
    value = network.values[index]
    kinds = {layer.kind for layer in network.layers if index in layer.inputs}
    flat = bool(kinds) and kinds <= set(_FLAT) and value.size == value.shape[2]
    return (1, value.size) if flat else (1, *value.shape)


_KINDS: Final[Mapping[str, Callable[[Graph, Layer], None]]] = {
    "conv": weighted.convolution,
    "conv_transpose": weighted.transposed,
    "linear": weighted.linear,
    "batch_norm": weighted.batch_norm,
    "add": without_weights.addition,
    "mul": without_weights.product,
    "avg_pool": without_weights.average,
    "max_pool": without_weights.largest,
    "softmax": without_weights.softmax,
    "activation": without_weights.clamp,
    "scale": without_weights.scale,
    "sigmoid": without_weights.sigmoid,
    "hard_sigmoid": without_weights.hard_sigmoid,
    "hard_swish": without_weights.hard_swish,
    "concat": moving.concatenation,
    "slice": moving.part,
    "pad": moving.padding,
    "permute": moving.permutation,
    "upsample": moving.repetition,
}
