"""What a network may need of an accelerator, by its file or its memories; figures that make no chip."""

from importlib import resources

import pytest
import yaml

from hannah_hw.errors import TargetError
from hannah_hw.targets import load_target, parse_target

FIGURE = {"value": 1, "source": "assumed", "reference": "a test"}


def skeleton(kind):
    text = (resources.files("hannah_hw.targets") / "skeletons" / f"{kind}.yaml").read_text()
    return yaml.safe_load(text.replace("@NAME@", "chip"))


def capacities(data, **given):
    target = parse_target(yaml.safe_dump(data), "chip.yaml")
    return tuple((target.with_params(given) if given else target).capacities.values())


def test_without_limits_a_chip_has_what_its_memories_hold():
    data = skeleton("closed_form")
    del data["limits"]
    assert capacities(data) == (64 * 1024, 64 * 1024)
    # Of other sizes of its memories, those.
    assert capacities(data, buffer="256 KiB") == (256 * 1024, 64 * 1024)
    # What the file says goes before.
    data["limits"] = {"ram_bytes": "3 KiB", "flash_bytes": "1 KiB"}
    assert capacities(data) == (3 * 1024, 1024)


def test_a_memory_of_which_there_are_many_holds_as_many_times_as_much():
    data = skeleton("closed_form")
    del data["limits"]
    # One for each row of 8 multipliers: what is shared along the columns.
    data["memories"][1] |= {"size": "1 KiB", "served": ["outputs"]}
    assert capacities(data) == (64 * 1024, 8 * 1024)


def test_memories_behind_the_one_on_chip_add_to_it():
    data = skeleton("closed_form")
    del data["limits"]
    port = {"name": "port", "kind": "read_write", "max_bits": 64}
    data["memories"].append({"name": "behind", "size": "1 MiB", "holds": ["I", "O"], "ports": [port]})
    assert capacities(data) == ((1024 + 64) * 1024, 64 * 1024)
    # Without a size it is without bound.
    del data["memories"][-1]["size"]
    assert capacities(data) == (None, 64 * 1024)


def test_an_ethos_u55_keeps_activations_in_its_sram_and_a_u65_need_not():
    assert load_target("ethos_u55_128").capacities["ram_bytes"] == 4 * 1024 * 1024
    assert load_target("ethos_u65_256").capacities["ram_bytes"] is None


def test_a_vector_unit_computes_something():
    data = skeleton("loop_nest")
    data["vector"]["lanes"] = {**FIGURE, "value": 0}
    with pytest.raises(TargetError, match="a vector unit of 0 lanes never ends"):
        parse_target(yaml.safe_dump(data), "chip.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"macs": 32}, "ethos-u55-128 has 128 multipliers, and macs x cores is 32"),
        ({"cores": 2}, "ethos-u55-128 has 128 multipliers, and macs x cores is 256"),
        # The compiler knows it, but it is built in another way.
        (
            {"accelerator": "ethos-u85-128"},
            "knows no 'ethos-u85-128'; allowed: ethos-u55-32, .*ethos-u65-512",
        ),
        ({"accelerator": "Ethos-U55-128"}, "did you mean 'ethos-u55-128'"),
        ({"accelerator": "ethos-u65-128"}, "knows no 'ethos-u65-128'"),
        ({"weight_bits": {**FIGURE, "value": 0}}, "more than 0 and up to 16 bits, not 0"),
        ({"linear_weight_bits": {**FIGURE, "value": 99}}, "more than 0 and up to 16 bits, not 99"),
    ],
)
def test_a_block_model_speaks_of_one_processor_with_weights(change, message):
    data = skeleton("block")
    data["model"] |= change
    with pytest.raises(TargetError, match=message):
        parse_target(yaml.safe_dump(data), "chip.yaml")
