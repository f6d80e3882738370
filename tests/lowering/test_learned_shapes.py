"""Operators that nobody prices are named, with ONNX Runtime as the truth on their shapes; the rest is still read."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from hannah_hw.estimation import estimate
from hannah_hw.lowering import read_onnx
from tests.measure import host_models as models

TREE = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
LEAVES = {"treeids": [0, 0], "nodeids": [1, 2], "ids": [0, 1], "weights": [1.0, 2.0]}


def learned(kind, outputs=("y",), **attributes):
    """A model of one operator of ai.onnx.ml; the shapes of its outputs are left open."""
    node = helper.make_node(kind, ["x"], list(outputs), name="it", domain="ai.onnx.ml", **attributes)
    scores = (outputs[-1], TensorProto.FLOAT, ["rows", "columns"])
    values = [scores] if len(outputs) == 1 else [(outputs[0], TensorProto.INT64, ["rows"]), scores]
    return models.model([node], [("x", TensorProto.FLOAT, [5, 4])], values, opset=15, ml=1)


@pytest.mark.parametrize(
    "made",
    [
        learned("Scaler", offset=[0.0] * 4, scale=[1.0] * 4),
        learned("Normalizer", norm="L2"),
        learned("Imputer", imputed_value_floats=[0.0], replaced_value_float=1.0),
        learned("LinearRegressor", coefficients=[1.0] * 12, intercepts=[0.0] * 3, targets=3),
        learned(
            "TreeEnsembleRegressor",
            n_targets=2,
            **TREE,
            **{f"target_{name}": value for name, value in LEAVES.items()},
        ),
        learned(
            "TreeEnsembleClassifier",
            outputs=("label", "scores"),
            classlabels_int64s=[0, 1],
            **TREE,
            **{f"class_{name}": value for name, value in LEAVES.items()},
        ),
        learned(
            "LinearClassifier",
            outputs=("label", "scores"),
            classlabels_ints=[0, 1, 2],
            coefficients=[1.0] * 12,
            intercepts=[0.0] * 3,
        ),
    ],
    ids=lambda made: made.graph.node[0].op_type,
)
def test_shapes_are_those_that_the_runtime_makes(made):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    truth = [value.shape for value in session.run(None, {"x": np.ones((5, 4), np.float32)})]
    read = read_onnx(made)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in read.model.graph.output}
    assert [tuple(d.dim_value for d in shapes[value.name]) for value in made.graph.output] == truth
    kind = made.graph.node[0].op_type
    assert read.foreign == {"it": f"no operator reads ai.onnx.ml.{kind}"}


def test_a_number_of_targets_that_is_none():
    made = learned("LinearRegressor", coefficients=[1.0], intercepts=[0.0], targets=-3)
    assert read_onnx(made).foreign == {"it": "no operator reads ai.onnx.ml.LinearRegressor"}


def test_what_we_know_is_priced_beside_what_we_do_not():
    # A network, and a learned scaling of its outputs, the shape of which goes on into a Relu.
    made = models.classifier(opset=15)
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    made.graph.node[-1].output[0] = "raw"
    made.graph.node.append(
        helper.make_node(
            "Scaler", ["raw"], ["scaled"], "scaler", domain="ai.onnx.ml", offset=[0.0], scale=[2.0]
        )
    )
    made.graph.node.append(helper.make_node("Relu", ["scaled"], ["y"], "last"))
    report = estimate(made, "stm32l4r5zi", shapes={"x": (1, 3, 16, 16)})
    assert [(row.kernel, row.kind) for row in report.unsupported] == [("scaler", "ai.onnx.ml.Scaler")]
    alone = estimate(models.classifier(opset=15), "stm32l4r5zi", shapes={"x": (1, 3, 16, 16)})
    priced = {row.name: row.latency_s for row in report.kernels if row.latency_s is not None}
    for row in alone.kernels:
        assert priced[row.name] == row.latency_s
    # No total without the scaling.
    assert report.latency_s is None


def test_a_pipeline_names_each_of_its_operators(tmp_path):
    onnx.save(models.scaled_classifier(), tmp_path / "pipeline.onnx")
    report = estimate(tmp_path / "pipeline.onnx", "stm32l4r5zi", shapes={"x": (1, 4)})
    assert [row.kernel for row in report.unsupported] == ["scaler", "linear", "zip"]
    assert all(row.unread.startswith("no operator reads ai.onnx.ml.") for row in report.unsupported)
