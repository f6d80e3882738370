"""The loop: what is recorded, charged, told and remembered."""

import json

import numpy as np
import pytest
from search_toys import (
    StagesEvaluator,
    StagesProblem,
    TableProblem,
    nas_like,
    nas_like_values,
    toy_run,
    without_times,
)

from hannah_hw.errors import ConfigError, RunError
from hannah_hw.search.archive import charged, minimised
from hannah_hw.search.loop import Search, make_goals
from hannah_hw.search.metrics import METRICS
from hannah_hw.search.sections import Constraints, Objectives


def toy_search(**options):
    options = {"algorithm": "nsga2", "population": 10, "seed": 5, "evaluator": StagesEvaluator(), **options}
    bounds = options.pop("constraints", {"ram": "<= 200000", "flash": "<= 500000"})
    problem = options.pop("problem", None) or StagesProblem()
    return Search(problem, None, options.pop("objectives", ["error", "latency"]), bounds, **options)


def test_records_hold_what_the_contract_says():
    search = toy_search().fit(30)
    assert [r["index"] for r in search.history_] == list(range(len(search.history_)))
    assert sum(map(charged, search.history_)) == 30
    assert len({r["id"] for r in search.history_}) == len(search.history_)
    assert {r["status"] for r in search.history_} == {"ok", "infeasible"}
    encoding = nas_like()
    for record in search.history_:
        json.dumps(record, allow_nan=False)
        row = np.array([[record["assignment"][k] for k in encoding.ids]])
        values, excess = nas_like_values(row)
        ok = record["status"] == "ok"
        assert ok == bool((excess <= 0).all())
        assert record["violations"]["ram"] == pytest.approx(max(excess[0, 0], 0), abs=1e-12)
        assert record["objectives"]["latency"] == record["metrics"]["latency_s"] == values[0, 1]
        assert record["objectives"].get("error") == (values[0, 0] if ok else None)
        assert (record["artifact"] is not None) == (record["cost"] is not None) == ok
        assert record["reason"] is None
        assert isinstance(record["macs"], int)
        assert record["timestamps"]["started"] <= record["timestamps"]["finished"]


def test_front_and_hypervolume_are_those_of_the_feasible_records():
    search = toy_search().fit(60)
    points = np.array(
        [
            [r["objectives"]["error"], r["objectives"]["latency"]]
            for r in search.history_
            if r["status"] == "ok"
        ]
    )
    best = [p for p in points if not ((points <= p).all(1) & (points < p).any(1)).any()]
    assert sorted(map(tuple, best)) == sorted(map(tuple, search.front_objectives_))
    assert 0 < search.hypervolume_ < 1


def test_maximising_is_minimising_the_negative():
    problem = TableProblem()
    search = Search(problem, None, {"macs": "max", "latency": "min"}, population=6).fit(42)
    # Latency 1 + a + b / 10 and MACs 10 a + b: every candidate is on the front.
    assert len(search.front_) == 42
    best = Search(problem, None, {"macs": "max"}, population=6).fit(42)
    assert [r["objectives"]["macs"] for r in best.front_] == [56.0]


def test_without_trained_metrics_nothing_is_trained_and_the_true_front_is_found():
    bounds = {"ram": "<= 600"}
    search = Search(TableProblem(), None, ["latency", "flash"], bounds, algorithm="nsga2", population=6).fit(
        10_000
    )
    assert search.ending_ == "exhausted"
    feasible = {(a, b) for a in range(6) for b in range(7) if a + b <= 6}
    found = {tuple(r["assignment"].values()) for r in search.history_ if r["status"] == "ok"}
    assert found == feasible
    assert {tuple(r["assignment"].values()) for r in search.front_} == {(a, 0) for a in range(6)}


def test_budget_is_exact_also_inside_a_batch():
    for budget in (1, 7, 10, 23):
        assert sum(map(charged, toy_search().fit(budget).history_)) == budget


def test_a_larger_budget_continues_the_smaller_one():
    short, long = toy_search().fit(23), toy_search().fit(40)
    assert without_times(short.history_) == without_times(long.history_)[: len(short.history_)]


@pytest.mark.parametrize("algorithm", ["nsga2", "aging"])
def test_failures_are_recorded_charged_and_survived(algorithm):
    evaluator = StagesEvaluator(((0, "diverge"), (1, "bug"), (2, "nan")))
    search = toy_search(evaluator=evaluator, algorithm=algorithm).fit(40)
    failed = [r for r in search.history_ if r["status"] == "failed"]
    kinds = {r["reason"]["kind"] for r in failed}
    assert kinds == {"diverged", "error", "no-figure"}
    assert all(charged(r) and r["cost"] is None for r in failed)
    assert {int(r["assignment"]["op0"]) for r in search.history_ if r["status"] == "ok"} == {3}
    assert sum(map(charged, search.history_)) == 40


