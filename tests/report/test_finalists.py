"""Finalists on the page and in what is exported: a fine-tuned model takes the place of the search's."""

import json

import pytest

from hannah_hw.report import pick_candidates, read_run
from hannah_hw.report.finalists import finalists_section, read_finalists, summary
from tests.report.synthetic import write_run


def finalist(name, error, *, kept=True, artifact=True):
    return {
        "id": name,
        "status": "ok",
        "reason": None,
        "tuned": {
            "error": error,
            "test_error": error + 0.01,
            "trained_error": error,
            "before": {"error": 0.5, "test_error": 0.51},
            "kept": kept,
            "artifact": f"artifacts/{name}.tuned.onnx" if artifact else None,
        },
        "options": {"epochs": 1.0},
    }


def add(folder, *records):
    (folder / "finalists.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path, count=60)
    return tmp_path


def test_a_fine_tuned_model_takes_the_place_of_the_first(folder):
    before = read_run(folder)
    best = before.candidates[before.front[0]]
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / f"artifacts/{best.id}.tuned.onnx").write_bytes(b"x")
    add(folder, finalist(best.id, 0.001))
    run = read_run(folder)
    (candidate,) = [c for c in run.candidates if c.id == best.id]
    assert candidate.values["error"] == 0.001
    assert candidate.objectives["error"] == 0.001
    assert candidate.artifact == f"artifacts/{best.id}.tuned.onnx"
    assert candidate.on_front
    (picked,) = pick_candidates(run, best.id)
    assert picked.artifact == candidate.artifact
    others = {c.id: c.values for c in before.candidates if c.id != best.id}
    assert {c.id: c.values for c in run.candidates if c.id != best.id} == others
    assert "1 of 1 finalists are better fine-tuned" in summary(run)
    assert "validation 50.00 % to 0.10 %" in summary(run)
    section = finalists_section(run)
    assert best.id in section
    assert "0.10 %" in section


def test_the_latest_record_counts_and_a_failure_changes_nothing(folder):
    run = read_run(folder)
    first, second = (run.candidates[i] for i in run.front[:2])
    failed = {
        "id": second.id,
        "status": "failed",
        "reason": {"kind": "diverged", "message": "<nan>"},
        "tuned": None,
    }
    add(folder, finalist(first.id, 0.3), finalist(first.id, 0.002, kept=False, artifact=False), failed)
    found, unread = read_finalists(folder)
    assert unread == []
    assert found[first.id].after["error"] == 0.002
    again = read_run(folder)
    assert again.candidates == run.candidates
    section = finalists_section(again)
    assert "diverged: &lt;nan&gt;" in section
    assert "as it was" in section


def test_without_the_file_there_is_no_section(folder):
    assert finalists_section(read_run(folder)) == ""


def test_a_torn_last_line_is_read_around(folder):
    run = read_run(folder)
    name = run.candidates[run.front[0]].id
    with (folder / "finalists.jsonl").open("w") as stream:
        stream.write(json.dumps(finalist(name, 0.2, artifact=False)) + '\n{"id": "x"')
    found, unread = read_finalists(folder)
    assert list(found) == [name]
    assert "finalists.jsonl:2" in unread[0]
