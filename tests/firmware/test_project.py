"""Generated projects: what they compute, that they build everywhere, and that nothing of a stranger gets into them."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.cores import CORES, core_named
from hannah_hw.cost.entries import Entries
from hannah_hw.errors import EvaluationError, InputError, UnsupportedError
from hannah_hw.firmware import reference, toolchain
from hannah_hw.firmware.building import build
from hannah_hw.firmware.design import make_design
from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.libraries import cost_library
from hannah_hw.firmware.naming import comment, identifier, markdown
from hannah_hw.firmware.network import read_network, workload_of
from hannah_hw.firmware.project import Project, generate
from tests.firmware.models import MODELS, Graph, random_inputs

MLPERF_TINY = ("resnet8", "ds_cnn_kws", "mobilenet_v1_025", "fc_autoencoder")
PLACES = ("host", *CORES)


def core_of(place: str):
    return None if place == "host" else core_named(place)


class Library:
    """A project built for this machine, called from Python."""

    def __init__(self, project: Project, compiler: toolchain.Compiler) -> None:
        self.project = project
        self.library = ctypes.CDLL(str(build(project, compiler).elf))
        for name in ("input", "output"):
            self.function(name).restype = ctypes.c_void_p
        self.function("init")()

    def function(self, name: str):
        return getattr(self.library, f"{self.project.prefix}_{name}")

    def run(self, inputs: list[np.ndarray]) -> list[bytes]:
        for number, array in enumerate(inputs):
            ctypes.memmove(self.function("input")(number), array.tobytes(), array.size)
        self.function("run")()
        network = self.project.network
        return [
            ctypes.string_at(self.function("output")(number), network.values[index].size)
            for number, index in enumerate(network.outputs)
        ]


@pytest.mark.parametrize("compiler", toolchain.available(None), ids=lambda c: c.name)
@pytest.mark.parametrize("name", [*MODELS, *MLPERF_TINY])
def test_a_project_on_this_machine_computes_what_the_reference_says(name, compiler, networks, tmp_path):
    network = networks(name)
    library = Library(generate(network, None, folder=tmp_path, name=f"{name}_{compiler.name}"), compiler)
    for seed in range(3):
        inputs = random_inputs(network, seed)
        assert library.run(inputs) == [y.tobytes() for y in reference.run(network, inputs)]
    assert not library.function("input")(len(network.inputs))
    assert not library.function("output")(-1)


@pytest.mark.parametrize("place", ["host", "m0p", "m4"])
@pytest.mark.parametrize("name", [*MODELS, *MLPERF_TINY])
def test_memory_plans_keep_what_is_still_needed(name, place, networks):
    """The reference's layers write into the arena by the plan, and leave rubbish in their scratch memory."""
    network = networks(name)
    design = make_design(network, core_of(place))
    memory = design.memory
    arena = np.zeros(memory.arena_bytes, np.int8)

    def place_of(index: int) -> slice:
        return slice(memory.offsets[index], memory.offsets[index] + network.values[index].size)

    inputs = random_inputs(network, 1)
    for index, array in zip(network.inputs, inputs, strict=True):
        arena[place_of(index)] = array.ravel()
    for k, layer in enumerate(network.layers):
        operands = [arena[place_of(i)].reshape(network.values[i].shape).copy() for i in layer.inputs]
        scratch = slice(memory.scratch_offsets[k], memory.scratch_offsets[k] + memory.scratch_bytes[k])
        assert scratch.stop <= memory.arena_bytes
        arena[scratch] = 85
        arena[place_of(layer.output)] = reference.run_layer(network, layer, operands).ravel()
    for index, wanted in zip(network.outputs, reference.run(network, inputs), strict=True):
        assert (arena[place_of(index)] == wanted.ravel()).all()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [*MODELS, *MLPERF_TINY])
def test_estimates_know_the_bytes_of_firmware(name, place, networks):
    """Constants and scratch memory by the formulas of the cost library."""
    network, core = networks(name), core_of(place)
    design = make_design(network, core)
    kernels = workload_of(network).kernels
    library = cost_library(core)
    entries = Entries.of_first(kernels)
    scratch = library.memory(kernels)[1][0]
    for k, step in enumerate(design.steps):
        where = f"{step.choice.kernel_class.name}: {step.layer.name}"
        assert design.memory.scratch_bytes[k] == scratch[k], where
        formula = step.choice.kernel_class.constants
        constants = 0 if formula is None else formula(entries)[k]
        if step.layer.kind not in ("concat", "avg_pool"):
            assert len(step.packed.data) == constants, where


def test_the_same_network_gives_the_same_bytes(networks, tmp_path):
    for place in ("host", "m4"):
        projects = [
            generate(networks("residual"), core_of(place), folder=tmp_path / f"{place}{n}") for n in range(2)
        ]
        first, second = ({f: (p.folder / f).read_bytes() for f in p.files} for p in projects)
        assert first == second
        written = {
            str(p.relative_to(projects[0].folder)) for p in projects[0].folder.rglob("*") if p.is_file()
        }
        assert written == set(first)
        assert str(tmp_path).encode() not in b"".join(first.values())


