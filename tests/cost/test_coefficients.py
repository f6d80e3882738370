"""Cost-model files: strict, versioned, and named with what is wrong."""

import json

import pytest

from hannah_hw import catalog
from hannah_hw.cost import load_cost_model
from hannah_hw.cost.coefficients import parse_cost_model
from hannah_hw.errors import CatalogError, TargetError


@pytest.fixture
def data():
    return load_cost_model("cmsis_nn_m4_gcc").model_dump(mode="json")


def test_only_models_are_listed():
    assert catalog.names("cost_models") == ["cmsis_nn_m4_gcc"]


def test_a_model_survives_json(data):
    assert parse_cost_model(json.loads(json.dumps(data)), "x") == load_cost_model("cmsis_nn_m4_gcc")


def test_mistakes_are_named(data):
    data["classes"]["conv"]["coefficients"][0] = -1
    with pytest.raises(TargetError, match=r"classes\.conv\.coefficients\.0.*greater"):
        parse_cost_model(data, "x.json")
    data["classes"]["conv"]["coefficients"] = [1.0]
    with pytest.raises(TargetError, match="6 features but 1"):
        parse_cost_model(data, "x.json")
    data["classes"]["conv"] = data["classes"]["fc"]
    with pytest.raises(TargetError, match="calibrate again"):
        parse_cost_model(data, "x.json")
    del data["classes"]["conv"]
    data["classes"]["winograd"] = data["classes"]["fc"]
    with pytest.raises(TargetError, match="winograd"):
        parse_cost_model(data, "x.json")


def test_code_is_stated_for_every_class_and_for_no_other(data):
    data["runtime"]["code_by_class"]["con"] = data["runtime"]["code_by_class"]["conv"]
    with pytest.raises(TargetError, match="unknown kernel class 'con'"):
        parse_cost_model(data, "x.json")
    del data["runtime"]["code_by_class"]["con"], data["runtime"]["code_by_class"]["conv"]
    with pytest.raises(TargetError, match="'conv'"):
        parse_cost_model(data, "x.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"format": 1}', "\x00"])
def test_files_that_are_no_model(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(TargetError, match=r"bad\.json"):
        load_cost_model(path)


def test_an_unknown_name():
    with pytest.raises(CatalogError, match="did you mean 'cmsis_nn_m4_gcc'"):
        load_cost_model("cmsis_nn_m4")
