"""The targets that zigzag-dse describes say what its own files say, figure by figure."""

import importlib.util
import math
from pathlib import Path

import pytest
import yaml

from hannah_hw import estimate, load_space
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.accelerators.models import MODELS
from hannah_hw.targets import load_target
from hannah_hw.workload import KERNEL_COLUMNS
from tests.blocks import kernels_of

#: Our name -> its file, and the unrolling of its example mapping; of Eyeriss it has none.
TARGETS = {
    "eyeriss": ("eyeriss_like", None),
    "tpu_like": ("tpu_like", "tpu_like"),
    "meta_prototype": ("meta_prototype", "meta_prototype_like"),
    "edge_tpu_like": ("edge_tpu_like", "edge_tpu_like"),
    "ascend_like": ("ascend_like", "ascend_like"),
    "tesla_npu_like": ("tesla_npu_like", "tesla_npu_like"),
}
OPERAND = {"I1": "I", "I2": "W", "O": "O"}
MOVE = {"fh": "fill", "tl": "read", "fl": "update", "th": "drain"}


@pytest.fixture(scope="module")
def inputs():
    spec = importlib.util.find_spec("zigzag")
    if spec is None:
        pytest.skip("zigzag-dse is not installed")
    return Path(spec.origin).parent / "inputs"


@pytest.mark.parametrize("name", TARGETS)
def test_figures_are_those_of_zigzag(inputs, name):
    target = load_target(name)
    theirs = yaml.safe_load((inputs / "hardware" / f"{TARGETS[name][0]}.yaml").read_text())
    array = theirs["operational_array"]
    assert list(target.array.dims.items()) == list(zip(array["dimensions"], array["sizes"], strict=True))
    assert target.array.mac_pj.value == array["unit_energy"]
    assert target.array.systolic == tuple(array.get("systolic_dimensions", ()))
    assert [memory.name for memory in target.memories] == list(theirs["memories"])
    for memory, its in zip(target.memories, theirs["memories"].values(), strict=True):
        # Its outermost memory has 10^10 bits, which stand for no bound.
        assert its["size"] == (10**10 if memory.size is None else 8 * memory.size)
        assert (memory.read_pj.value, memory.write_pj.value) == (its["r_cost"], its["w_cost"])
        assert set(memory.holds) == {OPERAND[operand] for operand in its["operands"]}
        assert list(memory.served) == its["served_dimensions"]
        assert memory.double_buffer == (True if its.get("force_double_buffering") else "auto")
        carried = memory.carried()
        for port, other in zip(memory.ports, its["ports"], strict=True):
            assert port.kind == other["type"]
            assert port.max_bits == other["bandwidth_max"]
            assert (port.min_bits or port.max_bits) == other["bandwidth_min"]
            moves = {(operand, move) for operand, moves in carried[port.name].items() for move in moves}
            pairs = [entry.replace(" ", "").split(",") for entry in other["allocation"]]
            assert moves == {(OPERAND[operand], MOVE[move]) for operand, move in pairs}


@pytest.mark.parametrize("name", [name for name, (_, mapping) in TARGETS.items() if mapping])
def test_unrollings_are_those_of_zigzags_example_mappings(inputs, name):
    text = (inputs / "mapping" / f"{TARGETS[name][1]}.yaml").read_text()
    theirs = next(entry for entry in yaml.safe_load(text) if entry["name"] == "default")["spatial_mapping"]
    pairs = {side: [entry.replace(" ", "").split(",") for entry in loops] for side, loops in theirs.items()}
    (ours,) = load_target(name).dataflow.spatial
    assert ours == {side: {loop: int(units) for loop, units in loops} for side, loops in pairs.items()}


#: Cycles and picojoules of DS-CNN, layers alone, as zigzag-dse 3.9.1 finds them: the unrolling above, 6 loop factors,
#: least latency (own run). Energies are of its mappings; others may take as many cycles.
FOUND = {"tpu_like": (310_514, 19_604_263.5), "meta_prototype": (45_122, 15_426_114.3)}


@pytest.fixture(scope="module")
def keyword_spotter():
    return load_space("mlperf_tiny:ds_cnn_kws").candidate({})


@pytest.mark.parametrize("name", FOUND)
def test_layers_take_the_cycles_that_zigzag_finds(keyword_spotter, name):
    target = load_target(name)
    as_zigzag = {"tiles": "fractional", "half_full": False}
    target = target.model_copy(update={"model": target.model.model_copy(update=as_zigzag)})
    rows = [row for row in kernels_of(keyword_spotter.workload()) if row["kind"] in ("conv", "linear")]
    columns = {column: [row[column] for row in rows] for column in KERNEL_COLUMNS}
    costs = MODELS["loop_nest"](Layers.of([row["kind"] for row in rows], **columns), target)
    cycles, energy = FOUND[name]
    assert costs.cycles.sum() == cycles
    assert costs.energy_pj.sum() == pytest.approx(energy, rel=0.02)


@pytest.mark.parametrize("name", TARGETS)
def test_a_network_has_a_price(keyword_spotter, name):
    target = load_target(name)
    report = estimate(keyword_spotter, target=name)
    assert not report.unsupported
    assert report.latency_s == pytest.approx(report.cycles / target.clock_hz)
    assert report.cycles == pytest.approx(sum(kernel.cycles for kernel in report.kernels))
    units = math.prod(target.array.dims.values())
    for kernel in report.kernels:
        assert kernel.cycles >= kernel.macs / units
        assert kernel.energy_j >= kernel.macs * target.array.mac_pj.value * 1e-12
    # Which multipliers work is fixed: that of a depthwise layer uses few of them.
    depthwise = next(k for k in report.kernels if k.macs == 72_000)
    pointwise = next(k for k in report.kernels if k.macs == 512_000)
    assert depthwise.cycles / depthwise.macs > pointwise.cycles / pointwise.macs
