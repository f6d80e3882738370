"""The size of a page of many candidates."""

from __future__ import annotations

from pathlib import Path

import pytest

from hannah_hw.report import read_run, write_page
from hannah_hw.report.payload import MAX_DETAILED, payload
from tests.report.synthetic import write_run
from tests.report.unpacked import document_of, unpack


def test_the_page_of_2000_candidates_is_below_2_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", 2000)
    run = read_run(tmp_path / "run")
    page = write_page(run)
    assert page.stat().st_size < 1_000_000  # and networks of the front, which these have none of, have room
    document = document_of(page.read_text(encoding="utf-8"))
    assert len(document["candidates"]) == 2000
    detailed = [c for c in document["candidates"] if "cost" in c]
    assert len(detailed) == MAX_DETAILED
    rows = [len(c["cost"]["kernels"]) + len(c["cost"]["buffers"]) for c in detailed]
    monkeypatch.setattr("hannah_hw.report.payload.MAX_ROWS", sum(rows) // 2)
    fewer = [c for c in unpack(payload(run, {})["candidates"]) if "cost" in c]
    kept = sum(len(c["cost"]["kernels"]) + len(c["cost"]["buffers"]) for c in fewer)
    assert sum(rows) // 2 - max(rows) < kept <= sum(rows) // 2
    assert {c["id"] for c in fewer} >= {run.candidates[i].id for i in run.front}
