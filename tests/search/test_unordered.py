"""Results are told in the order of finishing: nobody waits for a straggler, and what is recorded can be continued."""

import json

import numpy as np
import pytest
from search_toys import Counting, Shuffled, StagesEvaluator, StagesProblem, log_of, toy_run, without_times

from hannah_hw.errors import RunError
from hannah_hw.search.choosing import choose_order
from hannah_hw.search.loop import Search, make_goals
from hannah_hw.search.rundir import LOG


def check_log(log):
    """What holds of every log: places, ids and what was known are consistent."""
    assert [record["index"] for record in log] == list(range(len(log)))
    for key in ("asked", "id"):
        assert len({record[key] for record in log}) == len(log)
    heard = {}
    for index, record in enumerate(log):
        told = dict(map(tuple, record["told"]))
        # Nothing is known before it is there, and all records of a generation were asked at one time.
        assert max(told.values()) == told[record["generation"]] <= index
        assert told == heard.setdefault(record["generation"], told)


@pytest.mark.parametrize("workers", [1, 3, 12])
@pytest.mark.parametrize("algorithm", ["nsga2", "aging", "adaptive"])
def test_everything_is_recorded_once_in_the_order_of_finishing(tmp_path, workers, algorithm):
    evaluator = Counting()
    executor = Shuffled(evaluator, 3, workers=workers)
    toy_run(tmp_path / "run", executor=executor, order="finished", evaluations=60, algorithm=algorithm)
    log = log_of(tmp_path / "run")
    check_log(log)
    evaluated = [record["id"] for record in log if record["status"] == "ok"]
    assert evaluated == evaluator.seen
    assert len(evaluated) == 60
    # Every one that was asked for is there: those that the estimate rules out, too.
    last = max(record["generation"] for record in log)
    earlier = {record["asked"] for record in log if record["generation"] < last}
    assert earlier == set(range(len(earlier)))


@pytest.mark.parametrize("workers", [2, 4, 9])
@pytest.mark.parametrize("algorithm", ["nsga2", "aging"])
def test_stragglers_stop_nobody_however_long_they_take(tmp_path, workers, algorithm):
    toy_run(tmp_path / "first", executor=Shuffled(StagesEvaluator()), evaluations=10, order="finished")
    slow = sorted(r["asked"] for r in log_of(tmp_path / "first") if r["status"] == "ok")[: workers - 1]
    executor = Shuffled(StagesEvaluator(), 1, held=slow, workers=workers)
    toy_run(tmp_path / "run", executor=executor, order="finished", evaluations=100, algorithm=algorithm)
    log = log_of(tmp_path / "run")
    check_log(log)
    evaluated = [r["asked"] for r in log if r["status"] == "ok"]
    # All workers but one are held back from the beginning; the other one did all the rest meanwhile.
    assert sorted(evaluated[-len(slow) :]) == slow
    assert len(evaluated) == 100
    # Nobody was idle as long as there was budget for more.
    under_way = [max(0, workers - (100 - done)) for done in range(100)]
    assert executor.idle == under_way


def test_the_algorithm_knows_all_that_has_finished(tmp_path):
    executor = Shuffled(StagesEvaluator(), 5, workers=2)
    toy_run(tmp_path / "run", executor=executor, order="finished", evaluations=60)
    log = log_of(tmp_path / "run")
    # With two workers a batch of ten is asked for when one or none is left of those before, never later.
    for record in log:
        generation, told = record["told"][-1]
        assert generation == record["generation"]
        asked_before = sum(other["generation"] < generation for other in log)
        assert asked_before - told <= 1


@pytest.mark.parametrize("algorithm", ["nsga2", "adaptive"])
def test_any_beginning_of_the_log_can_be_continued(tmp_path, algorithm):
    options = {"order": "finished", "evaluations": 50, "algorithm": algorithm}
    executor = Shuffled(StagesEvaluator(), 2, held=[1, 2, 14, 15, 16, 17, 18, 19], workers=12)
    toy_run(tmp_path / "whole", executor=executor, **options)
    whole = log_of(tmp_path / "whole")
    lines = (tmp_path / "whole" / LOG).read_text().splitlines(keepends=True)
    # Some generation is first heard of after a later one: its own records alone would not tell when it was asked.
    assert any(len(record["told"]) > 1 for record in whole)
    for count in (*range(0, len(lines), 6), len(lines)):
        path, evaluator = tmp_path / str(count), Counting()
        path.mkdir()
        (path / "config.yaml").write_text("toy: true\n")
        (path / "state.json").write_text((tmp_path / "whole" / "state.json").read_text())
        (path / LOG).write_text("".join(lines[:count]))
        evaluator.seen = []
        toy_run(path, resume=True, executor=Shuffled(evaluator, count, workers=3), **options)
        log = log_of(path)
        check_log(log)
        assert log[:count] == whole[:count]
        done = {record["id"] for record in whole[:count]}
        assert not done & set(evaluator.seen)
        assert len(evaluator.seen) == len(set(evaluator.seen))
        assert sum(record["status"] == "ok" for record in log) == 50


