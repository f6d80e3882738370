"""Loops of the user's own, functions as observers, stopping early, and what a search chooses by itself."""

import io
import json

import numpy as np
import pytest
from search_toys import StagesEvaluator, StagesProblem, TableProblem, toy_run, without_times

from hannah_hw.errors import ConfigError, InputError, RunError
from hannah_hw.search import PlainLines, Search, StopSearch, load_config, run_search
from hannah_hw.search.choosing import Choice, choose, choose_lag
from hannah_hw.search.loop import make_goals

BOUNDS = {"ram": "<= 200000", "flash": "<= 500000"}


def stages(**options):
    return Search(StagesProblem(), None, ["error", "latency"], BOUNDS, population=10, seed=5, **options)


def score(asked):
    """What the evaluator of the toys gives."""
    evaluator = StagesEvaluator()
    evaluator.start()
    return evaluator.evaluate(asked)


class AsTask:
    def __init__(self, asked):
        self.identifier, self.assignment = asked.id, asked.assignment


@pytest.mark.parametrize("at_a_time", [1, 3, 40])
def test_asking_and_telling_is_fitting(at_a_time):
    fitted = stages(evaluator=StagesEvaluator(), lag=4).fit(40)
    search, rng = stages(lag=4), np.random.default_rng(at_a_time)
    told = 0
    while told < 40:
        asked = search.ask(min(at_a_time, 40 - told))
        assert asked
        for index in rng.permutation(len(asked)):
            search.tell(asked[index], score(AsTask(asked[index])))
        told += len(asked)
    count = len(fitted.history_)
    assert without_times(search.history_[:count]) == without_times(fitted.history_)
    assert search.hypervolume_ >= fitted.hypervolume_ > 0
    assert {r["id"] for r in search.front_} <= {r["id"] for r in search.history_}


def test_asking_stops_where_the_lag_is_used_up_and_goes_on_when_told():
    search = stages(lag=0)
    first = search.ask(100)
    assert 0 < len(first) <= 10
    assert search.ask() == []
    for asked in first[:-1]:
        search.tell(asked.index, score(AsTask(asked)))
    assert search.ask() == []
    search.tell(first[-1], failure="the board does not answer")
    assert search.ask()
    failed = [r for r in search.history_ if r["status"] == "failed"]
    assert [(r["id"], r["reason"]["message"]) for r in failed] == [
        (first[-1].id, "the board does not answer")
    ]
    assert all(asked.known["ram_bytes"] <= 200000 for asked in first)


def test_a_space_that_is_used_up_has_nothing_more_to_ask_for():
    search = Search(TableProblem((2, 3)), None, {"error": "min"}, lag=0)
    while asked := search.ask(2):
        for one in asked:
            search.tell(one, {"error": 0.1 * one.index})
    assert len(search.history_) == 6
    assert [r["objectives"]["error"] for r in search.front_] == [0.0]


def test_wrong_answers_are_named():
    search = stages()
    with pytest.raises(InputError, match="nothing was asked for"):
        search.tell(0, {"error": 0.5})
    one = search.ask()[0]
    with pytest.raises(InputError, match=f"candidate 9999 does not wait.*waiting: {one.index}"):
        search.tell(9999, {"error": 0.5})
    with pytest.raises(InputError, match="give either"):
        search.tell(one)
    with pytest.raises(InputError, match="latency_s: estimated before"):
        search.tell(one, {"error": 0.5, "latency_s": 1e-9})
    search.tell(one, {"error": 0.5})
    with pytest.raises(InputError, match="does not wait"):
        search.tell(one, {"error": 0.5})
    with pytest.raises(ConfigError, match="use fit"):
        Search(TableProblem(), None, ["latency"]).ask()
    with pytest.raises(ConfigError, match=r"ask\(\) and tell\(\)"):
        stages().fit(3)


