"""Shapes that only a run knows, and values whose shape nobody knows."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.lowering import read_onnx, run_shapes

RNG = np.random.default_rng(0)


def model(nodes, output, constants=(), domains=(), x=("x", TensorProto.FLOAT, (1, 3, 8, 8))):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    imports = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def body(nodes, inputs, outputs, name):
    """A subgraph; (name, element type, shape) of each value."""
    values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    return helper.make_graph(nodes, name, *values)


CONVOLUTION = helper.make_node("Conv", ["c", "w"], ["y"], "conv")
WEIGHT = RNG.standard_normal((4, 3, 1, 1)).astype(np.float32)
STEP = ("i", TensorProto.INT64, ()), ("go", TensorProto.BOOL, ()), ("a", TensorProto.FLOAT, None)
STEPPED = ("more", TensorProto.BOOL, ()), ("b", TensorProto.FLOAT, None)


def looped(trips, grows):
    """A loop that joins its value to itself, or keeps it, so many times, and a convolution behind it."""
    joined = helper.make_node("Concat", ["a"] * (2 if grows else 1), ["b"], axis=3)
    go = helper.make_node("Identity", ["go"], ["more"])
    loop = helper.make_node(
        "Loop", ["n", "yes", "x"], ["c"], "loop", body=body([joined, go], STEP, STEPPED, "body")
    )
    return model(
        [loop, CONVOLUTION],
        (1, 4, "H", "W"),
        {"n": np.int64(trips), "yes": np.bool_(True), "w": WEIGHT},
    )


def test_a_loop_has_the_shapes_of_a_run():
    read = read_onnx(looped(3, grows=True))
    assert read.foreign == {"loop": "no operator reads Loop"}
    assert read.workload().kernels["macs"].tolist() == [[0, 3 * 4 * 8 * 64]]


def test_a_loop_without_an_end_is_stopped(monkeypatch):
    monkeypatch.setattr(run_shapes, "MAX_SECONDS", 0.2)
    start = time.monotonic()
    read = read_onnx(looped(2**62, grows=False))
    assert time.monotonic() - start < 60
    assert set(read.foreign) == {"loop", "conv"}


def test_a_branch_that_depends_on_data():
    kept = body([helper.make_node("Relu", ["x"], ["r"])], [], [("r", TensorProto.FLOAT, None)], "kept")
    half = body(
        [helper.make_node("MaxPool", ["x"], ["m"], kernel_shape=[2, 2], strides=[2, 2])],
        [],
        [("m", TensorProto.FLOAT, None)],
        "half",
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], "most", keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["large"], "large"),
        helper.make_node("If", ["large"], ["c"], "if", then_branch=half, else_branch=kept),
        CONVOLUTION,
    ]
    source = model(nodes, (1, 4, "H", "W"), {"limit": np.float32(0.5), "w": WEIGHT})
    # The run is on ones, which are above the limit.
    assert read_onnx(source).workload().kernels["macs"].tolist()[0][-1] == 12 * 16


def test_operators_of_the_runtime_have_its_shapes():
    nodes = [helper.make_node("FusedConv", ["x", "w"], ["c"], "fused", domain="com.microsoft")]
    nodes += [helper.make_node("MaxPool", ["c"], ["y"], "pool", kernel_shape=[2, 2], strides=[2, 2])]
    read = read_onnx(model(nodes, (1, 4, "H", "W"), {"w": WEIGHT}, ["com.microsoft"]))
    assert read.foreign == {"fused": "no operator reads com.microsoft.FusedConv"}
    assert read.workload().buffers.bytes.tolist() == [[768, 1024, 256]]


def test_what_stands_behind_an_unknown_shape_is_listed_too():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "relu"),
        helper.make_node("Mystery", ["r"], ["m"], "mystery", domain="nobody"),
        helper.make_node("MaxPool", ["m"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["r", "x"], ["y"], "add"),
    ]
    source = model(nodes, (1, 3, 8, 8), domains=["nobody"])
    source.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, None))
    read = read_onnx(source)
    assert read.foreign == {
        "mystery": "no operator reads nobody.Mystery",
        "pool": "the shape of its result is not known, or that of a single number",
    }
    assert list(read.workload().kernels.kinds) == ["activation", "nobody.Mystery", "MaxPool", "add"]


def test_texts_and_single_numbers():
    nodes = [
        helper.make_node("StringNormalizer", ["x"], ["s"], "normalise"),
        helper.make_node("Equal", ["s", "one"], ["e"], "equal"),
        helper.make_node("Cast", ["e"], ["y"], "cast", to=TensorProto.FLOAT),
    ]
    source = model(
        nodes,
        ("N",),
        {"one": np.array(["1"], dtype=object)},
        x=("x", TensorProto.STRING, (3,)),
    )
    assert list(read_onnx(source).foreign) == ["normalise", "equal", "cast"]
    number = model([helper.make_node("ReduceSum", ["x"], ["y"], "sum", keepdims=0)], ())
    assert read_onnx(number).foreign == {"sum": "no operator reads ReduceSum"}


@pytest.mark.parametrize("rank", [0, 1])
def test_inputs_without_data_behind_the_batch(rank):
    source = model([helper.make_node("Mul", ["x", "rate"], ["y"], "scaled")], (1, 3, 8, 8))
    source.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.FLOAT, [1] * rank))
    onnx.checker.check_model(source)
    assert set(read_onnx(source).foreign) == {"scaled"}
    assert read_onnx(source).deployed().size == 1


def test_a_format_that_is_newer_than_the_runtime_is_read():
    source = looped(3, grows=True)
    source.ir_version = onnx.IR_VERSION
    assert read_onnx(source).workload().kernels["macs"].tolist() == [[0, 3 * 4 * 8 * 64]]
