"""The plan of memory in a real browser: its peak is that of the terminal, and its labels fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hannah_hw.cost import CostReport
from hannah_hw.cost.peak import peak
from hannah_hw.report import read_run, write_page
from tests.report.browser import OpenReport
from tests.report.synthetic import write_run


def planned(cost: dict[str, Any]) -> dict[str, Any]:
    """A cost report of three kernels: the arena is fullest in the first, and the second has most scratch memory."""
    kernels = [
        {**cost["kernels"][0], "name": name, "scratch_bytes": scratch}
        for name, scratch in (("a", 50), ("b", 900), ("c", 0))
    ]
    rows = (("input", 600, 400, 0, 0), ("a", 400, 0, 0, 1), ("b", 100, 400, 1, 2))
    buffers = [
        {"name": name, "kind": "activation", "bytes": size, "offset": offset, "first": first, "last": last}
        | {"memory": None}
        for name, size, offset, first, last in rows
    ]
    # The first kernel needs 1000 + 50, the second 500 + 900.
    memory = cost["memory"] | {"arena": 1000, "scratch": 400, "stack": 24, "runtime": 0, "total": 1424}
    return cost | {"kernels": kernels, "memory": memory | {"buffers": buffers, "liveness_bound": 1000}}


def test_page_and_terminal_name_the_same_peak(open_report: OpenReport, tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 30)
    for record in records:
        if record.get("cost"):
            record["cost"] = planned(record["cost"])
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    run = read_run(tmp_path / "run")
    write_page(run)
    chosen, other = (run.candidates[i] for i in run.front[:2])
    in_terminal = peak(CostReport.from_dict(dict(chosen.cost)))
    assert in_terminal is not None
    tab = open_report(tmp_path / "run" / "report.html")
    tab.locator(f'#front tr[data-id="{chosen.id}"] button').click()
    note = tab.locator("#ram-note").inner_text()
    assert note.startswith(
        "At most 1.39 KiB, while kernel 1 (b) runs: 400 B of a + 100 B of b + 900 B scratch"
    )
    assert f"kernel 1 ({in_terminal.kernel}) runs: {in_terminal}." in note
    at_peak = tab.locator("#ram rect.at-peak")
    assert at_peak.evaluate_all("nodes => nodes.map((n) => n.getAttribute('aria-label'))") == [
        "a, 400 B",
        "b, 100 B",
    ]
    # The scratch memory lies on the buffers, and reaches the dashed line.
    scratch, line = tab.locator("#ram rect.scratch").bounding_box(), tab.locator("#ram .peak").bounding_box()
    top = at_peak.last.bounding_box()
    assert scratch is not None
    assert line is not None
    assert top is not None
    assert abs(scratch["y"] + scratch["height"] - top["y"]) < 2
    assert abs(scratch["y"] - line["y"]) < 2
    tab.locator("#compare-with").select_option(other.id)
    assert tab.locator("#ram-note").inner_text() == "The peak of B against that of A: the same."


def test_labels_of_buffers_lie_inside_their_boxes(open_report: OpenReport, tmp_path: Path) -> None:
    write_run(tmp_path / "run", 60)
    run = read_run(tmp_path / "run")
    write_page(run)
    tab = open_report(tmp_path / "run" / "report.html")
    tab.locator("#compare-with").select_option(index=1)
    shown = 0
    for drawing in tab.locator("#ram svg").all():
        boxes = [node.bounding_box() for node in drawing.locator("rect.buffer").all()]
        for label in drawing.locator("text.on").all():
            at = label.bounding_box()
            assert at is not None
            assert any(
                box is not None
                and box["x"] <= at["x"]
                and at["x"] + at["width"] <= box["x"] + box["width"]
                and box["y"] - 2 <= at["y"]
                and at["y"] + at["height"] <= box["y"] + box["height"] + 2
                for box in boxes
            ), label.inner_html()
            shown += 1
    assert shown >= 2
