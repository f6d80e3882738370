"""Float32 models of a few nodes, and their firmware in an emulator."""

import importlib.util

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.cores import CORES
from hannah_hw.emulation import Emulator
from hannah_hw.firmware.building import build
from hannah_hw.firmware.floating import generate_float, read_float_network
from hannah_hw.firmware.toolchain import available
from hannah_hw.measure.float_firmware import FloatFirmware

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


def firmware(source, worker, folder, core=M4):
    project = generate_float(read_float_network(source, worker), core, folder=folder)
    return FloatFirmware(project, Emulator(build(project).elf, core), "the model")
