"""Layers that only move values as operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from hannah_hw.firmware.layers import Layer
from hannah_hw.firmware.tflite.functions import refused
from hannah_hw.firmware.tflite.graph import Graph
from hannah_hw.firmware.tflite.weighted import cut


def concatenation(graph: Graph, layer: Layer) -> None:
    """CONCATENATION, whose operands have the grid of its result."""
    grid = graph.grid(layer.output)
    operands = [
        graph.requantised(graph.read(index), grid, f"{layer.name}/operand_{number}")
        for number, index in enumerate(layer.inputs)
    ]
    fields = {"Axis": 1 + int(layer.options["axis"])}  # type: ignore[arg-type]
    graph.write(layer, "CONCATENATION", 2, operands, "ConcatenationOptions", fields)


def part(graph: Graph, layer: Layer) -> None:
    """SLICE along one axis."""
    begins = [0, 0, 0, 0]
    begins[1 + int(layer.options["axis"])] = int(layer.options["begin"])  # type: ignore[arg-type]
    cut(graph, layer, graph.read(layer.inputs[0]), tuple(begins))


def padding(graph: Graph, layer: Layer) -> None:
    """PAD, with the zero point."""
    c = layer.columns
    pads = [(0, 0), (c["pad_top"], c["pad_bottom"]), (c["pad_left"], c["pad_right"]), (0, 0)]
    operands = [graph.read(layer.inputs[0]), graph.integers(f"{layer.name}/pads", pads)]
    graph.write(layer, "PAD", 2, operands, "PadOptions")


def permutation(graph: Graph, layer: Layer) -> None:
    """TRANSPOSE of the operand's memory seen as one axis for each loop of the permutation."""
    sizes, steps = (tuple(_numbers(layer.options[name])) for name in ("sizes", "steps"))
    outermost = sorted(range(len(sizes)), key=lambda loop: -steps[loop])
    shape = tuple(sizes[loop] for loop in outermost)
    wanted = [int(np.prod(shape[place + 1 :])) for place in range(len(shape))]
    if [steps[loop] for loop in outermost] != wanted:
        raise refused(layer, f"its loops of {sizes} with steps of {steps} are no transposition")
    order = [0, *(1 + outermost.index(loop) for loop in range(len(sizes)))]
    data = graph.read(layer.inputs[0], (1, *shape))
    operands = [data, graph.integers(f"{layer.name}/order", order)]
    graph.write(layer, "TRANSPOSE", 2, operands, "TransposeOptions", shape=(1, *sizes))


def repetition(graph: Graph, layer: Layer) -> None:
    """RESIZE_NEAREST_NEIGHBOR by whole factors."""
    size = [layer.columns["out_h"], layer.columns["out_w"]]
    operands = [graph.read(layer.inputs[0]), graph.integers(f"{layer.name}/size", size)]
    graph.write(layer, "RESIZE_NEAREST_NEIGHBOR", 2, operands, "ResizeNearestNeighborOptions")


def _numbers(value: Any) -> list[int]:
    return [int(number) for number in value]
