"""The targets that zigzag-dse describes say what its own files say, figure by figure."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from hannah_hw.targets import load_target

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
