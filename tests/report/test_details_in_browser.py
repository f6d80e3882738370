"""Details of one candidate and of two beside each other, in a real browser: clicks, keys, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hannah_hw.report import read_run, write_page
from hannah_hw.report.data import Candidate, ReportData
from tests.report.browser import OpenReport
from tests.report.synthetic import write_run
from tests.report.test_networks import residual


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """A run whose front has models, the first two of 4 and 8 channels, and a measurement of the first."""
    folder = tmp_path_factory.mktemp("details") / "run"
    write_run(folder, 60)
    front = [c for i, c in enumerate(read_run(folder).candidates) if i in read_run(folder).front]
    for candidate in front:
        assert candidate.artifact is not None
        residual(folder / candidate.artifact, 8)
    first = read_run(folder).candidates[read_run(folder).front[0]]
    residual(folder / str(first.artifact), 4)
    value = first.values["latency_s"] / 1.25
    figures = {
        "latency_s": {"value": value, "unit": "s", "source": "emulated", "error": 0.02, "note": "2 inputs"}
    }
    kernels = [{"name": k["name"], "latency_s": k["latency_s"] / 1.25} for k in first.cost["kernels"]]
    measurement = {
        "core": "Cortex-M4",
        "figures": figures,
        "kernels": kernels,
        "warning": "the machine was busy",
    }
    line = {"id": first.id, "status": "ok", "reason": None, "measurement": measurement}
    (folder / "measurements.jsonl").write_text(json.dumps(line) + "\n")
    read = read_run(folder)
    write_page(read)
    return read


@pytest.fixture(scope="module")
def pair(run: ReportData) -> tuple[Candidate, Candidate]:
    return run.candidates[run.front[0]], run.candidates[run.front[1]]


def score_interval(share: float, samples: int) -> tuple[float, float]:
    """The shares from which the observed one is 1.96 of their own standard deviations away, by bisection."""

    def end(far: float) -> float:
        near = share
        for _ in range(60):
            middle = (near + far) / 2
            inside = abs(middle - share) < 1.96 * (middle * (1 - middle) / samples) ** 0.5
            near, far = (middle, far) if inside else (near, middle)
        return near

    return end(0.0), end(1.0)


def test_two_are_compared(
    open_report: OpenReport, run: ReportData, pair: tuple[Candidate, Candidate]
) -> None:
    tab = open_report(run.folder / "report.html")
    a, b = pair
    assert not tab.locator("#comparison").is_visible()
    tab.locator(f'#front tr[data-id="{a.id}"] button').click()
    tab.locator("#compare-with").select_option(b.id)
    assert tab.locator("#compared-figures thead").inner_text().split()[:4] == ["A", a.id, "B", b.id]
    row = tab.locator("#compared-figures tr", has_text="Latency").first
    change = b.values["latency_s"] / a.values["latency_s"] - 1
    assert row.locator("td").nth(2).inner_text() == f"{100 * change:+.1f} %"
    # 5 % about each; what was measured of A is a fifth less than its estimate.
    low, high = sorted((a.values["latency_s"], b.values["latency_s"]))
    assert row.locator("td").nth(3).inner_text() == (
        "intervals overlap" if high * 0.95 <= low * 1.05 else "intervals are apart"
    )
    assert "estimate +25.0 %" in row.locator("td").first.inner_text()
    own, other = dict(a.assignment), dict(b.assignment)
    differ = {key for key in own | other if own.get(key) != other.get(key)}
    named = tab.locator("#compared-parameters tbody th").evaluate_all("rows => rows.map((row) => row.title)")
    assert set(named) == differ
    assert tab.locator("#ram svg").count() == 2
    assert tab.locator("#ram .note").count() == 2


def test_kernels_of_one_name_are_beside_each_other(
    open_report: OpenReport, run: ReportData, pair: tuple[Candidate, Candidate]
) -> None:
    tab = open_report(run.folder / "report.html")
    a, b = pair
    tab.locator(f'#front tr[data-id="{a.id}"] button').click()
    tab.locator("#compare-with").select_option(b.id)
    names = [{k["name"] for k in c.cost["kernels"]} for c in pair]
    for side, own in zip("ab", names, strict=True):
        assert tab.locator(f"#latency g.of-{side}").count() == len(own)
    alone = tab.locator("#latency svg > text", has_text="alone").count()
    assert alone == len(names[0] ^ names[1])
    tab.locator("#compare-swap").click()
    assert tab.locator("#compared-figures thead").inner_text().split()[:4] == ["A", b.id, "B", a.id]
    assert tab.locator("#latency g.of-a").count() == len(names[1])
    tab.locator("#compare-close").click()
    assert not tab.locator("#comparison").is_visible()
    assert tab.locator("#latency g.tipped").count() == len(names[1])


def test_what_differs_between_the_networks_is_marked(
    open_report: OpenReport, run: ReportData, pair: tuple[Candidate, Candidate]
) -> None:
    tab = open_report(run.folder / "report.html")
    a, b = pair
    tab.locator(f'#front tr[data-id="{a.id}"] button').click()
    assert tab.locator("#network .box").count() == 4  # the input, stem, body and join
    assert tab.locator("#network .changed").count() == 0
    tab.locator("#compare-with").select_option(b.id)
    # The input is the same; every kernel has 4 channels in A and 8 in B.
    assert tab.locator("#network .box").count() == 8
    assert tab.locator("#network .changed").count() == 6
    tab.locator("#network .changed").first.hover()
    tip = tab.locator("#tip").inner_text()
    assert tip.startswith("stem")
    assert "out: 4x4x4 (the other one: 8x4x4)" in tip
    assert (
        "of the same name: 1 alike, 3 that differ; others: 0 in A alone"
        in tab.locator("#network-note").inner_text()
    )


def test_every_figure_says_what_it_rests_on(
    open_report: OpenReport, run: ReportData, pair: tuple[Candidate, Candidate]
) -> None:
    tab = open_report(run.folder / "report.html")
    tab.locator(f'#front tr[data-id="{pair[0].id}"] button').click()
    assert "the machine was busy" in tab.locator("#selected .warning").inner_text()
    assert "1 of 1 measurements may be wrong" in tab.locator("header").inner_text()
    latency = tab.locator("#selected .figure", has_text="Latency").locator(".value")
    latency.hover()
    said = tab.locator("#tip").inner_text()
    assert "estimated" in said
    assert "± 5 %" in said
    assert "emulated" in said
    assert "core: Cortex-M4" in said
    assert "the estimate is +25.0 % off" in said
    tab.keyboard.press("Escape")
    assert not tab.locator("#tip").is_visible()
    # The same by keys: one stop of the tab key, then arrows; the first figure is the error.
    tab.locator("#selected .value").first.focus()
    said = tab.locator("#tip").inner_text()
    assert "750 validation samples" in said
    low, high = (f"{100 * bound:.3g}" for bound in score_interval(pair[0].values["error"], 750))
    assert f"{low} % to {high} %" in said
    tab.keyboard.press("ArrowDown")
    assert tab.locator("#tip b").inner_text().startswith("Latency")
    assert tab.locator("#selected .value[tabindex='0']").count() == 1
    described = tab.locator("#selected [aria-describedby=tip]")
    assert described.inner_text() == latency.inner_text()


def test_a_reason_leads_to_its_candidates(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html")
    over = tab.locator("#losses details.infeasible").first
    over.locator("summary").click()
    button = over.locator("button[data-pick]").first
    name = button.inner_text()
    button.click()
    assert tab.locator("#selected .id").inner_text().split()[0] == name
    assert "over a budget" in tab.locator("#selected").inner_text()


def test_a_run_without_plans_of_memory_and_energies_has_no_cards_of_them(
    open_report: OpenReport, tmp_path: Path
) -> None:
    records = write_run(tmp_path / "run", 30)
    for record in records:
        if record.get("cost"):
            record["cost"]["memory"] = None
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    write_page(read_run(tmp_path / "run"))
    tab = open_report(tmp_path / "run" / "report.html")
    assert tab.locator("#latency .bar").count() > 2
    for card in ("#card-ram", "#card-energy", "#card-kernels", "#card-network"):
        assert not tab.locator(card).is_visible()


def test_cells_of_the_front_say_what_they_rest_on_by_keys(open_report: OpenReport, run: ReportData) -> None:
    tab = open_report(run.folder / "report.html")
    rows = tab.locator("#front tbody tr")
    first, second = (rows.nth(i).get_attribute("data-id") for i in range(2))
    rows.first.locator("button").focus()
    tab.keyboard.press("Tab")  # from the name of the first candidate to its first figure
    tip = tab.locator("#tip")
    assert tip.locator("b").inner_text().startswith("Error, validation")
    assert tip.locator("p").first.inner_text() == first
    tab.keyboard.press("ArrowDown")
    assert tip.locator("p").first.inner_text() == second
    tab.keyboard.press("ArrowRight")
    assert tip.locator("b").inner_text().startswith("Latency")
    assert tab.locator("#front .tipped[tabindex='0']").count() == 1


def test_kernels_that_are_numbered_are_matched_by_their_order(
    open_report: OpenReport, tmp_path: Path
) -> None:
    """Those of hosts: a conv more in the middle makes no other kernel a stranger."""
    records = write_run(tmp_path / "run", 30)
    kinds = {0: ["conv", "relu", "linear"], 1: ["conv", "relu", "conv", "relu", "linear"]}
    done = [record for record in records if record.get("cost")]
    for record in done:
        rows = record["cost"]["kernels"]
        which = kinds[done.index(record) % 2]
        record["cost"]["kernels"] = [
            {**rows[0], "name": f"{kind}_{place}", "kind": kind} for place, kind in enumerate(which)
        ]
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    run = read_run(tmp_path / "run")
    write_page(run)
    short, long = (
        next(run.candidates[i].id for i in run.front if len(run.candidates[i].cost["kernels"]) == count)
        for count in (3, 5)
    )
    tab = open_report(tmp_path / "run" / "report.html")
    tab.locator(f'#front tr[data-id="{short}"] button').click()
    tab.locator("#compare-with").select_option(long)
    names = tab.locator("#latency svg > text.strong title").all_text_contents()
    assert len(names) == 5
    assert {"conv_0", "linear_2 / 4"} < set(names)
    assert tab.locator("#latency svg > text", has_text="B alone").count() == 2


def test_use_of_the_multipliers_and_energies_of_both(open_report: OpenReport, tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 30)
    for record in records:
        if record.get("cost"):
            for place, row in enumerate(record["cost"]["kernels"]):
                row.update(
                    energy_j=1e-6,
                    energy_parts_j={"mac": 4e-7, "dram W": 6e-7},
                    utilisation=0.25 + place / 100,
                )
            record["cost"]["kernels"][0]["detail"] = {"loops": "for k in 8"}
            record["cost"]["kernels"][0]["cycle_parts"] = {"compute": 30.0, "onload": 60.0, "drain": 10.0}
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    run = read_run(tmp_path / "run")
    write_page(run)
    a, b = (run.candidates[i] for i in run.front[:2])
    tab = open_report(tmp_path / "run" / "report.html")
    tab.locator(f'#front tr[data-id="{a.id}"] button').click()
    assert [name.strip() for name in tab.locator("#energy .legend > span").all_inner_texts()] == [
        "dram W",
        "mac",
    ]
    tab.locator("#compare-with").select_option(b.id)
    heads = tab.locator("#kernels thead th").all_inner_texts()
    columns = ("Multipliers in use", "Most cycles")
    assert heads == ["Kernel", "Runs on", *(f"{title}, {side}" for title in columns for side in "AB")]
    cells = tab.locator("#kernels tbody tr").first.locator("td").all_inner_texts()
    assert [cell.strip() for cell in cells[2:]] == ["25 %", "25 %", "onload 60 %", "onload 60 %"]
    assert tab.locator("#kernels summary").all_inner_texts() == ["mapping of A", "mapping of B"]
    counts = [len(c.cost["kernels"]) for c in (a, b)]
    assert [tab.locator(f"#energy g.of-{side}").count() for side in "ab"] == counts
    change = 100 * (counts[1] / counts[0] - 1)
    assert f"({change:+.1f} %)" in tab.locator("#energy-note").inner_text()
