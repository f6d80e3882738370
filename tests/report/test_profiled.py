"""Runs on a host in their page: measured values on the front, estimates and intervals beside them, who left."""

import json

import pytest

from hannah_hw.report import read_run, render_page
from hannah_hw.report.measurements import MEASUREMENTS
from hannah_hw.report.pick import pick_candidates
from hannah_hw.report.profiled import summary
from tests.report.synthetic import write_run
from tests.report.unpacked import document_of

#: Of the estimates, relative.
WIDTH = 0.08


@pytest.fixture
def run(tmp_path):
    """A run with intervals, whose latency is bounded at the second slowest estimate of its front."""
    records = write_run(tmp_path, count=60)
    slowest = sorted(c.values["latency_s"] for c in front(tmp_path))[-2]
    config = (tmp_path / "config.yaml").read_text()
    bound = f'constraints: {{latency: "<= {slowest} s", '
    (tmp_path / "config.yaml").write_text(config.replace("constraints: {", bound))
    for record in records:
        low, high = (record["metrics"]["latency_s"] * (1 + side * WIDTH) for side in (-1, 1))
        record["bands"] = {"latency_s": WIDTH}
        record["uncertain"] = ["latency"] if low <= slowest < high else []
        if record["status"] == "ok" and low > slowest:
            record["status"] = "infeasible"
    (tmp_path / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return tmp_path


def front(folder):
    data = read_run(folder)
    return [data.candidates[i] for i in data.front]


def measure(folder, latencies):
    """Candidate id -> what it measured, or why it could not be."""
    lines = []
    for name, latency in latencies.items():
        figure = {"value": latency, "unit": "s", "source": "measured", "error": 0.01, "note": ""}
        ok = not isinstance(latency, str)
        lines.append(
            {
                "id": name,
                "status": "ok" if ok else "failed",
                "reason": None if ok else {"kind": "model", "message": latency},
                "measurement": {"figures": {"latency_s": figure}} if ok else None,
                "decides": True,
            }
        )
    (folder / MEASUREMENTS).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_uncertain_candidates_are_marked_until_they_are_measured(run):
    data = read_run(run)
    open_ = [c for c in data.candidates if c.open]
    assert open_
    bound = next(b.bound for b in data.budgets if b.name == "latency")
    for c in data.candidates:
        low, high = (c.values["latency_s"] * (1 + side * WIDTH) for side in (-1, 1))
        assert c.open == (c.status == "ok" and low <= bound < high)
    page = render_page(data)
    assert f"{len(open_)} uncertain" in page
    table = page[page.index('<table id="front"') : page.index("</table>", page.index('<table id="front"'))]
    assert table.count("uncertain") == sum(c.open for c in front(run))
    assert table.count("± 8 %") == len(data.front)
    measure(run, {c.id: c.values["latency_s"] for c in open_})
    assert not any(c.open for c in read_run(run).candidates)


def test_the_page_shows_what_was_measured_and_the_estimate_beside_it(run):
    before = front(run)
    measure(run, {c.id: c.values["latency_s"] * 1.05 for c in before})
    data = read_run(run)
    changed = {c.id: c for c in data.candidates}
    for c in before:
        now = changed[c.id]
        assert now.values["latency_s"] == pytest.approx(1.05 * c.values["latency_s"])
        assert now.estimate("latency_s") == c.values["latency_s"]
    page = render_page(data)
    section = page[page.index("Profiled on the host") : page.index("</section>", page.index("h-measured"))]
    assert section.count("-4.8 %") == len(before)
    assert section.count("± 1 %") == len(before)
    assert f"{len(before)} of {len(before)} within the 90 % interval" in section
    rows = {row["id"]: row for row in document_of(page)["candidates"]}
    assert rows[before[0].id]["estimated"] == pytest.approx({"latency_s": before[0].values["latency_s"]})
    assert rows[before[0].id]["bands"] == {"latency_s": WIDTH}


def test_who_measures_beyond_the_bound_leaves_the_front_and_cannot_be_picked(run):
    before = front(run)
    slowest = max(before, key=lambda c: c.values["latency_s"])
    bound = next(b.bound for b in read_run(run).budgets if b.name == "latency")
    measure(run, {slowest.id: 1.01 * bound, before[1].id: "no kernel"})
    data = read_run(run)
    left = next(c for c in data.candidates if c.id == slowest.id)
    assert (left.status, left.reason[0], left.on_front) == ("infeasible", "measured", False)
    assert {slowest.id, before[1].id}.isdisjoint(c.id for c in front(run))
    assert {slowest.id, before[1].id}.isdisjoint(c.id for c in pick_candidates(data, "front"))
    text = summary(data)
    assert text.startswith("1 model was profiled")
    assert "1 left the front beyond a bound" in text
    assert f"1 could not be profiled: {before[1].id}: model: no kernel" in text
    assert "not profiled yet" in text
    page = render_page(data)
    assert "left: latency of" in page
    assert "left: model: no kernel" in page


@pytest.mark.parametrize("measurement", [None, 3, {"figures": 1}, {"figures": {"latency_s": {"value": "x"}}}])
def test_damaged_measurements_do_not_break_the_page(run, measurement):
    line = {"id": front(run)[0].id, "status": "ok", "measurement": measurement, "decides": True}
    (run / MEASUREMENTS).write_text(json.dumps(line) + "\n")
    data = read_run(run)
    assert len(data.front) > 1
    assert "Profiled on the host" in render_page(data)
