"""Float32 networks on emulated cores: what TVM's kernels compute is what ONNX Runtime computes, and what it costs."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw import load_space, load_target
from hannah_hw.cli import main
from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator
from hannah_hw.errors import EvaluationError, InputError, MeasurementError, ModelError, UnsupportedError
from hannah_hw.firmware.building import build
from hannah_hw.firmware.floating import generate_float, read_float_network
from hannah_hw.firmware.toolchain import available
from hannah_hw.lowering.tvm import TvmWorker
from hannah_hw.measure.differences import difference
from hannah_hw.measure.float_firmware import FloatFirmware, measure_float_model

M4 = CORES["m4"]
#: An STM32L4R5 has 640 KiB of RAM and a Cortex-M4.
CHIP = "stm32l4r5zi"
#: Conv 3 -> 4, 3x3, padded, on 8x8.
MACS = 8 * 8 * 4 * 3 * 9

needs_tvm = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None
    or importlib.util.find_spec("unicorn") is None
    or not available(M4),
    reason="the extras tvm and emulate are not installed, or no compiler",
)


def model(*nodes, constants=(), shape=(1, 3, 8, 8), outputs=(("y", (1, 4, 8, 8)),), seed=0):
    def value(name, size):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, size)

    rng = np.random.default_rng(seed)
    tensors = [
        numpy_helper.from_array(
            np.asarray(given if not isinstance(given, tuple) else rng.normal(size=given).astype(np.float32)),
            name,
        )
        for name, given in constants
    ]
    graph = helper.make_graph(
        list(nodes), "g", [value("x", shape)], [value(*output) for output in outputs], tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def node(kind, inputs, output="y", **attributes):
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def conv_and_relu(seed=0):
    nodes = (node("Conv", "x w b", "c", pads=[1, 1, 1, 1], name="conv"), node("Relu", "c", name="relu"))
    return model(*nodes, constants=[("w", (4, 3, 3, 3)), ("b", (4,))], seed=seed)


@pytest.fixture(scope="module")
def worker():
    with TvmWorker() as started:
        yield started


def firmware(source, worker, folder, core=M4):
    project = generate_float(read_float_network(source, worker), core, folder=folder)
    return FloatFirmware(project, Emulator(build(project).elf, core), "the model")


def test_a_difference_is_relative_to_the_largest_element():
    assert difference(np.array([1.0, -4.0]), np.array([1.0, -4.0])) == 0
    assert difference(np.array([1.0, -4.0]), np.array([1.5, -4.0])) == 0.125
    assert difference(np.array([np.nan, 1.0]), np.array([np.nan, 1.0])) == 0
    assert difference(np.array([np.inf, 1.0]), np.array([1.0, 1.0])) == np.inf
    assert difference(np.array([1.0, 1.0]), np.array([np.nan, 1.0])) == np.inf


@needs_tvm
def test_one_convolution(worker):
    found = measure_float_model(conv_and_relu(), CHIP, worker=worker)
    (kernel,) = found.kernels
    assert (kernel.name, kernel.kind, kernel.macs) == ("conv", "conv", MACS)
    assert found.difference < 1e-6
    # Input, output, and a window of 3 x 3 x 3 float32 rounded up to 16 bytes.
    assert found.memory["arena"] == 4 * (192 + 256) + 112
    assert found.flash["constants"] >= 4 * (4 * 27 + 4)
    # A fused multiply-add takes 3 cycles, and 5 loads in 4 of them at least one each.
    assert 4.25 < kernel.core_cycles / MACS < 15
    # The chip's wait cycles and their error were found with int8 kernels.
    figures = [found.figures[key] for key in ("latency_s", "cycles", "energy_j")]
    assert [figure.error for figure in figures] == [None, None, None]
    assert "with int8 kernels, not known with these" in figures[0].note
    assert found == measure_float_model(conv_and_relu(), CHIP, worker=worker)


@needs_tvm
@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet", "pooled_cnn"])
def test_networks_of_spaces(worker, name):
    space = load_space(name)
    candidate = space.candidate(space.sample(seed=1))
    found = measure_float_model(candidate, CHIP, worker=worker)
    assert found.macs == candidate.macs
    assert found.difference < 1e-5
    assert found.weights == "random"
    values = candidate.workload().candidate(0).buffers.bytes
    assert found.memory["arena"] >= 4 * values.max()


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
def test_what_does_not_fit_says_how_much(worker):
    chip = load_target(CHIP).model_copy(update={"ram_bytes": 2000})
    with pytest.raises(EvaluationError, match=r"needs 1,904 bytes of arena .* has 2,000 bytes of RAM"):
        measure_float_model(conv_and_relu(), chip, worker=worker)
    chip = load_target(CHIP).model_copy(update={"flash_bytes": 500})
    with pytest.raises(EvaluationError, match="bytes of flash, and there are 500"):
        measure_float_model(conv_and_relu(), chip, worker=worker)


@needs_tvm
def test_a_function_that_firmware_has_not_is_named(worker):
    odd = model(node("Sin", "x"), shape=(1, 4), outputs=(("y", (1, 4)),))
    with pytest.raises(UnsupportedError, match="kernels of TVM call sinf"):
        read_float_network(odd, worker)


def test_wrong_requests_are_refused_before_tvm_starts():
    with pytest.raises(InputError, match="0 inputs"):
        measure_float_model(conv_and_relu(), CHIP, inputs=0)
    with pytest.raises(InputError, match="no emulator for Cortex-M55"):
        measure_float_model(conv_and_relu(), CHIP, core="m55")


@needs_tvm
def test_the_command_line_measures_float_models(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = ["measure", str(tmp_path / "float.onnx"), "--runtime", "tvm", "-t", CHIP]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["macs"], document["reference"]) == (MACS, "ONNX Runtime")
    assert document["figures"]["latency_s"]["value"] > 0
    assert main(command) == 0
    assert "outputs differ from those of ONNX Runtime by at most" in capsys.readouterr().out


def test_options_of_int8_firmware_are_refused(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = ["measure", str(tmp_path / "float.onnx"), "--runtime", "tvm", "-t", CHIP]
    assert main([*command, "--calibration", "random"]) == 2
    assert "TVM's kernels are float32" in capsys.readouterr().err


@needs_tvm
def test_a_float_model_is_exported_as_a_project(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = [
        "export",
        str(tmp_path / "float.onnx"),
        "--runtime",
        "tvm",
        "-t",
        CHIP,
        "-o",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--build", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    folder = tmp_path / "out" / "float"
    page = (folder / "README.md").read_text()
    assert "| RAM: arena | 1,904 |" in page
    assert f"{MACS:,} multiply-accumulates" in page
    assert (folder / "kernels" / "hn_float.c").is_file()
    (project,) = document["projects"]
    assert project["ram_bytes"] >= 1904
    assert Path(project["elf"]).is_file()


def test_only_float_models_are_exported_with_tvm(tmp_path, capsys):
    onnx.save(conv_and_relu(), tmp_path / "float.onnx")
    command = ["export", str(tmp_path / "float.onnx"), "-t", CHIP, "-o", str(tmp_path / "out"), "--runtime"]
    assert main([*command, "tvm", "--calibration", "random"]) == 2
    assert "without --calibration" in capsys.readouterr().err
    assert main([*command, "glow"]) == 2
    assert "there is no runtime 'glow'" in capsys.readouterr().err
