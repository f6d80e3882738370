"""Firmware of whole networks on emulated cores: totals, repeatability, sizes, and what is refused."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("unicorn")
pytest.importorskip("capstone")
pytest.importorskip("elftools")
pytest.importorskip("ziglang")

from hannah_hw.cores import CORES, core_named
from hannah_hw.emulation import Emulator
from hannah_hw.errors import (
    DataError,
    EvaluationError,
    InputError,
    MeasurementError,
    MissingToolError,
    ModelError,
    UnsupportedError,
)
from hannah_hw.firmware.building import build
from hannah_hw.firmware.network import read_network
from hannah_hw.firmware.project import generate
from hannah_hw.lowering import to_onnx
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.measure.emulated import measure_model
from hannah_hw.measure.running import Firmware, random_inputs
from hannah_hw.spaces import load_space
from hannah_hw.targets import load_target

TARGET = "stm32l4r5zi"


def small_network():
    """Convolution, depthwise convolution, addition, pooling and a fully connected layer, float32."""
    rng = np.random.default_rng(3)

    def constant(name, *shape):
        return onnx.numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c"], "first", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w1"], ["d"], "deep", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=8),
        helper.make_node("Add", ["r", "d"], ["s"], "sum"),
        helper.make_node("GlobalAveragePool", ["s"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], "last", transB=1),
    ]
    weights = [constant("w0", 8, 3, 3, 3), constant("b0", 8), constant("w1", 8, 1, 3, 3)]
    weights += [constant("w2", 5, 8), constant("b2", 5)]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 10, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small_float.onnx"
    onnx.save(small_network(), path)
    return path


@pytest.fixture(scope="module")
def model(float_model):
    path = float_model.with_name("small.onnx")
    samples = np.random.default_rng(0).normal(size=(8, 3, 10, 9)).astype(np.float32)
    quantise_int8(float_model, path, samples)
    return path


@pytest.fixture(scope="module")
def firmware(model, tmp_path_factory):
    core, network = core_named("m4"), read_network(model)
    project = generate(network, core, folder=tmp_path_factory.mktemp("project"), target=load_target(TARGET))
    return Firmware(project, Emulator(build(project).elf, core), str(model))


def test_two_measurements_agree_to_the_instruction(model):
    assert measure_model(model, TARGET) == measure_model(model, TARGET)


def test_layers_add_up_to_the_whole_run(firmware):
    inputs = random_inputs(firmware.network, np.random.default_rng(5))
    layers, whole = firmware.run_by_layer(inputs), firmware.run(inputs)
    between = whole.by_function[f"{firmware.project.prefix}_run"]
    for key in ("instructions", "taken_branches"):
        assert sum(getattr(counts, key) for counts in (*layers, between)) == getattr(whole, key)
    assert sum(counts.cycles for counts in (*layers, between)) == pytest.approx(whole.cycles, rel=1e-3)


def test_figures_follow_from_the_counts(model):
    target = load_target(TARGET)
    found = measure_model(model, target, inputs=3)
    wait = target.model.flash_wait_cycles.value
    assert found.checked == 3
    assert [kernel.name for kernel in found.kernels] == ["first", "deep", "sum", "pool", "last"]
    assert [kernel.macs for kernel in found.kernels] == [90 * 8 * 27, 90 * 8 * 9, 0, 0, 40]
    for kernel in found.kernels:
        assert kernel.latency_s == (kernel.core_cycles + wait * kernel.flash_reads) / target.clock_hz
        assert kernel.core_cycles >= kernel.instructions > kernel.macs / 2
    assert found.flash_reads == sum(kernel.flash_reads for kernel in found.kernels) > 0
    seconds = found.value("latency_s")
    assert seconds * target.clock_hz == pytest.approx(found.core_cycles + wait * found.flash_reads)
    assert found.value("energy_j") == pytest.approx(seconds * target.power.active_w.value)
    assert found.value("ram_bytes") == sum(found.memory.values())
    assert found.value("flash_bytes") == sum(found.flash.values())
    assert {figure.source for figure in found.figures.values()} == {"emulated"}
    bands = core_named("m4").timing_error + target.model.device_error
    assert found.figures["latency_s"].error == pytest.approx(bands)


@pytest.mark.parametrize("core", sorted(name for name, core in CORES.items() if core.unicorn is not None))
def test_every_emulated_core_gives_the_reference_output(model, core):
    found = measure_model(model, TARGET, core=core)
    assert found.core == CORES[core].title
    assert found.memory["arena"] >= 2 * 90 * 8


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
def test_a_second_compiler_needs_about_as_much(model):
    zig, gcc = (measure_model(model, TARGET, compiler=name) for name in ("zig", "gcc"))
    assert (zig.macs, zig.memory["arena"]) == (gcc.macs, gcc.memory["arena"])
    assert gcc.flash["constants"] == pytest.approx(zig.flash["constants"], rel=0.02)
    assert gcc.core_cycles == pytest.approx(zig.core_cycles, rel=0.3)


@pytest.mark.parametrize(("layer", "name"), [(0, "first"), (1, "deep"), (4, "last")])
def test_a_wrong_output_is_no_measurement(firmware, layer, name):
    rng = np.random.default_rng(1)
    symbol = f"{firmware.project.prefix}_constants_{layer}"
    before = firmware.emulator.read(symbol)
    firmware.emulator.write(symbol, bytes(byte ^ 0x3C for byte in before))
    try:
        with pytest.raises(
            MeasurementError, match=f"layer '{name}'.*differ from the integer reference"
        ) as caught:
            firmware.run(random_inputs(firmware.network, rng))
        assert caught.value.kind == "wrong-output"
        with pytest.raises(MeasurementError, match=f"layer '{name}'"):
            firmware.run_by_layer(random_inputs(firmware.network, rng))
    finally:
        firmware.emulator.write(symbol, before)
    firmware.run(random_inputs(firmware.network, rng))


def test_a_float_model_says_how_to_quantise(float_model, model, tmp_path):
    with pytest.raises(ModelError, match=r"float32 model.*--calibration samples\.npy"):
        measure_model(float_model, TARGET)
    noise = measure_model(float_model, TARGET, calibration="random")
    assert (noise.weights, noise.ranges) == ("the model's", "noise")
    samples = np.random.default_rng(0).normal(size=(8, 3, 10, 9)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    calibrated = measure_model(float_model, TARGET, calibration=tmp_path / "samples.npy")
    int8 = measure_model(model, TARGET)
    assert calibrated.ranges == "calibration data"
    assert calibrated.kernels == int8.kernels
    np.save(tmp_path / "wrong.npy", samples[:, :, 1:])
    with pytest.raises(DataError, match=r"have the shape \(3, 9, 9\), and the model takes \(3, 10, 9\)"):
        measure_model(float_model, TARGET, calibration=tmp_path / "wrong.npy")
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(DataError, match=r"cannot read the calibration samples"):
        measure_model(float_model, TARGET, calibration=tmp_path / "text.npy")


def test_a_candidate_costs_what_its_file_costs(tmp_path):
    space = load_space("mlperf_tiny:fc_autoencoder")
    candidate = space.candidate(space.default())
    to_onnx(candidate, tmp_path / "ad.onnx")
    from_file = measure_model(tmp_path / "ad.onnx", TARGET, calibration="random")
    direct = measure_model(candidate, TARGET)
    assert direct.weights == "random"
    assert direct.kernels == from_file.kernels
    assert direct.figures == from_file.figures


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flash_bytes": 4096}, r"needs [\d,]+ bytes of flash, and there are 4,096"),
        ({"ram_bytes": 1024}, r"RAM"),
    ],
)
def test_what_does_not_fit_the_chip_is_named(model, change, message):
    with pytest.raises(EvaluationError, match=message) as caught:
        measure_model(model, load_target(TARGET).model_copy(update=change))
    assert caught.value.kind == "memory"


@pytest.mark.parametrize("operator", ["LayerNormalization", "Erf"])
def test_an_operator_without_a_kernel_is_named(operator, tmp_path):
    more = ["scale", "shift"] if operator == "LayerNormalization" else []
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], "one"),
        helper.make_node(operator, ["a", *more], ["b"], "strange"),
        helper.make_node("Gemm", ["b", "w"], ["y"], "two"),
    ]
    values = {"w": np.eye(4), "scale": np.ones(4), "shift": np.zeros(4)}
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(UnsupportedError, match=rf"'strange' \({operator}"):
        measure_model(tmp_path / "odd.onnx", TARGET, calibration="random")


def test_cores_and_compilers_that_are_not_there(model, monkeypatch):
    with pytest.raises(InputError, match=r"'m85' is no core.*allowed: m0p"):
        measure_model(model, TARGET, core="m85")
    with pytest.raises(InputError, match=r"unknown compiler 'gc'.*did you mean 'gcc'"):
        measure_model(model, TARGET, compiler="gc")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        MissingToolError, match="no C compiler gcc for Cortex-M4; install the package gcc-arm-none-eabi"
    ):
        measure_model(model, TARGET, compiler="gcc")


def test_a_search_does_not_compare_estimates_of_one_runtime_with_firmware_of_another():
    from hannah_hw.measure.emulated import means_of

    assert means_of(load_target("stm32l4r5zi"))["core"] == "Cortex-M4"
    with pytest.raises(InputError, match=r"stm32l4r5zi:cmsis_nn; take stm32l4r5zi:hannah, or leave"):
        means_of(load_target("stm32l4r5zi:cmsis_nn"))
