"""Entries are found by name or by path; the user's directories come first."""

from pathlib import Path

import pytest

from hannah_hw import catalog
from hannah_hw.errors import CatalogError

ROOT = Path(__file__).resolve().parent.parent


def test_shipped_entries_are_found():
    assert catalog.find("search_spaces", "ds_cnn") == ROOT / "search_spaces" / "ds_cnn.py"
    assert {"ds_cnn", "tc_resnet", "mlperf_tiny"} <= set(catalog.names("search_spaces"))
    assert {"stm32l4r5zi", "nrf5340"} <= set(catalog.names("targets"))


def test_the_users_directories_come_first(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "targets").mkdir(parents=True)
        (tmp_path / name / "targets" / "mine.yaml").write_text(name)
    (tmp_path / "one" / "targets" / "_hidden.yaml").write_text("")
    (tmp_path / "one" / "targets" / "note.txt").write_text("")
    monkeypatch.setenv("HANNAH_HW_PATH", f"{tmp_path / 'one'}:{tmp_path / 'two'}::{tmp_path / 'absent'}")
    assert catalog.find("targets", "mine").read_text() == "one"
    listed = catalog.names("targets")
    assert "mine" in listed
    assert "stm32l4r5zi" in listed
    assert not {"_hidden", "note"} & set(listed)


def test_paths_are_taken_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert catalog.find("targets", str(tmp_path / "mine.yaml")).read_text() == "here"
    assert catalog.find("targets", "../mine.yaml").read_text() == "here"
    assert catalog.find("targets", "mine.yaml", near=tmp_path).read_text() == "here"
    with pytest.raises(CatalogError, match=r"no file 'mine\.yaml' in .*elsewhere"):
        catalog.find("targets", "mine.yaml")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("targets", "stm32l4r5z", "unknown target 'stm32l4r5z'; allowed: .*did you mean 'stm32l4r5zi'"),
        ("search_spaces", "", "unknown search space ''"),
        ("cost_models", "m4/cmsis", "unknown cost model 'm4/cmsis'.*did you mean 'm4/cmsis_nn'"),
        ("search_spaces", "x/y", "no file 'x/y'"),
        ("targets", "/dev/null", r"^/dev/null: is no regular file$"),
        ("targets", "a" * 5000, r"^cannot look for 'a{59}\.\.\.: File name too long$"),
    ],
)
def test_unknown_names_are_refused(kind, name, message):
    with pytest.raises(CatalogError, match=message):
        catalog.find(kind, name)
