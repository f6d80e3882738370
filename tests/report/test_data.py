"""Reading run directories, damaged ones included."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hannah_hw.cost import CostReport
from hannah_hw.errors import ConfigError, InputError
from hannah_hw.report import pick_candidates, read_run
from hannah_hw.report.axes import axis
from tests.report.synthetic import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "run"
    write_run(path, 80)
    return path


def test_counts_and_front_match_the_records(folder: Path) -> None:
    records = [json.loads(line) for line in (folder / "candidates.jsonl").read_text().splitlines()]
    run = read_run(folder)
    for status in ("ok", "infeasible", "failed"):
        assert run.count(status) == sum(record["status"] == status for record in records)
    trained = [
        (r["metrics"]["error"], r["metrics"]["latency_s"], r["id"]) for r in records if r["status"] == "ok"
    ]
    front = {
        i for e, t, i in trained if not any((f <= e and u <= t and (f, u) != (e, t)) for f, u, _ in trained)
    }
    assert {run.candidates[i].id for i in run.front} == front
    assert all(run.candidates[i].on_front for i in run.front)
    assert run.knee in run.front
    assert sum(group.count for group in run.failures) == run.count("failed")


def test_the_records_have_the_schema_of_cost_reports(folder: Path) -> None:
    costs = [c.cost for c in read_run(folder).candidates if c.status == "ok"]
    assert costs
    for cost in costs:
        assert CostReport.from_dict(dict(cost)).to_dict() == cost


def test_budgets_carry_the_bound_in_bytes(folder: Path) -> None:
    budgets = {budget.name: budget for budget in read_run(folder).budgets}
    assert (budgets["ram"].key, budgets["ram"].bound) == ("ram_bytes", 64 * 1024)
    assert (budgets["flash"].key, budgets["flash"].text) == ("flash_bytes", "<= 256 KiB")


def test_objectives_lead_the_axes(folder: Path) -> None:
    assert [axis.key for axis in read_run(folder).axes][:2] == ["error", "latency_s"]


def test_an_objective_that_is_maximised(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 40)
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("{error: min, latency: min}", "{latency: max}"))
    run = read_run(tmp_path / "run")
    slowest = max(c.values["latency_s"] for c in run.candidates if c.status == "ok")
    assert [run.candidates[i].values["latency_s"] for i in run.front] == [slowest]


def test_records_that_no_run_wrote_are_named_or_read_around(tmp_path: Path) -> None:
    records = write_run(tmp_path, 8)
    (tmp_path.parent / "outside.onnx").touch()
    for record, artifact in zip(
        records, ("a" * 5000, "\0", "../outside.onnx", "/etc/passwd", "."), strict=False
    ):
        record["artifact"] = artifact
    records[5]["index"] = "5"
    records[6]["macs"] = 10**400
    lines = [json.dumps(record) for record in records]
    lines[7] = "[" * 100_000
    (tmp_path / "candidates.jsonl").write_text("\n".join(lines) + "\n")
    run = read_run(tmp_path)
    assert [candidate.artifact for candidate in run.candidates[:5]] == [None] * 5
    assert "macs" not in run.candidates[5].values
    assert [re.sub(r".*:(\d+) was left out: ", r"\1 ", warning) for warning in run.warnings[:2]] == [
        "6 not a candidate's record",
        "8 not valid JSON",
    ]


def test_a_torn_last_line_is_left_out_and_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 20)
    log = tmp_path / "run" / "candidates.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-40])
    run = read_run(tmp_path / "run")
    assert len(run.candidates) == 19
    assert len(run.warnings) == 1
    assert "candidates.jsonl:20" in run.warnings[0]
    assert "torn" in run.warnings[0]


def test_a_run_without_candidates(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 0)
    run = read_run(tmp_path / "run")
    assert (run.front, run.knee, run.history.evaluations) == ((), None, ())
    with pytest.raises(InputError, match="front is empty"):
        pick_candidates(run, "knee")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run directory"):
        read_run(tmp_path)


def test_an_artifact_outside_the_run_is_not_linked(tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 3)
    (tmp_path / "secret.onnx").write_bytes(b"x")
    records[0]["artifact"] = "../secret.onnx"
    (tmp_path / "run" / "candidates.jsonl").write_text(json.dumps(records[0]) + "\n")
    assert read_run(tmp_path / "run").candidates[0].artifact is None


@pytest.mark.parametrize("pick", ["latency < 10 ms and ram <= 40 KiB", "latency_s<0.01, ram_bytes<=40960"])
def test_picking_by_conditions(folder: Path, pick: str) -> None:
    run = read_run(folder)
    expected = {
        c.id
        for c in run.candidates
        if c.on_front and c.values["latency_s"] < 0.01 and c.values["ram_bytes"] <= 40960
    }
    assert expected
    assert {c.id for c in pick_candidates(run, pick)} == expected


def test_picking_by_name(folder: Path) -> None:
    run = read_run(folder)
    first = run.candidates[run.front[0]]
    assert pick_candidates(run, "best") == [first]
    assert first.objectives["error"] == min(c.objectives["error"] for c in run.candidates if c.status == "ok")
    assert pick_candidates(run, first.id[:6]) == [first]
    assert len(pick_candidates(run, "front")) == len(run.front)
    assert [c.id for c in pick_candidates(run, "all")] == [
        c.id for c in run.candidates if "error" in c.values
    ]


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        ("zzz", "no trained candidate"),
        ("speed < 3", "no candidate has 'speed'"),
        ("latency < 3 KiB", "none of seconds"),
        ("latency < 1 ns", "no candidate of the front satisfies"),
        ("latency <", "not a condition"),
        ("", "no trained candidate"),
    ],
)
def test_picks_that_choose_nothing(folder: Path, pick: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pick_candidates(read_run(folder), pick)


def test_how_a_candidate_was_trained_is_said_in_shares_of_one() -> None:
    assert axis("error_stage_2").label == "Error, stage 2"
    assert axis("error_stage_2").format(0.543) == "54.30 %"
    assert axis("share").format(1 / 9) == "11.11 %"
    assert all(axis(key).of_training for key in ("error_stage_1", "share", "inherited"))
    assert not axis("error").of_training
    assert axis("f1").format(0.97) == "0.97"  # a score of the user's own trainer
