"""Targets of the family host: what a file says is what is read, and what needs another family says so."""

import json

import numpy as np
import pytest
import yaml

import hannah_hw as hw
from hannah_hw.cli import main
from hannah_hw.cost import price
from hannah_hw.errors import InputError, TargetError, UnsupportedError
from hannah_hw.legalization import legalize
from hannah_hw.targets import Host, describe_target, host, json_schema, load_target, parse_target

TEXT = """
format: hannah-target/2
name: desk
title: A machine on a desk
document: calibrated by hand
runtime:
  version: 1.23.0
  threads: 1
  processor: A processor
  nchwc_block: 8
model:
  kind: learned
  coefficients: desk_model.yaml
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "desk.yaml"
    path.write_text(TEXT)
    return path


def test_a_host_is_what_its_file_says(path):
    target = load_target(path)
    assert isinstance(target, Host)
    assert (target.family, target.kind, target.origin) == ("host", "learned", path)
    assert target.capacities == {"ram_bytes": None, "flash_bytes": None}
    assert target.runtime.model_dump() == {
        "version": "1.23.0",
        "provider": "CPUExecutionProvider",
        "optimisation": "all",
        "threads": 1,
        "processor": "A processor",
        "nchwc_block": 8,
    }


def test_the_precision_of_candidates_is_chosen_behind_the_name(path):
    assert load_target(path).label == "desk:float32"
    other = load_target(f"{path}:int8")
    assert (other.model.precision, other.label) == ("int8", "desk:int8")
    assert other.using("float32") == load_target(path)
    with pytest.raises(TargetError, match="unknown precision 'int4'; allowed: float32, int8"):
        load_target(f"{path}:int4")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("clock_hz",), "1 GHz", "clock_hz"),
        (("runtime", "threads"), 0, "at least 1"),
        (("runtime", "provider"), "CUDAExecutionProvider", "CPUExecutionProvider"),
        (("runtime", "version"), "", "version"),
        (("runtime", "nchwc_blocks"), 8, "nchwc_block"),
        (("model", "precision"), "int7", "float32.*int8"),
        (("model", "coefficients"), "", "coefficients"),
        (("model", "kind"), "learnt", "did you mean 'learned'"),
    ],
)
def test_mistakes_are_named_with_line_and_field(place, value, message):
    data = yaml.safe_load(TEXT)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(TargetError, match=message) as failure:
        parse_target(yaml.safe_dump(data, sort_keys=False), "desk.yaml")
    assert failure.value.where.startswith("desk.yaml:")


def test_the_json_schema_is_what_is_read():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    data = yaml.safe_load(TEXT)
    assert validator.is_valid(data)
    del data["runtime"]["threads"]
    assert not validator.is_valid(data)
    # Arithmetic with params is an accelerator's.
    data["runtime"]["threads"] = "${2 * pe}"
    assert not validator.is_valid(data)


def test_a_clock_is_asked_of_chips_only():
    definitions = json_schema()["$defs"]
    assert "clock_hz" in definitions["Microcontroller"]["required"]
    assert "clock_hz" in definitions["Accelerator"]["required"]
    assert "clock_hz" not in definitions["Host"]["properties"]


def test_the_description_is_json_and_complete(path):
    described = json.loads(json.dumps(describe_target(load_target(path))))
    assert described["family"] == "host"
    assert described["runtime"]["processor"] == "A processor"
    assert described["model"] == {
        "kind": "learned",
        "coefficients": "desk_model.yaml",
        "precision": "float32",
    }
    assert described["operators"] == {}


def test_it_is_listed_and_shown(capsys, monkeypatch, tmp_path, path):
    (tmp_path / "targets").mkdir()
    path.rename(tmp_path / "targets" / "desk.yaml")
    monkeypatch.setenv("HANNAH_HW_PATH", str(tmp_path))
    assert main(["targets", "list"]) == 0
    text = capsys.readouterr().out
    assert text.index("Accelerators") < text.index("Hosts") < text.index("A machine on a desk")
    assert main(["targets", "list", "--json"]) == 0
    (entry,) = [e for e in json.loads(capsys.readouterr().out) if e["name"] == "desk"]
    assert entry["precision"] == "float32"
    assert "clock_hz" not in entry
    assert main(["targets", "show", "desk:int8"]) == 0
    shown = capsys.readouterr().out
    assert "runtime.nchwc_block" in shown
    assert "a class that was not measured has no price" in shown


def test_all_operators_can_run(capsys, path):
    assert main(["targets", "ops", str(path)]) == 0
    assert capsys.readouterr().out.startswith("all that ONNX Runtime runs")


def test_a_description_is_made_by_measuring(capsys, tmp_path):
    assert main(["targets", "new", "my_host", "--kind", "learned"]) == 2
    assert "hannah-hw calibrate host --space NAME --out my_host.yaml" in capsys.readouterr().err


def test_what_needs_another_family_says_so(path):
    target = load_target(path)
    space = hw.load_space("ds_cnn")
    with pytest.raises(InputError, match="give `estimate` the candidate"):
        price(space.candidate(space.default()).workload(), target)
    with pytest.raises(UnsupportedError, match="needs a host, and stm32l4r5zi is a target of the family"):
        host(load_target("stm32l4r5zi"), "this")
    assert host(target, "this") is target


def test_there_is_no_expected_latency_kernel_by_kernel(path):
    pytest.importorskip("torch")
    from hannah_hw.expected_cost import ExpectedCost

    space = hw.load_space("ds_cnn")
    with pytest.raises(UnsupportedError, match="depends on the kernels before it"):
        ExpectedCost(space, load_target(path))


def test_every_operator_can_run(path):
    space = hw.load_space("ds_cnn")
    found = legalize(space, load_target(path))
    rows = space.sample_population(20, seed=0)
    assert np.array_equal(found.space.sample_population(20, seed=0), rows)
