"""Target files: what is read is what is written, and every mistake is named with its place."""

import json

import pytest
import yaml

from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.errors import CatalogError, TargetError
from hannah_hw.targets import RULE_SETS, describe_target, json_schema, list_targets, load_target, parse_target
from hannah_hw.workload import KERNEL_KINDS

NOTHING = {"value": 0, "source": "assumed", "reference": "a test"}
RUNTIME = ("model", "runtimes", "cmsis_nn")


@pytest.fixture
def data():
    return yaml.safe_load(load_target("stm32l4r5zi").origin.read_text())


def test_quantities_are_read_in_base_units():
    target = load_target("stm32l4r5zi")
    assert target.clock_hz == 120e6
    assert target.ram_bytes == 640 * 1024
    assert target.flash_bytes == 2 * 1024 * 1024
    assert (target.flash_origin, target.ram_origin) == (0x0800_0000, 0x2000_0000)
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
        (("format",), "hannah-target/9", "hannah-target/2"),
        (("format",), "hannah-target/1", "no longer read.*model.runtimes"),
        (("core",), "Cortex-M4", "unknown core 'Cortex-M4'; allowed: m0p, m3, m4"),
        (("model", "kind"), "magic", "kernels"),
        (("power", "active_w", "source"), "guessed", "assumed"),
        ((*RUNTIME, "ops"), [], "ops"),
        ((*RUNTIME, "ops"), "cmsis-nn", "unknown operator rules 'cmsis-nn'.*did you mean 'cmsis_nn'"),
        ((*RUNTIME, "ops"), [{"match": "conv", "when": ["kernal_h <= 3"]}], "kernel_h"),
        ((*RUNTIME, "ops"), [{"match": "convv"}], "unknown kernel kind 'convv'.*did you mean 'conv'"),
        ((*RUNTIME, "ops"), [{"match": ["add", "sub"]}], "unknown kernel kind 'sub'"),
        ((*RUNTIME, "cycle_scale", "value"), 0, "must be positive"),
        ((*RUNTIME, "flash_wait_cycles", "value"), float("inf"), "finite"),
        (("model", "runtime"), "cmsis", "unknown runtime 'cmsis'; allowed: .*did you mean 'cmsis_nn'"),
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
    assert described["runtime"] in described["runtimes"]
    assert described["model"]["flash_wait_cycles"]["source"] == "fitted"


def test_a_runtime_is_chosen_behind_the_name(data, tmp_path):
    path = tmp_path / "mine.yaml"
    runtimes, data["model"]["runtime"] = data["model"]["runtimes"], "cmsis_nn"
    runtimes["other"] = {**runtimes["cmsis_nn"], "flash_wait_cycles": NOTHING, "device_error": 0.5}
    path.write_text(yaml.safe_dump(data))
    for name in (str(path), f"{path}:cmsis_nn"):
        assert load_target(name).model.flash_wait_cycles.value == 5
        assert load_target(name).label == "stm32l4r5zi:cmsis_nn"
    other = load_target(f"{path}:other")
    assert (other.model.flash_wait_cycles.value, other.model.device_error) == (0, 0.5)
    assert other.label == "stm32l4r5zi:other"
    assert other.using("cmsis_nn") == load_target(path)
    for wrong in ("othr", ""):
        with pytest.raises(TargetError, match=f"unknown runtime '{wrong}'; allowed: cmsis_nn"):
            load_target(f"{path}:{wrong}")


def test_changed_fields_of_a_runtime_are_those_of_the_runtime_in_use():
    target = load_target("stm32l4r5zi:cmsis_nn")
    model = target.model.model_copy(update={"device_error": 0.25})
    assert model.device_error == 0.25
    assert target.model.device_error != 0.25
    assert all(
        model.runtimes[name] == target.model.runtimes[name] for name in model.runtimes if name != "cmsis_nn"
    )
    with pytest.raises(TargetError, match="unknown runtime 'x'"):
        target.using("x")


def test_the_processor_is_one_that_firmware_is_built_for():
    assert load_target("stm32l4r5zi").processor.title == "Cortex-M4"


def test_the_json_schema_names_every_field_of_a_shipped_file(data):
    families = json_schema()
    assert [entry["$ref"].rsplit("/")[-1] for entry in families["anyOf"]] == [
        "Microcontroller",
        "Accelerator",
        "Host",
    ]
    schema = families["$defs"]["Microcontroller"]
    assert schema["additionalProperties"] is False
    assert set(data) == set(schema["properties"])
    assert {"KernelRuntime", "OperatorRule"} <= set(families["$defs"])
    assert set(schema["required"]) == set(data) - {"flash_origin", "ram_origin"}


def test_every_kernel_kind_that_can_be_priced_can_be_matched():
    priced = {kind for library in LIBRARIES.values() for entry in library.classes for kind in entry.kinds}
    assert priced <= set(KERNEL_KINDS)
    assert {kind for rules in RULE_SETS.values() for rule in rules for kind in rule.kinds} <= priced
