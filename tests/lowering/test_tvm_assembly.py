"""TVM's kernels as machine code: of the processor that was asked for, and computing what the layer does."""

import ctypes
import importlib.util
import json
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.cli import main
from hannah_hw.cores import CORES
from hannah_hw.errors import EvaluationError, InputError
from hannah_hw.estimation import assemble_with_tvm
from hannah_hw.lowering.tvm import TvmWorker
from hannah_hw.lowering.tvm.assembly import code_bytes
from hannah_hw.lowering.tvm.llvm_targets import LLVM_TARGETS

needs_tvm = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None, reason="the extra tvm is not installed"
)

#: Architecture in the header of an ELF file, ``e_machine``, from the registry of the ELF specification.
ARM, RISCV, AARCH64, X86_64 = 40, 243, 183, 62


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A dense layer with a ReLU, y = max(x w + b, 0): its file, weights and bias."""
    rng = np.random.default_rng(3)
    weights, bias = rng.normal(size=(6, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["g"]),
        helper.make_node("Relu", ["g"], ["y"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, n)) for name, n in (("x", 6), ("y", 5))
    ]
    tensors = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    path = tmp_path_factory.mktemp("layer") / "dense.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path, weights, bias


@pytest.fixture(scope="module")
def worker():
    with TvmWorker(timeout_s=300.0) as started:
        yield started


def test_every_core_of_firmware_has_a_target():
    assert set(CORES) <= set(LLVM_TARGETS)
    assert {LLVM_TARGETS[name].title for name in CORES} == {core.title for core in CORES.values()}


@pytest.mark.skipif(sys.platform != "linux", reason="this Python is no ELF file")
def test_code_bytes_are_those_of_executable_sections():
    elf = pytest.importorskip("elftools.elf.elffile", reason="the extra emulate is not installed")
    path = Path(sys.executable).resolve()
    with path.open("rb") as file:
        sections = elf.ELFFile(file).iter_sections()
        expected = sum(section["sh_size"] for section in sections if section["sh_flags"] & 4)
    assert code_bytes(path.read_bytes()) == expected > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-t", "stm32l4r5zi", "--assembly", "a"], "--assembly: it is for --lowering tvm"),
        (["-t", "stm32l4r5zi", "--lowering", "tvm", "--llvm", "m4"], "--llvm: it is for --assembly"),
        (["-t", "eyeriss", "--lowering", "tvm", "--assembly", "a"], "--llvm: eyeriss has no core"),
        (
            ["-t", "eyeriss", "--lowering", "tvm", "--assembly", "a", "--llvm", "m44"],
            "no LLVM target is called 'm44'; allowed: m0p",
        ),
    ],
)
def test_options_that_do_not_fit_are_named(layer, capsys, options, message):
    assert main(["estimate", str(layer[0]), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused(layer, tmp_path):
    (tmp_path / "taken").write_text("")
    answer = {"done": {"kernels": [], "outputs": [], "planned_bytes": 0, "scratch": {}}}
    lines = ["import sys", "print('{}', flush=True)", "sys.stdin.readline()"]
    lines += [f"print({json.dumps(answer)!r}, flush=True)", "sys.stdin.readline()"]
    command = [sys.executable, "-c", "\n".join(lines)]
    with TvmWorker(command=command) as worker, pytest.raises(InputError, match="cannot be written to"):
        assemble_with_tvm(layer[0], "m4", tmp_path / "taken", worker=worker)


@needs_tvm
@pytest.mark.parametrize(
    ("name", "machine", "words"),
    [
        # Without a floating-point unit, sums are calls; with one, instructions.
        ("m0p", ARM, ["__addsf3"]),
        ("m3", ARM, ["__addsf3"]),
        ("m4", ARM, ["vadd.f32", "cortex-m4"]),
        ("m7", ARM, ["vfma.f32"]),
        ("m33", ARM, ["vadd.f32"]),
        ("m55", ARM, ["vfma.f32"]),
        ("rv32imc", RISCV, ["__addsf3"]),
        ("rv32imfc", RISCV, ["fmadd.s"]),
        ("rv64gcv", RISCV, ["flw"]),
        ("aarch64", AARCH64, ["fmla"]),
        ("x86_64", X86_64, ["vfmadd"]),
    ],
)
def test_code_is_of_the_processor(layer, worker, tmp_path, name, machine, words):
    (kernel,) = assemble_with_tvm(layer[0], name, tmp_path, worker=worker)
    text, content = kernel.assembly.read_text(), kernel.object_file.read_bytes()
    assert struct.unpack_from("<H", content, 18) == (machine,)
    assert f"tvm_{kernel.name}:" in text
    assert all(word in text for word in words), text
    # No packed calling convention, whose functions check types and report errors.
    assert "TVMFFI" not in text
    # Instructions are of 2 to 15 bytes, and constants lie among them.
    assert 2 * kernel.instructions <= kernel.code_bytes
    assert kernel.instructions > 10


@needs_tvm
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the code is for x86-64")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no linker is installed")
def test_code_computes_what_the_layer_does(layer, worker, tmp_path):
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    path, weights, bias = layer
    (kernel,) = assemble_with_tvm(path, "x86_64", tmp_path, worker=worker)
    assert kernel.scratch_bytes == 0
    library = tmp_path / "kernel.so"
    subprocess.run(["cc", "-shared", "-o", library, kernel.object_file], check=True)
    function = getattr(ctypes.CDLL(str(library)), f"tvm_{kernel.name}")
    function.restype = None
    x = np.random.default_rng(4).normal(size=6).astype(np.float32)
    y = np.full(5, np.nan, np.float32)
    function(*(ctypes.c_void_p(array.ctypes.data) for array in (x, weights, bias, y)))
    np.testing.assert_allclose(y, np.maximum(x @ weights + bias, 0), rtol=1e-5, atol=1e-6)


@needs_tvm
def test_the_command_line_writes_code_for_the_targets_core(layer, tmp_path, capsys):
    command = ["estimate", str(layer[0]), "-t", "nrf5340", "--lowering", "tvm"]
    assert main([*command, "--assembly", str(tmp_path / "code"), "--json"]) == 0
    lowering = json.loads(capsys.readouterr().out)["lowering"]
    (row,) = lowering["assembly"]
    assert lowering["processor"] == "m33"
    assert "cortex-m33" in Path(row["assembly"]).read_text()
    assert row["code_bytes"] == code_bytes(Path(row["object_file"]).read_bytes())


@needs_tvm
def test_a_target_that_llvm_lacks_is_a_failure_of_one_model(layer, worker, tmp_path):
    model = onnx.load(layer[0])
    with pytest.raises(EvaluationError) as raised:
        worker.request(
            "assemble", model, "compile", target={"kind": "llvm", "mtriple": "z80-none"}, folder=str(tmp_path)
        )
    assert raised.value.kind in ("tvm", "crash")
    assert len(worker.lower(model).kernels) == 1
