"""Multiply-accumulates of operators that nothing reads."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import hannah_hw
from hannah_hw.lowering.foreign_work import foreign_macs
from hannah_hw.lowering.reader import read_onnx


def model(nodes, inputs, weights, result) -> ModelProto:
    """A model with float inputs, weights by shape, and the shape of its one output."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


CASES = {
    # 2 directions of 5 steps: 4 gates of 16 values, from 8 inputs and 16 hidden ones.
    "LSTM": (
        model(
            [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=16, direction="bidirectional")],
            {"x": (5, 1, 8)},
            {"w": (2, 64, 8), "r": (2, 64, 16)},
            (5, 2, 1, 16),
        ),
        5 * 2 * 64 * (8 + 16),
    ),
    # 6 outputs of 4 x 4 x 4 places, each a sum over 2 channels and 3 x 3 x 3 places.
    "Conv": (
        model(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            {"x": (1, 2, 6, 6, 6)},
            {"w": (6, 2, 3, 3, 3)},
            (1, 6, 4, 4, 4),
        ),
        6 * 4**3 * 2 * 3**3,
    ),
    # Each of 3 x 4 x 4 x 4 inputs goes to 5 channels and 2 x 2 x 2 places.
    "ConvTranspose": (
        model(
            [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2, 2])],
            {"x": (1, 3, 4, 4, 4)},
            {"w": (3, 5, 2, 2, 2)},
            (1, 5, 8, 8, 8),
        ),
        3 * 4**3 * 5 * 2**3,
    ),
    "Einsum": (
        model(
            [helper.make_node("Einsum", ["x", "w"], ["y"], equation="ab,bc->ac")],
            {"x": (3, 16)},
            {"w": (16, 4)},
            (3, 4),
        ),
        3 * 16 * 4,
    ),
    "Det": (
        model([helper.make_node("Det", ["x"], ["y"])], {"x": (1, 2, 2)}, {}, (1,)),
        None,
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_work_of_what_is_not_read_by_hand(kind: str) -> None:
    given, macs = CASES[kind]
    read = read_onnx(given)
    assert read.foreign
    assert list(foreign_macs(read).values()) == [macs]
    for target in ("eyeriss", "stm32l4r5zi"):
        report = hannah_hw.estimate(given, target)
        assert [row.macs for row in report.kernels if row.name in read.foreign] == [macs]
        assert report.macs == (macs or 0)


def test_work_of_what_is_read_is_that_of_its_kernel() -> None:
    """The same count for nodes that operators read, whose kernels have it from their own rule."""
    for name in ("ds_cnn", "resnet"):
        space = hannah_hw.load_space(name)
        candidate = space.candidate(space.sample(seed=1))
        read = read_onnx(hannah_hw.to_onnx(candidate))
        kernels = read.workload().kernels
        own = dict(zip(kernels.names, kernels["macs"][0].tolist(), strict=True))
        read.foreign = {kernel: "a test" for kernel, macs in own.items() if macs}
        assert len(read.foreign) > 3
        assert foreign_macs(read) == {kernel: own[kernel] for kernel in read.foreign}