def test_a_function_follows_and_stops_a_search():
    seen = []

    def follow(record, progress):
        seen.append(record["index"])
        return progress.evaluations == 17

    search = stages(evaluator=StagesEvaluator(), observers=[follow]).fit(40)
    assert search.ending_ == "stopped"
    assert seen == list(range(len(search.history_)))
    whole = stages(evaluator=StagesEvaluator()).fit(40)
    count = len(search.history_)
    assert count < len(whole.history_)
    assert without_times(search.history_) == without_times(whole.history_)[:count]


def test_an_observer_stops_a_run_that_can_be_continued(tmp_path):
    class Once:
        def on_start(self, progress):
            pass

        def on_record(self, record, progress):
            pass

        def on_generation(self, progress):
            if progress.evaluations >= 20:
                raise StopSearch

        def on_end(self, progress, ending):
            self.ending = ending

    observer = Once()
    toy_run(tmp_path / "run", workers=0, observers=[observer])
    assert observer.ending == json.loads((tmp_path / "run" / "state.json").read_text())["ending"] == "stopped"
    toy_run(tmp_path / "run", workers=0, resume=True)
    toy_run(tmp_path / "whole", workers=0)
    logs = [(tmp_path / name / "candidates.jsonl").read_text().splitlines() for name in ("run", "whole")]
    assert without_times(map(json.loads, logs[0])) == without_times(map(json.loads, logs[1]))


def test_the_choice_follows_the_goals_and_the_space():
    free, trained = make_goals(["latency"], BOUNDS), make_goals(["error", "latency"], {})
    bound = make_goals(["latency"], {"error": "<= 5 %"})
    small, large = TableProblem((6, 7)), StagesProblem()
    assert choose("auto", free, small).algorithm == "exact"
    assert "42 combinations" in str(choose("auto", free, small))
    # Continuous columns cannot be enumerated.
    assert choose("auto", free, large).algorithm == "adaptive"
    assert "inf combinations" in str(choose("auto", free, large))
    assert {choose("auto", g, p).algorithm for g in (trained, bound) for p in (small, large)} == {"surrogate"}
    assert choose("aging", trained, small) == Choice("aging")
    assert [choose_lag(None, g) for g in (free, trained, bound)] == [0, 4, 4]
    assert [choose_lag(7, g) for g in (free, trained)] == [7, 7]


def test_everything_failing_ends_a_conversation():
    search = stages(lag=20)
    for _ in range(7):
        search.tell(search.ask()[0], failure="no power")
    last = search.ask()[0]
    with pytest.raises(RunError, match="all of the first 8 evaluations failed; 8 times error: no power"):
        search.tell(last, failure="no power")


AUTO_RUN = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
objectives: {latency: min, macs: max}
search: {population: 4, evaluations: 4}
"""


def test_a_run_says_what_was_chosen_and_keeps_to_it(tmp_path):
    path, out, stream = tmp_path / "auto.yaml", tmp_path / "run", io.StringIO()
    path.write_text(AUTO_RUN, encoding="utf-8")
    run_search(path, out, observers=[PlainLines(stream)])
    assert "algorithm: adaptive (nothing is trained; the space has" in stream.getvalue()
    resolved = load_config(out / "config.yaml").resolved
    assert (resolved["algorithm"], resolved["lag"]) == ("adaptive", 0)
    text = (out / "config.yaml").read_text(encoding="utf-8")
    # A version that would choose otherwise goes on with what the run began with.
    (out / "config.yaml").write_text(
        text.replace("algorithm: adaptive", "algorithm: aging"), encoding="utf-8"
    )
    (out / "candidates.jsonl").write_bytes(b"")
    (out / "state.json").unlink()
    run_search(path, out, resume=True, overrides=["search.evaluations=5"])
    assert json.loads((out / "state.json").read_text())["algorithm"] == "aging"
    with pytest.raises(ConfigError, match="configuration differs"):
        run_search(path, out, resume=True, overrides=["search.lag=3"])
