"""Searches with a user's own files, from the configuration to the exported models."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from pydantic import TypeAdapter

from hannah_hw.cli import main
from hannah_hw.errors import ConfigError, DataError
from hannah_hw.report import read_run, write_page
from hannah_hw.report.provenance import error_interval
from hannah_hw.scoring import load_data
from hannah_hw.search import dry_run, load_config, run_search
from hannah_hw.search.sections import DataChoice
from tests.sources.made import tone, write_images, write_tones

pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("PIL")

CONFIG: dict[str, Any] = {
    "version": 1,
    "space": {"name": "ds_cnn", "max_blocks": 1},
    "target": "stm32l4r5zi",
    "data": {"path": "tones", "kind": "audio", "clip": "500 ms", "mels": 16, "low": "200 Hz"},
    "objectives": {"error": "min", "latency": "min"},
    "training": {"epochs": 3, "batch_size": 8},
    "search": {"evaluations": 2, "seed": 0, "algorithm": "nsga2", "population": 4},
}


def write(folder, **changes):
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A folder with recordings, a configuration beside them, and a run of it."""
    folder = tmp_path_factory.mktemp("own")
    write_tones(folder / "tones", {"high": 24, "low": 24})
    result = run_search(write(folder), folder / "run")
    assert result.front
    return folder


def test_a_recording_goes_through_front_end_and_model_to_its_class(searched, tmp_path):
    assert main(["export", str(searched / "run"), "--pick", "knee", "--out", str(tmp_path)]) == 0
    (model,) = [path for path in tmp_path.glob("*.onnx") if path.name != "front_end.onnx"]
    constants = yaml.safe_load((tmp_path / "preprocessing.yaml").read_text())
    assert constants["classes"] == ["high", "low"]
    assert constants["reading"]["front_end"]["rate_hz"] == 8000

    def run(path, value):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: value})[0]

    # Tones of either class that no recording holds.
    clips = np.stack([tone(hertz, 8000, 0.5, seed=99) for hertz in (400, 800)]).astype(np.float32)
    features = run(tmp_path / "front_end.onnx", clips)
    answers = [constants["classes"][int(run(model, row[None]).argmax())] for row in features]
    # Classes are sorted by name: `high` was written with 400 Hz, `low` with 800 Hz.
    assert answers == ["high", "low"]


def test_the_run_says_how_its_data_was_read(searched):
    data = read_run(searched / "run").resolved["data"]
    assert data["class_names"] == ["high", "low"]
    assert data["reading"]["front_end"]["mels"] == 16
    assert data["class_counts"] == {"train": [16, 16], "validation": [4, 4], "test": [4, 4]}
    assert any("validation samples are few" in warning for warning in data["warnings"])
    # Wilson: 0 of n may be up to z^2 / (n + z^2), with z = 1.96.
    assert (
        error_interval(read_run(searched / "run"), "error", 0.0) == "0.0 to 32.4 % (95 % interval, 8 samples)"
    )
    assert error_interval(read_run(searched / "run"), "latency_s", 0.1) == ""
    page = write_page(read_run(searched / "run")).read_text()
    assert "Data: 2 of 2 classes have fewer than 50 training samples: high, low" in page
    assert "<dt>reading.front_end.mels</dt><dd>16</dd>" in page


def test_a_run_goes_on_only_with_the_data_that_it_began_with(searched):
    files = sorted((searched / "tones" / "low").iterdir())
    again = run_search(None, searched / "run", resume=True)
    assert len(again.records) >= 2
    moved = files[0].rename(searched / "elsewhere.wav")
    try:
        with pytest.raises(ConfigError, match="the data changed since the run"):
            run_search(None, searched / "run", resume=True)
    finally:
        moved.rename(files[0])


def test_paths_are_looked_up_beside_the_configuration(tmp_path, monkeypatch):
    write_images(tmp_path / "photos", {"a": 8, "b": 8})
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir("/")
    photos = str(tmp_path / "photos")
    assert load_config(write(tmp_path, data="photos")).data == photos
    options = load_config(write(tmp_path, data={"path": "photos", "kind": "images", "size": [16, 16]}))
    assert options.data.path == photos
    assert load_data(options.data).input_shape == (1, 16, 16)
    # A built-in name stays one, whatever lies there.
    assert load_config(write(tmp_path, data="digits")).data == "digits"
    other = load_config(write(tmp_path, data={"path": "photos", "kind": "images", "size": [16, 8]}))
    assert other.hash != options.hash


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"path": "x", "kind": "image"}, r"my\.yaml:6:1 data: .*a kind: images, audio, series or npz"),
        ({"path": "x", "kind": "images", "sizes": [1, 1]}, r"unknown field 'sizes'.*did you mean 'size'"),
        ({"path": "x", "kind": "images", "size": [1]}, r"data\.size: has too few values; value 2 is missing"),
        ({"path": "x", "kind": "images", "size": [0, 1]}, r"data\.size\.0: must be at least 1"),
        ({"path": "x", "kind": "audio", "rate": "16 kB"}, "data.rate: '16 kB' has the unit 'kB'"),
        ({"kind": "audio"}, "the field 'path' is missing"),
        ({"path": "x"}, "data: must be text, or a mapping with a path and a kind"),
        (7, "data: must be text, or a mapping"),
    ],
)
def test_wrong_options_are_named_with_their_line(tmp_path, data, said):
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path, data=data))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nowhere.npz", r"my\.yaml:6:1 data: nowhere\.npz: there is no such file"),
        ("mnist5", r"my\.yaml:6:1 data: unknown data set 'mnist5'.*did you mean 'mnist5k'"),
        ({"path": "empty", "kind": "images"}, r"my\.yaml:6:1 data: .*empty"),
    ],
)
def test_data_that_cannot_be_used_is_named_with_the_line_that_names_it(tmp_path, data, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=said):
        dry_run(load_config(write(tmp_path, data=data)))
    with pytest.raises(DataError, match=r"my\.yaml:6:1 data: "):
        run_search(write(tmp_path, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_there_is_a_json_schema_of_the_field():
    import jsonschema

    schema = TypeAdapter(DataChoice).json_schema()
    jsonschema.validate({"path": "x", "kind": "series", "window": 8}, schema)
    jsonschema.validate("digits", schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"path": "x", "kind": "series", "windows": 8}, schema)


def test_the_verb_takes_options(tmp_path, capsys):
    write_images(tmp_path / "photos", {"a": 8, "b": 8})
    assert main(["data", str(tmp_path / "photos"), "--set", "size=[6, 5]", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["input_shape"] == [1, 6, 5]
    assert document["source"]["size"] == [6, 5]
    assert main(["data", str(tmp_path / "photos"), "--set", "clip=1"]) == 2
    assert "unknown field 'clip'" in capsys.readouterr().err
