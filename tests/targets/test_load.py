"""Target files: what is read is what is written, and every mistake is named with its place."""

import json

import pytest
import yaml

from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.errors import CatalogError, TargetError
from hannah_hw.targets import describe_target, json_schema, list_targets, load_target, parse_target
from hannah_hw.workload import KERNEL_KINDS


@pytest.fixture
def data():
    return yaml.safe_load(load_target("stm32l4r5zi").origin.read_text())


def test_quantities_are_read_in_base_units():
    target = load_target("stm32l4r5zi")
    assert target.clock_hz == 120e6
    assert target.ram_bytes == 640 * 1024
    assert target.flash_bytes == 2 * 1024 * 1024
    assert target.power.active_w.value == pytest.approx(0.0519)
    assert target.power.active_w.error == pytest.approx(0.02)


def test_both_shipped_targets_are_listed():
    assert {"stm32l4r5zi", "nrf5340"} <= set(list_targets())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("clok_hz",), 1, "clock_hz"),
        (("clock_hz",), "120 MiB", "MiB"),
        (("clock_hz",), 0, "greater than 0"),
        (("ram_bytes",), "lots", "not a number"),
        (("format",), "hannah-target/9", "hannah-target/1"),
        (("model", "kind"), "magic", "kernels"),
        (("power", "active_w", "source"), "guessed", "assumed"),
        (("ops",), [], "ops"),
        (("ops",), [{"match": "conv", "when": ["kernal_h <= 3"]}], "kernel_h"),
        (("ops",), [{"match": "convv"}], "unknown kernel kind 'convv'.*did you mean 'conv'"),
        (("ops",), [{"match": ["add", "sub"]}], "unknown kernel kind 'sub'"),
        (("model", "cycle_scale", "value"), 0, "must be positive"),
        (("model", "flash_wait_cycles", "value"), float("inf"), "finite"),
        (("unsupported",), "zero", "error"),
        (("name",), "My Chip", "name"),
    ],
)
def test_mistakes_are_named_with_line_and_field(data, path, value, message):
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(TargetError, match=message) as failure:
        parse_target(yaml.safe_dump(data, sort_keys=False), "my.yaml")
    assert failure.value.where.startswith("my.yaml:")
    assert path[0] in failure.value.where


def test_a_power_figure_without_a_source_is_refused(data):
    del data["power"]["active_w"]["source"]
    with pytest.raises(TargetError, match="source"):
        parse_target(yaml.safe_dump(data))


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(CatalogError, match="did you mean 'nrf5340'"):
        load_target("nrf5430")


def test_a_users_file_is_read_like_a_shipped_one(data, tmp_path):
    data["name"] = "mine"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    target = load_target(path)
    assert target.name == "mine"
    assert target.origin == path


def test_the_description_is_json_and_complete():
    described = describe_target(load_target("nrf5340"))
    assert json.loads(json.dumps(described))["power"]["active_w"]["source"] == "assumed"
    assert described["operators"]["add"] == [["activation_bits == 8", "output_bits == 8", "operands == 2"]]


def test_the_json_schema_names_every_field_of_a_shipped_file(data):
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert set(data) == set(schema["properties"])
    assert set(schema["required"]) == set(data)


def test_every_kernel_kind_that_can_be_priced_can_be_matched():
    priced = {kind for library in LIBRARIES.values() for entry in library.classes for kind in entry.kinds}
    assert priced <= set(KERNEL_KINDS)
    assert {
        kind for name in list_targets() for rule in load_target(name).ops for kind in rule.kinds
    } <= priced
