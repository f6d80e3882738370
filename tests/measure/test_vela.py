"""The vendor's compiler for Ethos-U as a measurement: what it really writes, and what is refused of what it could."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.errors import MeasurementError, MissingExtraError, ModelError
from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.tflite import outline, tflite_model
from hannah_hw.measure.models import Int8Model
from hannah_hw.measure.vela import compile_network
from hannah_hw.measure.vela_compiler import System, compile_tflite
from hannah_hw.measure.vela_output import check_agreement, read_operations, read_summary
from hannah_hw.targets import load_target
from tests.firmware.models import residual
from tests.firmware.test_tflite import single

pytest.importorskip("ethosu.vela")
pytest.importorskip("tflite")

U55 = System("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    from hannah_hw.firmware.network import read_network

    return read_network(residual(tmp_path_factory.mktemp("vela") / "residual.onnx"))


@pytest.fixture(scope="module")
def written(network):
    return tflite_model(network)


@pytest.fixture(scope="module")
def compiled(written):
    return compile_tflite(written.content, U55)


def test_a_compiled_network_has_the_cycles_of_its_operations(network, written, compiled):
    assert compiled.version == importlib.metadata.version("ethos-u-vela")
    assert compiled.summary.accelerator == "Ethos_U55_128"
    assert compiled.summary.clock_hz == 500e6
    assert compiled.summary.cycles == sum(row.cycles for row in compiled.operations) > 0
    for row in compiled.operations:
        assert row.on_npu
        assert row.cycles == max(row.npu_cycles, *row.memory_cycles.values())
    # Convolutions, whose multiply-accumulates vela counts without padding, are those of the network.
    for layer in network.layers:
        if layer.kind == "conv":
            places = [place for place, name in enumerate(written.layers) if name == layer.name]
            assert (
                sum(row.macs for row in compiled.operations if row.source in places) == layer.columns["macs"]
            )
    peak = max(row.staging_bytes for row in compiled.operations)
    assert compiled.summary.memory_bytes["sram"] == peak
    assert compiled.summary.memory_bytes["off_chip_flash"] == compiled.constant_bytes
    assert compiled.summary.encoded_weight_bytes < compiled.constant_bytes
    assert compiled.command_bytes > 0


def test_cycles_are_those_that_vela_states_for_the_same_layers_of_another_file():
    # The first two layers of the reference ResNet-8 of MLPerf Tiny, compiled by vela 5.2.0 from the benchmark's own
    # .tflite file: 14,752 and 25,715 cycles on U55-128, which random weights do not change.
    rng = np.random.default_rng(0)
    window = dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), 1) | {
        "kernel_h": 3,
        "kernel_w": 3,
    }
    weights = [rng.integers(-127, 127, (16, 3, 3, channels)).astype(np.int8) for channels in (3, 16)]
    a = single("conv", (32, 32, 3), (32, 32, 16), window, 0, weights[0])
    b = single("conv", (32, 32, 16), (32, 32, 16), window, 0, weights[1])
    second = replace(b.layers[0], name="second", inputs=(1,), output=2)
    last = replace(b.values[1], name="second")
    chain = Network("chain", (*a.values, last), (*a.layers, second), (0,), (2,))
    found = compile_tflite(tflite_model(chain).content, U55)
    assert [row.cycles for row in found.operations] == [14_752, 25_715]
    assert [row.npu_cycles for row in found.operations] == [14_752, 25_715]


def test_a_larger_npu_and_another_system(written, compiled):
    larger = compile_tflite(
        written.content, System("ethos-u65-512", "Ethos_U65_High_End", "Dedicated_Sram_256KB")
    )
    assert larger.summary.clock_hz == 1e9
    assert larger.summary.npu_cycles < compiled.summary.npu_cycles
    assert larger.summary.memory_bytes["dram"] >= larger.constant_bytes
    assert larger.summary.memory_bytes["off_chip_flash"] == 0


def test_what_the_npu_does_not_run_stays_on_the_cpu():
    # Nearest-neighbour factors other than 2 are not the NPU's.
    up = single("upsample", (4, 4, 8), (12, 12, 8), {}, 0)
    found = compile_tflite(tflite_model(up).content, U55)
    assert [row.on_npu for row in found.operations] == [False]
    assert found.summary.cycles == 0


def test_a_network_of_which_nothing_runs_on_the_npu_has_no_figures():
    up = single("upsample", (4, 4, 8), (12, 12, 8), {}, 0)
    given = Int8Model(Path("up.onnx"), "up", "the model's", "the model's")
    with pytest.raises(MeasurementError, match=r"the NPU runs nothing of it; on the CPU: layer") as error:
        compile_network(up, load_target("ethos_u55_128"), given)
    assert error.value.kind == "unsupported"


@pytest.mark.parametrize("name", ['a "b"', "a, b", "]]>", "a\nb", "ä"])
def test_any_name_of_a_layer_is_read(name):
    conv = single("conv", (4, 4, 3), (4, 4, 3), {}, 0, np.ones((3, 1, 1, 3), np.int8))
    values = (conv.values[0], replace(conv.values[1], name=name))
    named = replace(conv, values=values, layers=(replace(conv.layers[0], name=name),))
    written = tflite_model(named)
    assert written.layers == (name,)
    assert [row.source for row in compile_tflite(written.content, U55).operations] == [0]


@pytest.mark.parametrize("content", [b"", b"TFL3TFL3" * 9])
def test_what_is_no_network_is_an_error(content):
    with pytest.raises(MeasurementError, match="ethos-u-vela") as error:
        compile_tflite(content, U55)
    assert error.value.kind == "vela"


def test_an_unknown_system_is_an_error_that_names_it(written):
    with pytest.raises(MeasurementError, match=r"System_Config\.Moon not found"):
        compile_tflite(written.content, System("ethos-u55-128", "Moon", "Shared_Sram"))


def test_a_compilation_that_takes_too_long(written):
    with pytest.raises(MeasurementError, match=r"more than 0\.01 s") as error:
        compile_tflite(written.content, U55, timeout_s=0.01)
    assert error.value.kind == "timeout"


def test_without_vela_the_extra_is_named(written, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(MissingExtraError, match=r"hannah-hw\[vela\]"):
        compile_tflite(written.content, U55)


def test_nothing_is_left_behind(written, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    compile_tflite(written.content, U55)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def texts(written, tmp_path_factory):
    """Summary and database as vela writes them."""
    import subprocess

    folder = tmp_path_factory.mktemp("texts")
    (folder / "x.tflite").write_bytes(written.content)
    options = ["--accelerator-config", "ethos-u55-128", "--enable-debug-db", "--output-dir", "out"]
    subprocess.run(
        [sys.executable, "-m", "ethosu.vela", "x.tflite", *options],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (summary,) = (folder / "out").glob("*summary*.csv")
    return summary.read_text(), (folder / "out/x_debug.xml").read_text()


def test_the_texts_are_read(texts, compiled):
    summary, operations = read_summary(texts[0]), read_operations(texts[1])
    check_agreement(summary, operations)
    assert summary.cycles == compiled.summary.cycles
    assert operations == compiled.operations


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: "", "has 0 lines, not 2"),
        (lambda text: text.replace("cycles_total", "cycles"), "has no column 'cycles_total'"),
        (lambda text: text.rstrip() + ",1\n", "cells, and the header"),
        (lambda text: text.replace("500000000.0", "fast"), "is 'fast', not a number"),
        (lambda text: text.replace("500000000.0", "nan"), "is 'nan', not a number"),
        (lambda text: text.replace("500000000.0", "-1"), "is '-1', not a number of 0 or more"),
        (lambda text: text.replace("500000000.0", "0"), "the clock in its summary is 0 Hz"),
    ],
)
def test_a_summary_that_says_something_else_is_refused(texts, change, words):
    with pytest.raises(MeasurementError, match=words) as error:
        read_summary(change(texts[0]))
    assert error.value.kind == "vela_output"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:100], "no table 'source'"),
        (lambda text: text.replace('name="perf"', 'name="speed"'), "no table 'perf'"),
        (lambda text: text.replace('"op_cycles"', '"cycles"'), "no column 'op_cycles'"),
        (lambda text: text.replace('"source_id"', '"source_id","more"'), "cells, and the header"),
        (lambda text: text.replace('"Conv2D",', '"Conv2D"x,'), "is no table"),
    ],
)
def test_a_database_that_says_something_else_is_refused(texts, change, words):
    with pytest.raises(MeasurementError, match=words) as error:
        read_operations(change(texts[1]))
    assert error.value.kind == "vela_output"


def test_operations_that_do_not_add_up_are_refused(texts):
    operations = read_operations(texts[1])
    with pytest.raises(MeasurementError, match=r"its operations have .* cycles, and its summary says"):
        check_agreement(read_summary(texts[0]), operations[1:])


def test_a_file_is_read_without_computing_it(network, written):
    found = outline(written.content, "x.tflite")
    assert len(found.calls) == len(written.layers)
    assert found.calls[0].code == "CONV_2D"
    assert found.calls[0].output == network.layers[0].name
    first = network.layers[0]
    assert found.constants[f"{first.name}/weights"] == first.weights.size
    assert found.constants[f"{first.name}/bias"] == 4 * len(first.bias)


@pytest.mark.parametrize("length", [0, 7, 100, 1000])
def test_a_damaged_file_is_refused(written, length):
    with pytest.raises(ModelError, match=r"x\.tflite: .*TFL"):
        outline(written.content[:length], "x.tflite")