def test_nothing_of_a_stranger_reaches_the_code(tmp_path):
    """Names that try to leave comments, strings, tables and lines: the project still builds, and is the same code."""
    evil = '*/ #error x /* "\\\n#error y\n??/ | `rm` <b> \u202e\u00e9 $(CC) ${X} @X@ */'
    graph = Graph((4, 6, 6))
    y = graph.conv("input", 4, 4, (3, 3), relu=False, name=evil)
    path = graph.quantised(tmp_path / "model.onnx", graph.op("Add", y, "input"))
    model = onnx.load(path)
    model.graph.input[0].name = evil + "in"
    for node in model.graph.node:
        node.input[:] = [evil + "in" if name == "input" else name for name in node.input]
    network = read_network(model)
    named = generate(network, None, folder=tmp_path / "evil", name=evil)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", named.prefix)
    inputs = random_inputs(network, 0)
    library = Library(named, toolchain.available(None)[0])
    assert library.run(inputs) == [y.tobytes() for y in reference.run(network, inputs)]
    for core in (core_named("m4"), None):
        project = generate(network, core, folder=tmp_path / "again", name=evil)
        texts = {f: (project.folder / f).read_text(encoding="ascii") for f in project.files}
        rows = [line for line in texts["README.md"].splitlines() if line.startswith("| `")]
        assert all(line.count("|") == 7 for line in rows)
        code = re.sub(r"/\*.*?\*/", "", texts["layers.c"], flags=re.DOTALL)
        assert not re.search(r"#\s*error", code)
        made = [
            text
            for file, text in texts.items()
            if file in ("Makefile", "CMakeLists.txt", "link.ld", "main.c")
        ]
        assert not any(re.search("@[A-Z_]+@", text) for text in made)


@given(st.text(max_size=80))
def test_identifiers_are_ones(text):
    name = identifier(text)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,44}", name)
    assert name not in ("int", "main", "layers", "weights", "start", "hn")
    assert identifier(name) == name


@given(st.text(alphabet=st.sampled_from("a*/\\?\n|`<>\u00e9 "), max_size=40))
def test_comments_stay_comments(text):
    for shown in (comment(text), markdown(text)):
        assert "*/" not in shown
        assert "/*" not in shown
        assert "??" not in shown
        assert "\\" not in shown
        assert "\n" not in shown
        assert shown.isascii()
    assert "|" not in markdown(text)
    assert markdown(text).count("`") == 2


def test_a_layer_that_does_not_fit_is_named(networks):
    network = networks("residual")
    needed = make_design(network, core_named("m4")).memory.arena_bytes
    make_design(network, core_named("m4"), ram_bytes=needed + 100, stack_bytes=100)
    with pytest.raises(
        EvaluationError, match=r"layer 'conv_\d+' needs [\d,]+ bytes of arena, .* scratch"
    ) as raised:
        make_design(network, core_named("m4"), ram_bytes=needed + 99, stack_bytes=100)
    assert raised.value.kind == "memory"
    assert f"the network needs {needed:,} and 100 bytes of stack" in str(raised.value)


def test_operators_without_a_kernel_are_named(networks):
    network = networks("plain")
    layers = [
        layer if k else type(layer)(**{**vars(layer), "kind": "layer_norm"})
        for k, layer in enumerate(network.layers)
    ]
    odd = Network(network.name, network.values, tuple(layers), network.inputs, network.outputs)
    with pytest.raises(UnsupportedError, match=r"layer 'conv_0'.*'layer_norm'.*Cortex-M4"):
        make_design(odd, core_named("m4"))


def test_other_roundings_and_alignments_are_refused(networks):
    network = networks("plain")
    odd = Network(network.name, network.values, network.layers, network.inputs, network.outputs, "double")
    with pytest.raises(UnsupportedError, match="double"):
        make_design(odd, None)
    with pytest.raises(InputError, match="alignment of 2"):
        make_design(network, None, alignment=2)


def test_quantising_an_input_rounds_to_nearest(networks, tmp_path):
    """The header's function against NumPy, away from ties."""
    compiler = toolchain.available(None)[0]
    project = generate(networks("temporal"), None, folder=tmp_path)
    source = tmp_path / "main.c"
    source.write_text(
        '#include "temporal.h"\nint quantise(float value, float scale, int zero);\n'
        "int quantise(float value, float scale, int zero) { return temporal_quantise(value, scale, zero); }\n"
    )
    library = tmp_path / "quantise.so"
    compiler.run([*compiler.settings.flags, "-shared", str(source), "-o", str(library)], "link")
    quantise = ctypes.CDLL(str(library)).quantise
    quantise.argtypes = [ctypes.c_float, ctypes.c_float, ctypes.c_int]
    generator = np.random.default_rng(0)
    scale, zero = np.float32(0.031), 5
    values = generator.uniform(-6, 6, 2000).astype(np.float32)
    steps = values / scale
    clear = np.abs(steps - np.floor(steps) - 0.5) > 1e-3
    wanted = np.clip(np.rint(steps) + zero, -128, 127)[clear]
    assert [quantise(float(v), float(scale), zero) for v in values[clear]] == wanted.tolist()
    assert quantise(float("nan"), 1.0, 0) == -128
    assert project.prefix == "temporal"
