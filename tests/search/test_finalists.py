"""Finalists: which they are, what becomes of their records, and that nothing is done twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.errors import RunError
from hannah_hw.search.archive import minimised
from hannah_hw.search.finalists import Tuning, furthest_apart, tune_front, tuned
from hannah_hw.search.metrics import Constraint, Goals
from hannah_hw.search.rundir import RunDirectory
from hannah_hw.search.tasks import InProcess

GOALS = Goals({"error": "min", "latency": "min"}, (Constraint("error", "<=", 0.4),))
OPTIONS = {"epochs": 1.0, "count": None}


def record(name, error, latency):
    metrics = {"error": error, "test_error": error + 0.01, "latency_s": latency}
    return {
        "id": name,
        "status": "ok",
        "reason": None,
        "assignment": {"x": name},
        "objectives": {"error": error, "latency": latency},
        "metrics": metrics,
        "violations": {},
        "artifact": f"artifacts/{name}.onnx",
    }


FRONT = [record("a", 0.10, 4.0), record("b", 0.20, 3.0), record("c", 0.30, 2.0), record("d", 0.35, 1.0)]


def result(error, kept=True, artifact="artifacts/t.onnx"):
    before = {"error": 0.5, "test_error": 0.5}
    return {"error": error, "test_error": error, "before": before, "kept": kept, "artifact": artifact}


class Tuner:
    """Gives what a table says, and counts."""

    def __init__(self, table):
        self.table, self.done = table, []

    def start(self):
        pass

    def evaluate(self, task):
        self.done.append(task.identifier)
        found = self.table[task.identifier]
        if isinstance(found, BaseException):
            raise found
        return found


def tuning(folder, table, options=OPTIONS):
    tuner = Tuner(table)
    return Tuning(folder.open_finalists(), InProcess(tuner), options), tuner


@pytest.fixture
def folder(tmp_path):
    with RunDirectory(tmp_path / "run") as directory:
        yield directory


def test_those_that_are_furthest_apart_are_chosen_the_best_of_each_objective_first():
    assert [r["id"] for r in furthest_apart(FRONT, GOALS, 2)] == ["a", "d"]
    # Scaled to 0..1 b is at (0.4, 0.67) and c at (0.8, 0.33): 0.52 from a and 0.69 ... 0.39 from d.
    assert [r["id"] for r in furthest_apart(FRONT, GOALS, 3)] == ["a", "b", "d"]
    assert furthest_apart(FRONT, GOALS, None) == FRONT
    assert furthest_apart(FRONT, GOALS, 9) == FRONT
    assert [r["id"] for r in furthest_apart(FRONT, GOALS, 1)] == ["a"]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12, unique=True))
def test_any_front_gives_as_many_as_asked_for_in_its_order(points):
    front = [record(str(i), *point) for i, point in enumerate(points)]
    for count in range(1, len(front) + 1):
        chosen = furthest_apart(front, GOALS, count)
        assert len(chosen) == count
        places = [front.index(member) for member in chosen]
        assert places == sorted(set(places))


def test_a_record_takes_the_errors_and_the_model_of_the_better():
    found = tuned(FRONT[1], {"tuned": result(0.15)}, GOALS)
    assert found["objectives"] == {"error": 0.15, "latency": 3.0}
    assert (found["metrics"]["error"], found["metrics"]["test_error"]) == (0.15, 0.15)
    assert found["artifact"] == "artifacts/t.onnx"
    assert found["searched"] == pytest.approx({"error": 0.20, "test_error": 0.21})
    assert found["status"] == "ok"
    assert FRONT[1]["objectives"]["error"] == 0.20


@pytest.mark.parametrize(
    "finalist", [None, {"tuned": None}, {"tuned": result(0.2, kept=False, artifact=None)}]
)
def test_what_gave_nothing_leaves_the_record(finalist):
    assert tuned(FRONT[1], finalist, GOALS) is FRONT[1]


def test_an_error_beyond_a_bound_takes_a_finalist_off_the_front():
    found = tuned(FRONT[3], {"tuned": result(0.45, kept=False)}, GOALS)
    assert found["status"] == "infeasible"
    assert found["violations"]["error"] == pytest.approx(0.05 / 0.4)


def test_finalists_that_beat_others_leave_a_smaller_front(folder):
    done, _ = tuning(folder, {name: result(0.10) for name in "abcd"})
    found = tune_front(FRONT, GOALS, done, alone=False)
    # All have an error of 0.1 now, and d is the fastest.
    assert [r["id"] for r in found.front] == ["d"]


def test_those_that_fail_stay_as_they_were(folder):
    table = {"a": result(0.05), "b": ValueError("no"), "c": result(0.30, False, None), "d": result(0.34)}
    done, _ = tuning(folder, table)
    found = tune_front(FRONT, GOALS, done, alone=False)
    assert [minimised(r, GOALS)[0] for r in found.front] == [0.05, 0.20, 0.30, 0.34]
    assert [r["id"] for r in found.finalists if r["status"] == "failed"] == ["b"]
    applied = found.applied([*FRONT, record("e", 0.5, 5.0)], GOALS)
    assert [r["metrics"]["error"] for r in applied] == [0.05, 0.20, 0.30, 0.34, 0.5]
    assert np.all([r["artifact"] == "artifacts/c.onnx" for r in found.front if r["id"] == "c"])


def test_of_a_supernet_nothing_but_finalists_is_on_the_front(folder):
    done, _ = tuning(folder, {name: result(0.2) for name in "abcd"}, {"count": 2})
    found = tune_front(FRONT, GOALS, done, alone=True)
    assert [r["id"] for r in found.front] == ["d"]


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_file(tmp_path):
    table = {name: result(0.1) for name in "abcd"}
    with RunDirectory(tmp_path / "whole") as directory:
        tune_front(FRONT, GOALS, tuning(directory, table)[0], alone=False)
    with RunDirectory(tmp_path / "run") as directory:
        directory.write("config.yaml", "{}")
        stopped, _ = tuning(directory, {**table, "c": KeyboardInterrupt()})
        with pytest.raises(RunError, match="2 of 4 finalists to train"):
            tune_front(FRONT, GOALS, stopped, alone=False)
    with RunDirectory(tmp_path / "run", resume=True) as directory:
        rest, tuner = tuning(directory, table)
        tune_front(FRONT, GOALS, rest, alone=False)
    assert tuner.done == ["c", "d"]
    names = [tmp_path / name / "finalists.jsonl" for name in ("whole", "run")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_other_options_are_tuned_anew_but_not_for_another_count(tmp_path):
    table = {name: result(0.1) for name in "abcd"}
    with RunDirectory(tmp_path / "run") as directory:
        directory.write("config.yaml", "{}")
        tune_front(FRONT, GOALS, tuning(directory, table, {"epochs": 1.0, "count": 2})[0], alone=False)
    for options, expected in (
        ({"epochs": 1.0, "count": 3}, ["b"]),
        ({"epochs": 2.0, "count": 2}, ["a", "d"]),
    ):
        with RunDirectory(tmp_path / "run", resume=True) as directory:
            done, tuner = tuning(directory, table, options)
            tune_front(FRONT, GOALS, done, alone=False)
            assert tuner.done == expected
