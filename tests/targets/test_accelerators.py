"""Every accelerator of the catalogue and every skeleton: read, described, and in the editor's schema."""

import copy
import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import TargetError
from hannah_hw.targets import (
    Accelerator,
    describe_target,
    json_schema,
    list_targets,
    load_target,
    parse_target,
)
from hannah_hw.targets.drawing import draw

ACCELERATORS = [name for name in list_targets() if isinstance(load_target(name), Accelerator)]
SKELETONS = sorted(
    path.name for path in (resources.files("hannah_hw.targets") / "skeletons").iterdir() if path.is_file()
)


def _texts():
    folder = Path(str(resources.files("hannah_hw.targets"))) / "skeletons"
    files = {name: load_target(name).origin for name in list_targets()}
    files |= {name: folder / name for name in SKELETONS}
    return {name: path.read_text().replace("@NAME@", "chip") for name, path in files.items()}


TEXTS = _texts()


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", TEXTS)
def test_the_schema_takes_what_is_written(validator, name):
    assert not list(validator.iter_errors(yaml.safe_load(TEXTS[name])))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("clock_hz",), []),
        (("clok_hz",), 1),
        (("array", "dims", "rows"), 0),
        (("array", "dims", "rows"), "wide"),
        (("memories", 0, "size"), 65536),
        (("memories", 0, "holds"), ["X"]),
        (("memories", 0, "read_pj"), {"fit": "sram_28nm"}),
        (("memories", 0, "read_pj"), {"value": 1}),
        (("memories", 0, "ports", 0, "kind"), "both"),
        (("params", "pe", "choice"), 3),
        (("model", "kind"), "${kind}"),
        (("unsupported",), "ignore"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(validator, path, value):
    data = yaml.safe_load(TEXTS["loop_nest.yaml"])
    assert not list(validator.iter_errors(data))
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert list(validator.iter_errors(data))
    with pytest.raises(TargetError) as failure:
        parse_target(yaml.safe_dump(data, sort_keys=False), "chip.yaml")
    assert path[0] in failure.value.where


@pytest.mark.parametrize("name", ACCELERATORS)
def test_the_description_is_json_and_complete(name):
    target = load_target(name)
    described = json.loads(json.dumps(describe_target(target)))
    assert described["fingerprint"] == target.fingerprint
    assert described["assignment"] == dict(target.assignment)
    assert set(described["params"]) == set(target.params)
    for memory in described["memories"]:
        for field in ("read_pj", "write_pj", "area_mm2"):
            if field in memory:
                assert memory[field]["reference"]
    assert set(described["operators"]) == {kind for rule in target.ops for kind in rule.kinds}


@pytest.mark.parametrize("name", ACCELERATORS)
def test_every_level_of_every_param_is_a_chip_of_its_own(name):
    target = load_target(name)
    for param, declared in target.params.items():
        levels = declared.values
        chosen = [levels[0], levels[len(levels) // 2], levels[-1]]
        variants = [target.with_params({param: value}) for value in chosen]
        assert len({variant.fingerprint for variant in variants}) == len(set(chosen))
        assert [variant.assignment[param] for variant in variants] == chosen
        assert all(load_target(variant.label) == variant for variant in variants)


def _places(data, path=()):
    """Every path in a document."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from _places(value, (*path, key))


_SKELETON = yaml.safe_load(TEXTS["loop_nest.yaml"])
_JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats()
    | st.sampled_from(
        ["", "64 KiB", "-1 B", "${pe}", "${", "}", "${}", "${pe}${pe}", "${buffer / 0}", "I", "D1"]
    )
    | st.text(max_size=5)
    | st.lists(st.sampled_from(["I", "W", "O", "rows", 1, {}]), max_size=3)
    | st.dictionaries(st.sampled_from(["K", "rows", "fit", "value", "I"]), st.integers(0, 9), max_size=2)
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(_places(_SKELETON))), _JUNK)
def test_whatever_stands_in_a_field_the_answer_is_a_chip_or_an_error_with_its_place(path, junk):
    data = copy.deepcopy(_SKELETON)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = junk
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    target, where = None, ""
    try:
        target = parse_target(text, "chip.yaml")
    except TargetError as failure:
        where = failure.where
    if target is None:
        assert where.startswith("chip.yaml")
        return
    assert draw(target)
    assert len(describe_target(target)["fingerprint"]) == 64
