"""Cost-model files: strict, versioned, and named with what is wrong."""

import pytest
import yaml

from hannah_hw import catalog
from hannah_hw.cost import load_cost_model
from hannah_hw.cost.coefficients import cost_model_text, parse_cost_model
from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.errors import CatalogError, TargetError

NAMES = catalog.names("cost_models")


@pytest.fixture
def data():
    return yaml.safe_load(cost_model_text(load_cost_model("m4/cmsis_nn")))


def refused(data, message):
    with pytest.raises(TargetError, match=message) as failure:
        parse_cost_model(yaml.safe_dump(data, sort_keys=False), "x.yaml")
    assert failure.value.where.startswith("x.yaml:")


def test_names_are_core_and_library():
    assert "m4/cmsis_nn" in NAMES
    assert all(name.count("/") == 1 for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_its_file(name):
    model = load_cost_model(name)
    assert model.name == name
    assert model.library in LIBRARIES
    path = catalog.find("cost_models", name)
    assert model.sweep is None or (path.parent / model.sweep).is_file()
    assert path.parent.name in name
    assert load_cost_model(path) == model
    assert parse_cost_model(cost_model_text(model), "x") == model


def test_mistakes_are_named(data):
    data["classes"]["conv"]["cycles"]["macs"] = -1
    refused(data, r"must be at least 0")
    data["classes"]["conv"]["cycles"] = {"macs": 1.0}
    refused(data, "has the features macs;.*computes macs, outputs.*calibrate again")
    data["classes"]["conv"] = data["classes"]["fc"]
    refused(data, "calibrate again")
    del data["classes"]["conv"]
    data["classes"]["winograd"] = data["classes"]["fc"]
    refused(data, "winograd")


def test_a_library_is_one_that_there_is(data):
    data["library"] = "cmsis_nm"
    refused(data, "unknown library 'cmsis_nm'.*did you mean 'cmsis_nn'")
    data["library"] = "hannah_dsp"  # whose classes need other features
    refused(data, "calibrate again|unknown kernel class")


def test_code_is_stated_for_every_class_and_for_no_other(data):
    data["runtime"]["code_by_class"]["con"] = data["runtime"]["code_by_class"]["conv"]
    refused(data, "unknown kernel class 'con'")
    del data["runtime"]["code_by_class"]["con"], data["runtime"]["code_by_class"]["conv"]
    refused(data, "'conv'")


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "format: 1", "\x00"])
def test_files_that_are_no_model(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(TargetError, match=r"bad\.yaml"):
        load_cost_model(path)


def test_files_of_the_first_format_are_told_what_to_do(tmp_path):
    path = tmp_path / "old.json"
    path.write_text("{}")
    with pytest.raises(TargetError, match=r"old\.json: .*YAML.*calibrate"):
        load_cost_model(path)


def test_a_users_model_is_found_by_path_and_in_their_folders(tmp_path, monkeypatch):
    text = cost_model_text(load_cost_model("m4/cmsis_nn"))
    (tmp_path / "cost_models" / "m9").mkdir(parents=True)
    (tmp_path / "cost_models" / "m9" / "mine.yaml").write_text(text)
    monkeypatch.setenv("HANNAH_HW_PATH", str(tmp_path))
    assert "m9/mine" in catalog.names("cost_models")
    assert load_cost_model("m9/mine") == load_cost_model("m4/cmsis_nn")
    near = tmp_path / "cost_models"
    assert load_cost_model("m9/mine.yaml", near=near) == load_cost_model("m4/cmsis_nn")


def test_an_unknown_name():
    with pytest.raises(CatalogError, match="did you mean 'm4/cmsis_nn'"):
        load_cost_model("m4/cmsis_n")
