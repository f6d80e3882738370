"""Ranges of results are no finer than sums of weights can be, and otherwise those that were seen."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hannah_hw import load_space, to_onnx
from hannah_hw.lowering.least_ranges import widened
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.lowering.ranges import collect_ranges
from tests.lowering.test_quantise import Build


@pytest.mark.parametrize("name", ["ds_cnn", "resnet"])
def test_ranges_of_ordinary_networks_stay(name):
    space = load_space(name)
    model = onnx.shape_inference.infer_shapes(to_onnx(space.candidate(space.sample(seed=0))))
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    samples = np.random.default_rng(0).normal(size=(4, *shape[1:])).astype(np.float32)
    ranges = collect_ranges(model, samples)
    assert widened(model.graph, ranges) == ranges


@pytest.mark.parametrize("activation", [None, "Relu"])
def test_vanishing_results_have_steps_of_two_steps_of_the_sums(activation, tmp_path):
    b = Build(batch=1)
    weight = b.rng.normal(size=(4, 3, 1, 1))
    weight[1:] *= 1e-7
    # The largest channel is cancelled by its bias, so that nothing but tiny values is left behind a ReLU.
    y = b.op(
        "Conv",
        ["input", b.constant("w", weight), b.constant("b", [-1e3, 0, 0, 0])],
        "sum",
        kernel_shape=[1, 1],
    )
    if activation:
        y = b.op(activation, [y], "clamped")
    model = b.model(b.op("Flatten", [y], "output"), classes=4 * 144)
    samples = b.rng.normal(size=(4, 3, 12, 12)).astype(np.float32)
    quantise_int8(model.SerializeToString(), tmp_path / "q.onnx", samples)
    values = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "q.onnx").graph.initializer}
    scale = values["clamped_scale" if activation else "sum_scale"]
    factors = values["input_scale"] * values["w_scale"] / scale
    assert (factors < 0.5).all()
    if activation:
        assert factors.max() == pytest.approx(0.5, rel=0.01)
