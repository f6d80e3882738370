"""The notebooks that are shipped run from the top, and what they have stored is what they show."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.notebook.stored import NOTEBOOKS, executed, written


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_has_stored(path: Path, tmp_path: Path) -> None:
    now = executed(path, tmp_path)
    stored = nbformat.read(path, as_version=4)
    for cell, shown in zip(stored.cells, now.cells, strict=True):
        assert cell.get("outputs") == shown.get("outputs"), (
            f"{path.name}: this cell shows something else now; if it should, 'make notebooks' stores it\n{cell.source}"
        )
    assert written(now) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_nothing_of_this_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert not re.search(r"/(home|tmp|root|work|usr)/|0x[0-9a-f]{6,}|\d\d:\d\d:\d\d", text)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert len(outputs) > 10
    assert {output.output_type for output in outputs} <= {"execute_result", "stream", "display_data"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