def test_a_log_of_another_run_is_refused(tmp_path):
    options = {"order": "finished", "evaluations": 30}
    path = tmp_path / "run"
    toy_run(path, executor=Shuffled(StagesEvaluator(), 2, workers=3), **options)
    log = log_of(path)
    for change, message in (
        ({"id": "other"}, "does not continue at record 12"),
        ({"asked": 10_000}, "does not continue at record 12"),
        ({"told": None}, "record 12 of the log does not say"),
        ({"told": [[9, 3]]}, "record 12 of the log does not say"),
        ({"told": [[log[12]["generation"], 13]]}, "record 12 of the log does not say"),
        ({"told": [[9, 3], *log[12]["told"]]}, "does not continue at record"),
    ):
        changed = [*log[:12], {**log[12], **change}]
        (path / LOG).write_text("".join(json.dumps(record) + "\n" for record in changed))
        with pytest.raises(RunError, match=message):
            toy_run(path, resume=True, executor=Shuffled(StagesEvaluator(), workers=3), **options)


def test_worker_processes_are_kept_busy_and_a_run_goes_on(tmp_path):
    path = tmp_path / "run"
    toy_run(path, workers=2, delay=0.01, order="finished", evaluations=15)
    before = log_of(path)
    toy_run(path, workers=2, delay=0.01, order="finished", evaluations=30, resume=True)
    check_log(log_of(path))
    assert log_of(path)[: len(before)] == before
    assert sum(record["status"] == "ok" for record in log_of(path)) == 30


def test_a_larger_budget_goes_on(tmp_path):
    path = tmp_path / "run"
    toy_run(path, executor=Shuffled(StagesEvaluator(), 2, workers=3), order="finished", evaluations=25)
    before = log_of(path)
    toy_run(
        path,
        resume=True,
        executor=Shuffled(StagesEvaluator(), 4, workers=3),
        order="finished",
        evaluations=45,
    )
    log = log_of(path)
    check_log(log)
    assert log[: len(before)] == before
    assert sum(record["status"] == "ok" for record in log) == 45


def test_records_in_the_order_of_asking_say_nothing_of_it(tmp_path):
    toy_run(tmp_path / "run", workers=0, lag=4)
    assert not any({"asked", "told"} & record.keys() for record in log_of(tmp_path / "run"))


def test_where_nothing_is_trained_the_order_makes_no_difference():
    constraints = {"ram": "<= 200000", "flash": "<= 500000"}
    found = [
        Search(StagesProblem(), None, ["latency", "flash"], constraints, algorithm="nsga2", order=order).fit(
            60
        )
        for order in ("asked", "finished")
    ]
    assert without_times(found[0].history_) == without_times(found[1].history_)
    assert choose_order("finished", make_goals(["latency"], {})) == "asked"
    assert choose_order("finished", make_goals(["error"], {})) == "finished"


def test_a_loop_of_ones_own_never_waits():
    rng, notices = np.random.default_rng(0), []

    class Listener:
        def on_order(self, text):
            notices.append(text)

        def on_start(self, progress): ...
        def on_record(self, record, progress): ...
        def on_generation(self, progress): ...
        def on_end(self, progress, ending): ...

    search = Search(
        StagesProblem(),
        None,
        ["error", "latency"],
        {"ram": "<= 200000", "flash": "<= 500000"},
        algorithm="nsga2",
        population=10,
        order="finished",
        observers=[Listener()],
    )
    first = search.ask(2)
    for _ in range(50):
        # The first two are never told, and yet there is always another one.
        (asked,) = search.ask()
        search.tell(asked, {"error": float(rng.random())})
    assert len([r for r in search.history_ if r["status"] == "ok"]) == 50
    assert not {asked.id for asked in first} & {record["id"] for record in search.history_}
    assert len(notices) == 1
    assert "order of finishing" in notices[0]
