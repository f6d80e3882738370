"""A front that measurements decide: who leaves, who follows, what is measured, and that a stop changes nothing."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import EvaluationError, RunError
from hannah_hw.search.loop import make_goals
from hannah_hw.search.measuring import Measuring
from hannah_hw.search.misses import explain_left
from hannah_hw.search.rundir import MEASUREMENTS, RunDirectory
from hannah_hw.search.settling import FAILURES, decided, front_of, settle
from hannah_hw.search.tasks import InProcess

GOALS = make_goals(["error", "latency"], {"latency": "<= 10 s"})


def record(name, error, latency, *, truth, width=0.1, bound=10.0):
    """A feasible record of a search, whose measurement is in its assignment."""
    held = latency * (1 - width) <= bound < latency * (1 + width)
    return {
        "id": name,
        "status": "ok",
        "reason": None,
        "assignment": {"latency_s": truth},
        "objectives": {"error": error, "latency": latency},
        "metrics": {"latency_s": latency, "error": error, "flash_bytes": 5.0},
        "bands": {"latency_s": width},
        "uncertain": ["latency"] if held else [],
    }


class Stopwatch:
    """Measures the latency that an assignment states; a text is why it cannot."""

    def __init__(self):
        self.seen = []

    def start(self):
        pass

    def evaluate(self, task):
        self.seen.append(task.identifier)
        latency = task.assignment["latency_s"]
        if isinstance(latency, str):
            raise EvaluationError(latency, kind="noise" if latency == "busy" else "model")
        return {"figures": {"latency_s": {"value": latency, "unit": "s", "source": "measured"}}}


def run(folder, records, scope="front", resume=False):
    """Settle the front of some records in a run directory; the result, and what was measured, in order."""
    watch = Stopwatch()
    with RunDirectory(folder, resume=resume) as directory:
        directory.write("config.yaml", "toy: true\n")
        measuring = Measuring(directory.open_measurements(), InProcess(watch), decides=True)
        return settle(records, GOALS, measuring, scope), watch.seen


def ids(records):
    return [r["id"] for r in records]


def test_who_is_beyond_the_bound_leaves_and_who_was_behind_follows_and_is_measured(tmp_path):
    records = [
        record("accurate", 0.01, 9.9, truth=10.4),
        record("behind", 0.02, 9.95, truth=9.8),
        record("middle", 0.05, 5.0, truth=5.05),
        record("hidden", 0.06, 5.1, truth=1.0),
        record("fast", 0.10, 2.0, truth=2.0),
    ]
    assert ids(front_of(records, GOALS)) == ["accurate", "middle", "fast"]
    settled, seen = run(tmp_path / "run", records)
    assert seen == ["accurate", "middle", "fast", "behind"]
    assert ids(settled.front) == ["behind", "middle", "fast"]
    assert ids(settled.left) == ["accurate"]
    assert settled.left[0]["reason"] == {"kind": "measured", "message": "latency of 10.4 s is not <= 10 s"}
    middle = settled.front[1]
    assert (middle["objectives"]["latency"], middle["metrics"]["latency_s"]) == (5.05, 5.05)
    assert middle["estimated"] == {"latency_s": 5.0}
    assert middle["metrics"]["flash_bytes"] == 5.0
    assert records[2]["metrics"]["latency_s"] == 5.0
    lines = [json.loads(line) for line in (tmp_path / "run" / MEASUREMENTS).read_text().splitlines()]
    assert ids(lines) == seen
    assert all(line["decides"] for line in lines)


def test_a_candidate_whose_interval_holds_the_bound_is_measured_where_it_may_be_on_the_front(tmp_path):
    # Estimated as 11 s and less accurate than one of 10.5 s; at 9.9 s it would be faster than that one measures.
    records = [
        record("slow", 0.01, 10.5, truth=9.95),
        record("slower", 0.02, 11.0, truth=9.2),
        record("worst", 0.03, 11.1, truth=9.0),
        record("quick", 0.03, 9.0, truth=9.0),
    ]
    assert [bool(r["uncertain"]) for r in records] == [True, True, True, False]
    settled, seen = run(tmp_path / "run", records)
    # `worst` cannot be faster than 9.99 s, and `quick` is as accurate with 9 s.
    assert seen == ["slow", "quick", "slower"]
    assert ids(settled.front) == ["slow", "slower", "quick"]


def test_contenders_are_all_whose_interval_reaches_the_front(tmp_path):
    records = [
        record("best", 0.01, 5.0, truth=5.0),
        record("near", 0.01, 5.4, truth=4.9),
        record("far", 0.01, 5.7, truth=1.0),
    ]
    settled, seen = run(tmp_path / "front", records)
    assert (seen, ids(settled.front)) == (["best"], ["best"])
    settled, seen = run(tmp_path / "contenders", records, "contenders")
    assert (seen, ids(settled.front)) == (["best", "near"], ["near"])


def test_what_cannot_be_measured_leaves_with_its_reason(tmp_path):
    records = [record("a", 0.01, 3.0, truth="no kernel"), record("b", 0.02, 3.0, truth=3.0)]
    settled, seen = run(tmp_path / "run", records)
    assert (seen, ids(settled.front), ids(settled.left)) == (["a", "b"], ["b"], ["a"])
    assert (settled.left[0]["status"], settled.left[0]["reason"]["message"]) == ("failed", "no kernel")


def test_a_machine_that_was_too_busy_is_asked_anew_and_nothing_else_is(tmp_path):
    records = [record("a", 0.01, 3.0, truth="busy"), record("b", 0.02, 2.0, truth="no kernel")]
    settled, seen = run(tmp_path / "run", records)
    assert (seen, settled.front) == (["a", "b"], [])
    records[0]["assignment"]["latency_s"] = 3.1
    settled, seen = run(tmp_path / "run", records, resume=True)
    assert (seen, ids(settled.front), ids(settled.left)) == (["a"], ["a"], ["b"])
    settled, seen = run(tmp_path / "run", records, resume=True)
    assert (seen, ids(settled.front)) == ([], ["a"])


def test_an_empty_front_says_what_measurements_found(tmp_path):
    records = [record("a", 0.01, 9.0, truth=12.0), record("b", 0.02, 8.0, truth="no kernel")]
    settled, _ = run(tmp_path / "run", records)
    assert settled.front == []
    text = explain_left(settled.left)
    assert "2 candidates keep every constraint by their estimates, and none as measured" in text
    assert "latency of 12 s is not <= 10 s" in text
    assert "1 could not be measured, the last: no kernel" in text


def test_nothing_more_is_tried_where_everything_fails(tmp_path):
    records = [record(f"c{i}", 0.01 * i, 5.0 - 0.1 * i, truth="no space") for i in range(2 * FAILURES)]
    with pytest.raises(RunError, match=r"all of the first \d+ measurements failed.*model: no space"):
        run(tmp_path / "run", records)


TRUTHS = st.lists(
    st.tuples(st.integers(1, 6), st.floats(1.0, 12.0), st.floats(0.7, 1.3), st.floats(0.02, 0.3)),
    min_size=1,
    max_size=12,
)


@given(TRUTHS, st.sampled_from(["front", "contenders"]))
@settings(max_examples=40, deadline=None)
def test_members_are_measured_feasible_and_beaten_by_no_candidate_as_far_as_it_is_known(
    tmp_path_factory, drawn, scope
):
    records = [
        record(f"c{i}", error / 10, latency, truth=latency * off, width=width)
        for i, (error, latency, off, width) in enumerate(drawn)
        if latency * (1 - width) <= 10
    ]
    settled, seen = run(tmp_path_factory.mktemp("settle") / "run", records, scope)
    assert len(seen) == len(set(seen))
    assert set(ids(settled.front)) <= set(seen)
    known = {
        r["id"]: r["assignment"]["latency_s"] if r["id"] in seen else r["metrics"]["latency_s"]
        for r in records
    }
    inside = [r for r in records if r["id"] not in seen or known[r["id"]] <= 10]
    points = {r["id"]: np.array([r["objectives"]["error"], known[r["id"]]]) for r in inside}
    expected = {
        a
        for a in points
        if not any((points[b] <= points[a]).all() and (points[b] < points[a]).any() for b in points)
    }
    assert set(ids(settled.front)) == expected
    if scope == "contenders":
        # Nobody that was not measured would be on the front at the better end of its interval.
        best = {r["id"]: r["metrics"]["latency_s"] * (1 - r["bands"]["latency_s"]) for r in records}
        for one, member in itertools.product(records, settled.front):
            if one["id"] not in seen and one["objectives"]["error"] < member["objectives"]["error"]:
                assert any(
                    m["objectives"]["error"] <= one["objectives"]["error"]
                    and m["objectives"]["latency"] <= best[one["id"]]
                    for m in settled.front
                )


@pytest.mark.parametrize("torn", [False, True])
def test_any_prefix_of_the_measurements_leads_to_the_same_end_without_measuring_twice(tmp_path, torn):
    rng = np.random.default_rng(3)
    records = [
        record(f"c{i}", error, latency, truth=latency * rng.uniform(0.85, 1.15))
        for i, (error, latency) in enumerate(
            zip(rng.uniform(0.01, 0.2, 30), rng.uniform(1, 10.9, 30), strict=True)
        )
    ]
    whole, seen = run(tmp_path / "whole", records)
    lines = (tmp_path / "whole" / MEASUREMENTS).read_bytes().splitlines(keepends=True)
    assert len(lines) == len(seen) > len(front_of(records, GOALS))
    for kept in range(len(lines) + 1):
        folder = tmp_path / f"run{kept}"
        with RunDirectory(folder) as directory:
            directory.write("config.yaml", "toy: true\n")
        rest = lines[kept][:25] if torn and kept < len(lines) else b""
        (folder / MEASUREMENTS).write_bytes(b"".join(lines[:kept]) + rest)
        settled, fresh = run(folder, records, resume=True)
        assert settled == whole
        assert fresh == seen[kept:]
        assert (folder / MEASUREMENTS).read_bytes() == b"".join(lines)


def test_measurements_that_do_not_decide_change_nothing():
    one = record("a", 0.01, 3.0, truth=3.0)
    found = {"id": "a", "status": "ok", "measurement": {"figures": {"latency_s": {"value": 99.0}}}}
    assert decided(one, None, GOALS.constraints) is one
    assert decided(one, found, GOALS.constraints) is one
    changed = decided(one, {**found, "decides": True}, GOALS.constraints)
    assert (changed["status"], changed["metrics"]["latency_s"]) == ("infeasible", 99.0)
