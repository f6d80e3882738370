"""Int8 models from candidates and files: weights, ranges, and what is refused."""

import warnings

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.errors import DataError, ModelError, UnsupportedError
from hannah_hw.firmware.network import read_network
from hannah_hw.lowering import to_onnx
from hannah_hw.measure.models import UnusedCalibration, int8_model, read_samples
from hannah_hw.spaces import load_space


@pytest.fixture(scope="module")
def candidate():
    space = load_space("mlperf_tiny:resnet8")
    return space.candidate(space.default())


def weights(model):
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {name: array for name, array in arrays.items() if array.ndim == 4}


def test_random_weights_are_bell_shaped_and_as_large_as_those_that_training_starts_from(candidate):
    model = int8_model(candidate, seed=3)
    assert (model.weights, model.ranges, model.name) == ("random", "noise", candidate.id)
    assert model.source == int8_model(candidate, seed=3).source
    assert model.source != int8_model(candidate, seed=4).source
    drawn = [array for array in weights(model.source).values() if array.size > 2000]
    uniform = [array for array in weights(to_onnx(candidate, seed=3)).values() if array.size > 2000]
    assert len(drawn) == len(uniform) > 3
    for array in drawn:
        assert array.dtype == np.int8
        by_channel = array.reshape(len(array), -1).astype(float)
        kurtosis = (by_channel**4).mean() / (by_channel**2).mean() ** 2
        assert 2.4 < kurtosis < 3.6  # 3 of a normal distribution, 1.8 of a uniform one


def test_a_quantised_file_is_taken_as_it_is(candidate, tmp_path):
    onnx.save(int8_model(candidate).source, tmp_path / "small.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = int8_model(tmp_path / "small.onnx")
    with pytest.warns(UnusedCalibration, match=r"small\.onnx is int8 already, so --calibration is not used"):
        assert int8_model(tmp_path / "small.onnx", "random") == model
    assert (model.source, model.name) == (tmp_path / "small.onnx", "small")
    assert (model.weights, model.ranges, model.where) == (
        "the model's",
        "the model's",
        str(tmp_path / "small.onnx"),
    )


def test_a_float_file_needs_samples(candidate, tmp_path):
    path = tmp_path / "float.onnx"
    to_onnx(candidate, path)
    with pytest.raises(ModelError, match=r"--calibration samples\.npy"):
        int8_model(path)
    assert int8_model(path, "random").ranges == "noise"
    assert int8_model(path, np.zeros((2, 3, 32, 32), np.float32)).ranges == "calibration data"
    with pytest.raises(DataError, match=r"\(3, 32, 31\)"):
        int8_model(path, np.zeros((2, 3, 32, 31), np.float32))
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="truncated"):
        int8_model(tmp_path / "empty.onnx")


def test_an_open_shape_is_refused(candidate, tmp_path):
    model = to_onnx(candidate)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, tmp_path / "open.onnx")
    with pytest.raises(ModelError, match=r"dynamic shape \(1, 3, height, 32\); give one with --shape"):
        int8_model(tmp_path / "open.onnx", "random")


def test_a_shape_that_is_given_closes_an_open_one(candidate, tmp_path):
    model = to_onnx(candidate, batch="N")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, tmp_path / "open.onnx")
    network = read_network(int8_model(tmp_path / "open.onnx", "random", shapes=(1, 3, 24, 32)).source)
    assert network.values[network.inputs[0]].shape == (24, 32, 3)


def foreign(tmp_path, nodes, inputs, constants=()):
    """The path of a model as another tool writes it."""
    graph = helper.make_graph(
        [helper.make_node(kind, names.split(), [result], name=result) for kind, names, result in nodes],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in dict(constants).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_biases_of_other_tools_are_those_of_layers(tmp_path):
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "s": rng.random((1, 4, 1, 1)).astype(np.float32),
        "b": rng.standard_normal((4, 1, 1)).astype(np.float32),
    }
    nodes = [("Conv", "x w", "c"), ("Mul", "c s", "m"), ("Add", "m b", "a"), ("Relu", "a", "y")]
    path = foreign(tmp_path, nodes, [("x", TensorProto.FLOAT, ("N", 3, 8, 8))], weights)
    (layer,) = read_network(int8_model(path, "random").source).layers
    assert (layer.kind, layer.columns["bias"]) == ("conv", 4)


FLOAT = TensorProto.FLOAT


@pytest.mark.parametrize(
    ("nodes", "inputs", "error", "message"),
    [
        (
            [("Erf", "x", "a"), ("Sin", "a", "b"), ("Erf", "b", "y")],
            [("x", FLOAT, (1, 3, 8, 8))],
            UnsupportedError,
            r"'a' \(Erf\) cannot be read: no operator reads Erf; in all 3 are not: 2 Erf, 1 Sin; replace them",
        ),
        (
            [("Add", "x z", "y")],
            [("x", FLOAT, (1, 3)), ("z", FLOAT, (1, 3))],
            ModelError,
            "2 inputs, x, z; what",
        ),
        ([("Relu", "x", "y")], [("x", FLOAT, (3,))], ModelError, "'x' is float with 1 dimensions"),
    ],
)
def test_what_cannot_be_quantised_is_said_before(nodes, inputs, error, message, tmp_path):
    with pytest.raises(error, match=message):
        int8_model(foreign(tmp_path, nodes, inputs), "random")


@pytest.mark.parametrize("array", [np.array(["a", "b"]), np.float32(3), np.zeros((0, 4)), np.zeros(3)])
def test_samples_are_an_array_of_numbers(array, tmp_path):
    np.save(tmp_path / "samples.npy", array)
    with pytest.raises(DataError, match="array"):
        read_samples(tmp_path / "samples.npy")


def test_samples_are_read_as_float32(tmp_path):
    np.save(tmp_path / "samples.npy", np.arange(6, dtype=np.uint8).reshape(2, 3))
    found = read_samples(tmp_path / "samples.npy")
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match="cannot read"):
        read_samples(tmp_path / "none.npy")