def test_when_everything_fails_the_run_ends_with_the_reason():
    evaluator = StagesEvaluator(tuple((op, "bug") for op in range(4)))
    with pytest.raises(RunError, match=r"all of the first 8 evaluations failed; 8 times error: ZeroDivision"):
        toy_search(evaluator=evaluator).fit(40)


def test_unsupported_candidates_are_infeasible_with_the_reason():
    search = toy_search(problem=StagesProblem(forbidden=2)).fit(30)
    for record in search.history_:
        forbidden = record["assignment"]["op0"] == 2
        assert (record["reason"] is not None) == forbidden
        if forbidden:
            assert record["status"] == "infeasible"
            assert record["violations"]["unsupported"] == 1.0
            assert record["reason"] == {"kind": "unsupported", "message": "operator 3 has no kernel"}


def test_a_bound_on_the_error_is_checked_after_training_and_charged():
    search = toy_search(constraints={"error": "<= 20 %", "ram": "<= 200000", "flash": "<= 500000"}).fit(60)
    missed = [r for r in search.history_ if r["status"] == "infeasible" and charged(r)]
    assert missed
    for record in missed:
        error = record["metrics"]["error"]
        assert record["violations"]["error"] == pytest.approx((error - 0.2) / 0.2)
    assert all(r["metrics"]["error"] <= 0.2 for r in search.front_)
    assert sum(map(charged, search.history_)) == 60


def test_an_impossible_constraint_is_named_with_the_best_value():
    with pytest.raises(RunError, match=r"ram <= 10 B: best value seen [\d.]+ KiB \(out of reach\)") as caught:
        toy_search(constraints={"ram": "<= 10", "flash": "<= 500000"}).fit(5)
    assert "flash <= 488.3 KiB" in str(caught.value)
    assert "reachable alone" in str(caught.value)


def test_constraints_that_exclude_one_another_are_told_so():
    # RAM 100 (a + b) <= 200 needs a small a, flash 1000 (6 - a) + b <= 2000 a large one.
    with pytest.raises(RunError, match=r"estimates, the whole space searched.*exclude one another") as caught:
        Search(TableProblem(), None, ["latency"], {"ram": "<= 200", "flash": "<= 2000"}).fit(5)
    assert "ram <= 200 B: best value seen 0 B (reachable alone)" in str(caught.value)


def test_a_metric_without_figures_is_an_unreachable_constraint():
    with pytest.raises(RunError, match=r"energy .*best value seen no figure"):
        Search(TableProblem(), None, ["latency"], {"energy": "<= 1 mJ"}).fit(5)


def test_offspring_are_priced_in_batches():
    problem = StagesProblem()
    toy_search(problem=problem).fit(100)
    assert problem.calls < 100


def test_wrong_arguments_from_python():
    with pytest.raises(ConfigError, match="did you mean 'latency'"):
        make_goals(["latncy"], {})
    with pytest.raises(ConfigError, match="min, max"):
        make_goals({"latency": "up"}, {})
    with pytest.raises(ConfigError, match="needs an evaluator"):
        Search(TableProblem(), None, ["error"]).fit(5)
    with pytest.raises(ConfigError, match="give a target"):
        Search("ds_cnn")


def test_goals_know_every_metric_of_the_configuration():
    assert set(Objectives.model_fields) == set(Constraints.model_fields) == set(METRICS)
    goals = make_goals(dict.fromkeys(METRICS, "max"), {})
    record = {"objectives": {name: float(i) for i, name in enumerate(METRICS)}}
    assert minimised(record, goals).tolist() == [-float(i) for i in range(len(METRICS))]
    assert np.isnan(minimised({"objectives": {}}, goals)).all()


@pytest.mark.parametrize("algorithm", ["nsga2", "aging"])
def test_the_number_of_workers_does_not_matter(tmp_path, algorithm):
    for workers in (0, 1, 3):
        toy_run(tmp_path / str(workers), workers=workers, delay=0.01, algorithm=algorithm)
    logs = [
        without_times(map(json.loads, (tmp_path / str(w) / "candidates.jsonl").read_text().splitlines()))
        for w in (0, 1, 3)
    ]
    assert logs[0] == logs[1] == logs[2]
    states = [json.loads((tmp_path / str(w) / "state.json").read_text()) for w in (0, 1, 3)]
    assert states[0] == states[1] == states[2]
