"""The report in a real browser: drawings, clicks and keys."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hannah_hw.cli.app import main
from hannah_hw.report import read_run, write_page
from hannah_hw.report.data import Candidate, ReportData
from hannah_hw.report.fronts import front_indices
from hannah_hw.search.preference import knee_index
from tests.report.browser import OpenReport
from tests.report.synthetic import write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page


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


def test_points_say_what_their_numbers_rest_on(open_report: OpenReport, page: Path, run: ReportData) -> None:
    tab = open_report(page)
    tip = tab.locator("#tip")
    tab.locator("#scatter .dot.knee").hover()
    assert run.knee is not None
    knee = run.candidates[run.knee]
    said = tip.inner_text()
    assert said.splitlines()[0] == knee.id
    assert "measured: int8 model, 750 validation samples" in said
    assert "± 5 %" in said
    assert tab.locator("#scatter title").count() == 0
    # By keys, while the mouse lies where it lay.
    tab.locator("#scatter").focus()
    tab.keyboard.press("ArrowRight")
    chosen = tab.locator("#selected .id").inner_text().split()[0]
    assert chosen != knee.id
    assert tip.locator("b").inner_text() == chosen
    assert tab.locator("#scatter").get_attribute("aria-describedby") == "tip"
    tab.keyboard.press("Escape")
    assert not tip.is_visible()


def test_an_empty_run_is_a_page_without_errors(open_report: OpenReport, tmp_path: Path) -> None:
    write_run(tmp_path / "run", 0)
    write_page(read_run(tmp_path / "run"))
    tab = open_report(tmp_path / "run" / "report.html")
    assert tab.locator("#selected").inner_text() == "No candidate is feasible."
    assert "nothing to draw" in tab.locator("#scatter").inner_text()


def left(tab: Page) -> tuple[int, int, list[str]]:
    """What the page says: candidates that keep every budget, those there are, and the rows of the front."""
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    counts = re.match(r"([\d,]+) of ([\d,]+) candidates", tab.locator("#left").inner_text())
    assert counts is not None
    kept, there = (int(count.replace(",", "")) for count in counts.groups())
    rows = tab.locator("#front tbody tr").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    return kept, there, rows


def value_of(tab: Page, name: str) -> float:
    """Where a handle of the parallel axes is."""
    handle = tab.locator("#coords").get_by_role("slider", name=name)
    return float(handle.get_attribute("aria-valuenow") or "nan")


def front_of(candidates: list[Candidate]) -> tuple[list[str], str]:
    """The front and its knee by the library that the search itself uses."""
    points = [[c.values["error"], c.values["latency_s"]] for c in candidates]
    best = front_indices(points)
    knee = knee_index([points[i] for i in best])
    assert knee is not None
    return [candidates[i].id for i in best], candidates[best[knee]].id


def test_a_budget_written_moved_by_keys_and_dragged_counts_and_finds_the_front_anew(
    open_report: OpenReport, page: Path, run: ReportData
) -> None:
    tab = open_report(page)
    able = [c for c in run.candidates if c.status != "failed"]
    trained = [c for c in able if c.status == "ok"]
    assert left(tab) == (len(trained), len(able), [run.candidates[i].id for i in run.front])
    field = tab.get_by_label("RAM ≤")
    field.fill("30 KiB")
    field.press("Enter")
    small = [c for c in trained if c.values["ram_bytes"] <= 30 * 1024]
    front, knee = front_of(small)
    assert left(tab) == (len(small), len(able), front)
    assert tab.locator("#front tr:has(.badge:not([hidden]))").get_attribute("data-id") == knee
    tab.get_by_label("up").select_option("ram_bytes")
    line = tab.locator("#scatter").get_by_role("slider", name="budget: ram")
    line.press("End")
    looser = float(line.get_attribute("aria-valuenow") or 0)
    assert looser > 65536
    assert left(tab)[0] == sum(c.values["ram_bytes"] <= looser for c in able) > len(trained)
    box = line.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 50, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 50, box["y"] + 120, steps=4)
    tab.mouse.up()
    dragged = float(line.get_attribute("aria-valuenow") or 0)
    assert dragged < looser
    assert left(tab)[0] == sum(c.values["ram_bytes"] <= dragged for c in able)
    tab.get_by_role("button", name="as searched").click()
    assert left(tab) == (len(trained), len(able), [run.candidates[i].id for i in run.front])
    tab.get_by_label("RAM ≤").fill("a little")
    tab.get_by_label("RAM ≤").press("Tab")
    assert tab.get_by_label("RAM ≤").get_attribute("aria-invalid") == "true"


def test_a_brush_in_either_chart_filters_the_other_and_the_table(
    open_report: OpenReport, page: Path, run: ReportData
) -> None:
    tab = open_report(page)
    trained = [c for c in run.candidates if c.status == "ok"]
    bare = tab.locator("#scatter .dot:not(.out)").count()
    end = tab.locator("#coords").get_by_role("slider", name="Latency: highest that is left")
    for _ in range(4):
        end.press("PageDown")
    highest = value_of(tab, "Latency: highest that is left")
    fast = [c for c in trained if c.values["latency_s"] <= highest]
    assert 0 < len(fast) < len(trained)
    assert left(tab)[2] == front_of(fast)[0]
    assert f"{len(fast)} of them lie in the brushes" in tab.locator("#left").inner_text()
    assert tab.locator("#scatter .dot:not(.out)").count() < bare
    end.press("Escape")
    assert left(tab)[2] == front_of(trained)[0]
    plane = tab.locator("#scatter .plane").bounding_box()
    assert plane is not None
    tab.mouse.move(plane["x"] + 0.3 * plane["width"], plane["y"] + 0.35 * plane["height"])
    tab.mouse.down()
    tab.mouse.move(plane["x"] + 0.6 * plane["width"], plane["y"] + 0.9 * plane["height"], steps=5)
    tab.mouse.up()
    lowest, highest = (value_of(tab, f"Latency: {end} that is left") for end in ("lowest", "highest"))
    least, most = (value_of(tab, f"Error, validation: {end} that is left") for end in ("lowest", "highest"))
    inside = [
        c
        for c in trained
        if lowest <= c.values["latency_s"] <= highest and least <= c.values["error"] <= most
    ]
    assert 0 < len(inside) < len(trained)
    assert left(tab)[2] == front_of(inside)[0]
    drawn = tab.locator("#coords .line.in, #coords .line.front").evaluate_all(
        "lines => lines.map((line) => (line.getAttribute('d').match(/M/g) || []).length)"
    )
    assert sum(drawn) == len(inside)


def test_what_was_picked_is_exported_as_the_command_line_would(
    open_report: OpenReport, page: Path, run: ReportData, tmp_path: Path
) -> None:
    tab = open_report(page)
    front = [run.candidates[i] for i in run.front]
    tab.get_by_label(f"pick {front[1].id}").check()
    tab.locator(f'#front tr[data-id="{front[3].id}"] td').nth(2).click(modifiers=["Shift"])
    assert tab.locator("#picked").inner_text() == "2 picked"
    command = tab.get_by_label("command that copies the models").input_value()
    assert main([*shlex.split(command)[1:-1], str(tmp_path / "out")]) == 0
    with tab.expect_download() as download:
        tab.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().open()))
    same = list(csv.DictReader((tmp_path / "out" / "candidates.csv").open()))
    assert [row.keys() for row in rows] == [row.keys() for row in same]
    for row, other in zip(rows, same, strict=True):
        assert (row["id"], row["front"], row["knee"]) == (other["id"], other["front"], other["knee"])
        assert json.loads(row["assignment"]) == json.loads(other["assignment"])
        assert float(row["latency_s"]) == pytest.approx(float(other["latency_s"]), rel=1e-6)
    with tab.expect_download() as download:
        tab.get_by_role("button", name="JSON").click()
    document = json.loads(download.value.path().read_text())
    assert [c["id"] for c in document["candidates"]] == [front[1].id, front[3].id]
    assert document["budgets"][0] == {"key": "ram_bytes", "bound": 65536, "relation": "<="}
    tab.locator("#scatter").press(" ")
    assert tab.locator("#picked").inner_text() == "3 picked"


def test_an_address_brings_back_what_was_chosen(open_report: OpenReport, page: Path, run: ReportData) -> None:
    tab = open_report(page)
    tab.get_by_label("across").select_option("flash_bytes")
    tab.get_by_label("RAM ≤").fill("40 KiB")
    tab.get_by_label("RAM ≤").press("Enter")
    tab.locator("#coords").get_by_role("slider", name="Latency: lowest that is left").press("PageUp")
    tab.locator("#front tbody tr").nth(1).locator("input").check()
    tab.locator("#front tbody tr td:nth-child(3)").nth(2).click()
    tab.wait_for_function("location.hash.includes('picked')")
    again = open_report(tab.url)
    assert left(again) == left(tab)
    for name in ("#selected .id", "#left", "#picked", "#scatter svg text.strong >> nth=0"):
        assert again.locator(name).text_content() == tab.locator(name).text_content()
    assert again.locator("#scatter .budget").count() == 1
    wrong = "#x=__proto__&budget=ram_bytes~le~NaN&brush=a~1&picked=%3Cb%3E&log=7"
    hostile = open_report(page.resolve().as_uri() + wrong)
    able = sum(c.status != "failed" for c in run.candidates)
    assert (hostile.locator("#left").text_content() or "").startswith(f"{able} candidates (")


def test_a_parameter_becomes_an_axis_and_is_brushed(
    open_report: OpenReport, page: Path, run: ReportData
) -> None:
    tab = open_report(page)
    tab.locator("summary", has_text="axes").click()
    tab.get_by_label("depth", exact=True).check()
    end = tab.locator("#coords").get_by_role("slider", name="depth: highest that is left")
    for _ in range(4):
        end.press("PageDown")
    assert value_of(tab, "depth: highest that is left") == pytest.approx(3.8)
    shallow = [c for c in run.candidates if c.status == "ok" and c.assignment["depth"] <= 3]
    assert left(tab)[2] == front_of(shallow)[0]
    tab.get_by_label("across").select_option("p:depth")
    ticks = tab.locator("#scatter svg > text").all_text_contents()
    assert [tick for tick in ticks if re.fullmatch(r"\d", tick)][:4] == ["2", "3", "4", "5"]
