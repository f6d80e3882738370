"""The front door prices a candidate, its file, its model and its row of a population alike."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import estimate, estimate_population, load_space, load_target, to_onnx
from hannah_hw.errors import CatalogError, InputError

FIGURES = ("latency_s", "energy_j", "ram_bytes", "flash_bytes", "cycles")


@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet"])
def test_every_form_of_a_candidate_has_the_same_price(name, tmp_path):
    space, target = load_space(name), load_target("stm32l4r5zi")
    X = space.sample_population(6, seed=4)
    costs = estimate_population(space, X, target)
    for index, row in enumerate(X):
        candidate = space.candidate(space.encoding.assignment(row))
        model = to_onnx(candidate, tmp_path / "model.onnx")
        forms = [
            candidate,
            candidate.workload(),
            model,
            tmp_path / "model.onnx",
            str(tmp_path / "model.onnx"),
        ]
        reports = [estimate(form, target) for form in forms]
        for figure in FIGURES:
            values = [getattr(report, figure) for report in reports]
            assert values == pytest.approx([values[0]] * len(values), rel=1e-12), figure
            assert getattr(costs, figure)[index] == pytest.approx(values[0], rel=1e-12), figure
            assert values[0] > 0
        assert sum(kernel.macs for kernel in reports[0].kernels) == candidate.macs


def test_targets_by_name_and_open_shapes(tmp_path):
    candidate = load_space("ds_cnn", input_shape=(1, 16, 16), max_blocks=1).candidate({})
    to_onnx(candidate, tmp_path / "open.onnx", batch="N")
    one = estimate(candidate, "stm32l4r5zi").latency_s
    for shapes in (None, (1, 1, 16, 16), {"ds_cnn_0.input": (1, 1, 16, 16)}):  # an open batch is taken as 1
        given = estimate(tmp_path / "open.onnx", "stm32l4r5zi", shapes=shapes)
        assert given.latency_s == pytest.approx(one, rel=1e-12)
    with pytest.raises(CatalogError, match="did you mean 'stm32l4r5zi'"):
        estimate(candidate, "stm32l4r5z")


def test_one_report_is_of_one_candidate():
    space = load_space("ds_cnn")
    several = space.workload(space.sample_population(3, seed=0))
    with pytest.raises(InputError, match="3 candidates"):
        estimate(several, "stm32l4r5zi")
    assert estimate(several.candidate(1), "stm32l4r5zi").supported


def test_more_channels_cost_more():
    space = load_space("ds_cnn")
    width = "ds_cnn_0.Conv2d_0.weight.out_channels"
    X = space.encoding.encode([{width: value} for value in (8, 16, 24, 32)])
    costs = estimate_population(space, X, "stm32l4r5zi")
    for figure in ("latency_s", "ram_bytes", "flash_bytes"):
        assert (np.diff(getattr(costs, figure)) > 0).all()


@pytest.mark.parametrize(("kind", "supported"), [(TensorProto.INT8, True), (TensorProto.INT16, False)])
def test_a_quantised_file_is_priced_with_its_own_bits(kind, supported):
    scalars = [(f"{n}_scale", TensorProto.FLOAT, 0.1) for n in "aw"]
    scalars += [("a_zero", kind, 0), ("w_zero", TensorProto.INT8, 0)]
    constants = [helper.make_tensor(name, dtype, [], [value]) for name, dtype, value in scalars]
    constants.append(numpy_helper.from_array(np.ones((4, 3, 3, 3), np.int8), "w"))
    quantised = ("a_scale", "a_zero")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *quantised], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", *quantised], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", *quantised], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", *quantised], ["yd"]),
    ]
    report = estimate(model_of(nodes, (1, 3, 8, 8), (1, 4, 6, 6), "yd", constants), "stm32l4r5zi")
    assert report.supported == supported
    assert (report.latency_s is not None) == supported
    # 3 · 8 · 8 and 4 · 6 · 6 values, of one byte or of two
    assert sorted(row.bytes for row in report.memory.buffers) == sorted(
        size * (1 if supported else 2) for size in (192, 144)
    )


def test_a_node_that_cannot_be_read_says_why():
    bounds = [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("low", 0.0), ("high", 4.0))]
    clip = [helper.make_node("Clip", ["x", "low", "high"], ["y"], name="clip")]
    (row,) = estimate(model_of(clip, (1, 4), (1, 4), "y", bounds), "stm32l4r5zi").unsupported
    assert row.kernel == "clip"
    assert "from 0.0 to 4.0" in row.unread


def model_of(nodes, input_shape, output_shape, output, constants):
    values = [("x", input_shape), (output, output_shape)]
    given, result = (helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in values)
    graph = helper.make_graph(nodes, "g", [given], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return model
