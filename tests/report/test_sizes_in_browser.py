"""What is larger than its place: on the screen it shows that there is more, in print nothing is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from hannah_hw.report import read_run, write_page
from hannah_hw.report.data import ReportData
from tests.report.browser import OpenReport
from tests.report.synthetic import write_run
from tests.report.test_networks import residual

#: Of each part that may scroll and is seen: how much is hidden below and beside, and whether it fades.
HIDDEN = """() => [...document.querySelectorAll(".scroll, .wide, .frame")].filter((n) => n.clientHeight).map((n) => ({
  below: n.scrollHeight - n.clientHeight, beside: n.scrollWidth - n.clientWidth,
  scrolls: getComputedStyle(n).overflowY !== "visible", fades: getComputedStyle(n).maskImage !== "none" }))"""
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    folder = tmp_path_factory.mktemp("sizes") / "run"
    write_run(folder, 300)
    read = read_run(folder)
    for place in read.front[:2]:
        residual(folder / str(read.candidates[place].artifact), 4)
    write_page(read_run(folder))
    return read_run(folder)


def test_the_table_of_the_front_shows_that_there_is_more(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html")
    tab.add_style_tag(content="[data-part=front] { max-height: 200px !important; }")
    box, button = tab.locator("[data-part=front]"), tab.locator("[data-part=front] + button")
    button.wait_for()
    assert button.inner_text() == f"show all {len(run.front)}"
    assert "more-below" in str(box.get_attribute("class"))
    box.evaluate("node => node.scrollTo(0, node.scrollHeight)")
    tab.wait_for_function("!document.querySelector('[data-part=front]').classList.contains('more-below')")
    button.click()
    assert "whole" in str(box.get_attribute("class"))
    assert button.inner_text() == "show less"


def test_a_tip_goes_along_where_the_keyboard_scrolls(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html")
    tab.add_style_tag(content="[data-part=front] { max-height: 120px !important; }")
    tab.locator("#front tbody td.tipped").first.focus()
    for place in run.front[1:]:
        tab.keyboard.press("ArrowDown")
        tab.evaluate(SETTLED)
        assert run.candidates[place].id in tab.locator("#tip").inner_text()
        assert tab.locator("#tip").is_visible()


def test_a_finger_shows_what_a_point_rests_on(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html", viewport={"width": 360, "height": 700}, has_touch=True)
    tab.locator("#scatter .dot.front").last.tap()
    tab.evaluate(SETTLED)
    assert tab.locator("#tip b").inner_text() == tab.locator("#selected .id").inner_text().split()[0]
    assert tab.locator("#tip").is_visible()
    tab.locator("h1").tap()
    assert not tab.locator("#tip").is_visible()


def test_nothing_is_cut_off_in_print(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html")
    a, b = (run.candidates[i].id for i in run.front[:2])
    tab.locator(f'#front tr[data-id="{a}"] button').click()
    tab.locator("#compare-with").select_option(b)
    tab.emulate_media(media="print")
    tab.evaluate(SETTLED)
    parts = tab.evaluate(HIDDEN)
    assert len(parts) >= 4
    assert not [part for part in parts if part["scrolls"] or part["fades"]]
    drawings = tab.locator("#network svg").evaluate_all(
        "nodes => nodes.map((n) => [n.getBoundingClientRect().right, n.closest('.card').getBoundingClientRect().right])"
    )
    assert len(drawings) == 2
    assert all(right <= card for right, card in drawings)


def test_a_comparison_is_as_wide_as_a_phone(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html", viewport={"width": 360, "height": 700})
    tab.locator("#compare-with").select_option(index=1)
    tab.evaluate(SETTLED)
    assert tab.locator("#comparison").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    hidden = [part for part in tab.evaluate(HIDDEN) if part["beside"] > 2 and part["scrolls"]]
    assert hidden
    assert all(part["fades"] for part in hidden)


def test_a_run_in_which_all_failed_says_so_and_offers_nothing(
    open_report: OpenReport, tmp_path: Path
) -> None:
    records = write_run(tmp_path / "run", 40)
    lines = (tmp_path / "run" / "candidates.jsonl").read_text().splitlines()
    failed = [line for line, record in zip(lines, records, strict=True) if record["status"] == "failed"]
    (tmp_path / "run" / "candidates.jsonl").write_text("\n".join(failed) + "\n")
    write_page(read_run(tmp_path / "run"))
    tab = open_report(tmp_path / "run" / "report.html")
    assert "Every candidate failed" in tab.locator("[data-part=front]").inner_text()
    assert tab.locator("#losses li").first.is_visible()
    for part in ("#card-ram", "#card-latency", "#scatter-legend", "#budgets", "#pick-front", "#x-axis"):
        assert not tab.locator(part).is_visible()
