"""Float32 models of a few nodes as firmware: operators, values and what is refused."""

from dataclasses import replace

import pytest
from onnx import TensorProto, helper

from hannah_hw.emulation import Emulator
from hannah_hw.errors import MeasurementError, ModelError, UnsupportedError
from hannah_hw.firmware.building import build
from hannah_hw.firmware.floating import generate_float, read_float_network
from hannah_hw.lowering.tvm import TvmWorker
from hannah_hw.measure.float_firmware import FloatFirmware
from tests.measure.float_models import M4, MACS, conv_and_relu, firmware, model, needs_tvm, node


@pytest.fixture(scope="module")
def worker():
    with TvmWorker() as started:
        yield started


FUNCTIONS = {
    "elu": (node("Elu", "x"),),
    "gelu": (node("Gelu", "x"),),
    "hard_swish": (node("HardSwish", "x"),),
    "log_softmax": (node("LogSoftmax", "x", axis=1),),
    "lp_pool": (node("GlobalLpPool", "x", "g"), node("Add", "x g")),
    "sigmoid": (node("Sigmoid", "x"),),
    "softmax": (node("Softmax", "x", axis=1),),
    "sqrt": (node("Abs", "x", "a"), node("Sqrt", "a")),
    "tanh": (node("Tanh", "x"),),
    "twice": (node("Add", "x x", "a"), node("Mul", "a x")),
    "max_pool": (node("MaxPool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),),
    "avg_pool": (node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),),
    "rounding": (node("Round", "x"),),
}


@needs_tvm
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree(worker, tmp_path, name):
    made = model(*FUNCTIONS[name], shape=(1, 4, 5, 5), outputs=(("y", (1, 4, 5, 5)),))
    running = firmware(made, worker, tmp_path)
    running.run(running.inputs(0))
    assert running.difference < 1e-6


@needs_tvm
def test_several_outputs_views_and_residuals(worker, tmp_path):
    nodes = (
        node("Conv", "x w", "c", kernel_shape=[1, 1]),
        node("Add", "c x", "s"),
        node("Split", "s", "p q", axis=1, num_outputs=2),
        node("Concat", "q p", "r", axis=1),
        node("Flatten", "r", "f"),
        node("Gemm", "f v", "y", transB=1),
    )
    made = model(
        *nodes,
        constants=[("w", (4, 4, 1, 1)), ("v", (5, 100))],
        shape=(1, 4, 5, 5),
        outputs=(("y", (1, 5)), ("q", (1, 2, 5, 5)), ("s", (1, 4, 5, 5))),
    )
    running = firmware(made, worker, tmp_path)
    running.run_by_layer(running.inputs(3))
    running.run(running.inputs(4))
    assert running.difference < 1e-6


@needs_tvm
def test_an_input_that_nothing_reads_has_no_place(worker, tmp_path):
    made = model(node("Relu", "x"), shape=(1, 4), outputs=(("y", (1, 4)),))
    made.graph.input.append(helper.make_tensor_value_info("unread", TensorProto.FLOAT, (1, 4)))
    running = firmware(made, worker, tmp_path)
    running.run(running.inputs(0))
    assert running.difference == 0
    assert "#define G_INPUTS 1" in (tmp_path / "g.h").read_text()


@needs_tvm
@pytest.mark.parametrize(
    ("kind", "name"), [(TensorProto.DOUBLE, "float64"), (TensorProto.FLOAT16, "float16")]
)
def test_types_that_firmware_has_not_are_named(worker, kind, name):
    made = model(node("Relu", "x"), shape=(1, 4), outputs=(("y", (1, 4)),))
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.elem_type = kind
    with pytest.raises(
        UnsupportedError, match=f"'x' is {name}, and inputs and outputs of float firmware are"
    ):
        read_float_network(made, worker)


@needs_tvm
def test_code_does_not_grow_with_the_image(worker):
    def code(size):
        made = model(
            node("InstanceNormalization", "x s b", "n"),
            node("LeakyRelu", "n"),
            constants=[("s", (4,)), ("b", (4,))],
            shape=(1, 4, size, size),
            outputs=(("y", (1, 4, size, size)),),
        )
        return read_float_network(made, worker).kernels.text.count("\n")

    assert code(40) == code(10) < 60


@needs_tvm
def test_open_shapes_are_given(worker):
    made = conv_and_relu()
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    made.graph.output[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelError, match="--shape"):
        read_float_network(made, worker)
    assert read_float_network(made, worker, shapes={"x": (1, 3, 8, 8)}).layers[0].macs == MACS


@needs_tvm
def test_a_wrong_result_names_the_layer(worker, tmp_path):
    network = replace(read_float_network(conv_and_relu(), worker), model=conv_and_relu(seed=1))
    project = generate_float(network, M4, folder=tmp_path)
    running = FloatFirmware(project, Emulator(build(project).elf, M4), "odd.onnx")
    with pytest.raises(MeasurementError, match=r"odd.onnx: layer 'conv' \(conv, tvm_fused_conv2d_add_relu\)"):
        running.run_by_layer(running.inputs(0))
    with pytest.raises(MeasurementError, match="output 'y' is wrong on Cortex-M4"):
        running.run(running.inputs(0))


@needs_tvm
def test_a_function_that_firmware_has_not_is_named(worker):
    odd = model(node("Sin", "x"), shape=(1, 4), outputs=(("y", (1, 4)),))
    with pytest.raises(UnsupportedError, match="kernels of TVM call sinf"):
        read_float_network(odd, worker)
