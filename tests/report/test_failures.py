"""Why candidates were lost: counts against those of the records."""

from __future__ import annotations

import json
from pathlib import Path

from hannah_hw.report import read_run, render_page
from hannah_hw.report.failures import failures_section, losses
from tests.report.synthetic import write_run
from tests.report.test_page import Page

RAM, FLASH = 64 * 1024, 60_000


def crowded(folder: Path) -> list[dict]:
    """A run with some over the RAM, some over the flash, some over both, some that the target cannot run."""
    records = write_run(folder, 60)
    refused = 0
    for record in records:
        metrics = record["metrics"]
        over = metrics["ram_bytes"] > RAM or metrics["flash_bytes"] > FLASH
        if over:
            record.update(status="infeasible", reason=None)
        elif refused < 2:
            refused += 1
            record.update(status="infeasible", reason={"kind": "unsupported", "message": "conv: kernel <= 9"})
    (folder / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("<= 256 KiB", f"<= {FLASH} B"))
    return records


def test_each_budget_counts_those_over_it(tmp_path: Path) -> None:
    records = crowded(tmp_path / "run")
    over = {
        r["index"]: (r["metrics"]["ram_bytes"] > RAM, r["metrics"]["flash_bytes"] > FLASH)
        for r in records
        if r["status"] == "infeasible"
    }
    found = {loss.title.split()[0]: loss for loss in losses(read_run(tmp_path / "run"))}
    assert found["ram"].count == sum(ram for ram, _ in over.values()) > 0
    assert found["flash"].count == sum(flash for _, flash in over.values()) > 0
    assert found["ram"].alone == sum(ram and not flash for ram, flash in over.values())
    assert found["flash"].alone == sum(flash and not ram for ram, flash in over.values()) > 0
    assert found["unsupported"].count == sum(not any(both) for both in over.values()) > 0
    assert found["unsupported"].examples[0][1] == "conv: kernel <= 9"
    nearest = min(
        (r for r in records if r["metrics"]["ram_bytes"] > RAM), key=lambda r: r["metrics"]["ram_bytes"]
    )
    assert found["ram"].examples[0][0] == nearest["id"]
    assert sum(loss.status == "failed" for loss in found.values()) == len(read_run(tmp_path / "run").failures)


def test_the_section_is_whole_and_offers_what_can_be_selected(tmp_path: Path) -> None:
    crowded(tmp_path / "run")
    run = read_run(tmp_path / "run")
    some = losses(run)[0].examples[0][0]
    section = Page(failures_section(run, {some}))
    assert section.open == []
    assert section.attributes("data-pick") == [some]
    assert sum(tag == "details" for tag, _ in section.elements) == len(losses(run))


def test_an_interval_that_reaches_the_budget_keeps_it(tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 30)
    for record in records:
        record["bands"] = {"ram_bytes": 0.9}
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    beyond = sum(r["metrics"]["ram_bytes"] * 0.1 > RAM for r in records)
    found = [loss for loss in losses(read_run(tmp_path / "run")) if loss.title.startswith("ram")]
    assert sum(loss.count for loss in found) == beyond


def test_a_run_without_losses(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 5, constraints=False)
    assert "No candidate failed" in render_page(read_run(tmp_path / "run"))
