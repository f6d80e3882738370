"""The report in a real browser: drawings, clicks and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from hannah_hw.report import read_run, write_page
from hannah_hw.report.data import ReportData
from tests.report.browser import OpenReport
from tests.report.synthetic import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    folder = tmp_path_factory.mktemp("browser") / "run"
    write_run(folder, 120)
    read = read_run(folder)
    write_page(read)
    return read


@pytest.fixture(scope="module")
def page(run: ReportData) -> Path:
    return run.folder / "report.html"


def test_a_candidate_is_chosen_by_its_point_its_row_and_the_arrow_keys(
    open_report: OpenReport, page: Path, run: ReportData
) -> None:
    tab = open_report(page)
    chosen = tab.locator("#selected .id")
    front = [run.candidates[i] for i in run.front]
    assert run.knee is not None
    assert chosen.inner_text().split() == [run.candidates[run.knee].id, "knee"]
    tab.locator(f'#front tr[data-id="{front[2].id}"] td').nth(1).click()
    assert chosen.inner_text().split() == [front[2].id, "front"]
    tab.locator("#scatter").focus()
    by_latency = sorted(front, key=lambda c: c.values["latency_s"])
    position = by_latency.index(front[2])
    tab.keyboard.press("ArrowRight")
    assert chosen.inner_text().split()[0] == by_latency[position + 1].id
    tab.locator("#scatter .dot.front").last.click()
    assert chosen.inner_text().split()[0] in {c.id for c in front}
    assert tab.locator("#ram rect.buffer").count() > 2
    assert tab.locator("#latency .bar").count() > 2


def test_an_empty_run_is_a_page_without_errors(open_report: OpenReport, tmp_path: Path) -> None:
    write_run(tmp_path / "run", 0)
    write_page(read_run(tmp_path / "run"))
    tab = open_report(tmp_path / "run" / "report.html")
    assert tab.locator("#selected").inner_text() == "No candidate is feasible."
    assert "nothing to draw" in tab.locator("#scatter").inner_text()
