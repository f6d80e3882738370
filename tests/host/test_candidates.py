"""Models of candidates against those that are calibrated on data: ONNX Runtime makes the same kernels of both."""

import numpy as np
import onnx
import pytest

import hannah_hw as hw
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.lowering import to_onnx
from hannah_hw.lowering.quantise import quantise_int8

SPACES = (
    "ds_cnn",
    "mcunet",
    "mlperf_tiny:fc_autoencoder",
    "nas_bench_201",
    "pooled_cnn",
    "resnet",
    "tc_resnet",
)


@pytest.mark.parametrize("name", SPACES)
def test_int8_models_without_data_run_as_those_with_data(tmp_path, name):
    space = hw.load_space(name)
    for seed in range(2):
        candidate = space.candidate(space.sample(seed=seed))
        model = to_onnx(candidate)
        shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
        samples = np.random.default_rng(seed).standard_normal((4, *shape[1:])).astype(np.float32)
        quantise_int8(model.SerializeToString(), tmp_path / "int8.onnx", samples)
        expected = optimised_kernels(tmp_path / "int8.onnx")
        found = optimised_kernels(candidate_model(candidate, "int8"))
        assert [kernel.key for kernel in found] == [kernel.key for kernel in expected]


def test_float_models_have_no_batch_normalisation_left():
    space = hw.load_space("resnet")
    model = candidate_model(space.candidate(space.sample(seed=1)), "float32")
    onnx.checker.check_model(model)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_neither_weights_nor_ranges_change_the_kernels(precision):
    space = hw.load_space("ds_cnn")
    candidate = space.candidate(space.sample(seed=3))
    first, second = (optimised_kernels(candidate_model(candidate, precision, seed=seed)) for seed in (0, 1))
    assert [kernel.key for kernel in first] == [kernel.key for kernel in second]
    assert len(first) > 3
