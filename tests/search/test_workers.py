"""Workers that crash, hang and fail are recorded, replaced and survived."""

import os
import signal
import time

import numpy as np
import pytest
from search_toys import StagesEvaluator, nas_like, nas_like_values

from hannah_hw.errors import MissingExtraError, RunError
from hannah_hw.search.tasks import InProcess, Task, run_all
from hannah_hw.search.workers import ENVIRONMENT, WorkerPool


def tasks(ops):
    """One task for each value of the first operator; everything else at the default."""
    encoding = nas_like()
    rows = np.tile(encoding.default, (len(ops), 1))
    rows[:, 0] = ops
    return [Task(f"c{i}", dict(zip(encoding.ids, row, strict=True))) for i, row in enumerate(rows)], rows


def run(pool, todo):
    try:
        return dict(run_all(pool, todo))
    finally:
        pool.close()


class Environment:
    def start(self):
        self.pid = os.getpid()

    def evaluate(self, task):
        return {"error": float(all(os.environ[k] == v for k, v in ENVIRONMENT.items())), "pid": self.pid}


class FailsToStart:
    def __init__(self, how):
        self.how = how

    def start(self):
        if self.how == "exit":
            os._exit(3)
        raise MissingExtraError("torch", "train")

    def evaluate(self, task):
        return {}


class Hungry:
    """Holds as many bytes as an assignment says."""

    def start(self):
        pass

    def evaluate(self, task):
        block = np.ones(int(task.assignment["bytes"]), np.uint8)
        time.sleep(task.assignment.get("seconds", 0.0))
        return {"error": float(block[-1])}


class FullDisk:
    def start(self):
        pass

    def evaluate(self, task):
        raise OSError(28, "No space left on device")


def test_results_equal_those_of_this_process():
    todo, rows = tasks([0, 1, 2, 3, 1])
    apart, here = run(WorkerPool(StagesEvaluator(), 2, 30), todo), run(InProcess(StagesEvaluator()), todo)
    expected = nas_like_values(rows)[0][:, 0]
    for result in (apart, here):
        assert sorted(result) == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal([result[i].metrics["error"] for i in range(5)], expected)


def test_crash_hang_failure_and_bug_are_told_apart():
    todo, _ = tasks([0, 1, 2, 3, 0, 3])
    evaluator = StagesEvaluator(((0, "exit"), (1, "hang"), (2, "kill")))
    result = run(WorkerPool(evaluator, 2, 1.5), todo)
    reasons = {i: outcome.reason and outcome.reason["kind"] for i, outcome in result.items()}
    assert reasons == {0: "crash", 1: "timeout", 2: "crash", 3: None, 4: "crash", 5: None}
    assert "status 7" in result[0].reason["message"]
    assert "1.5 s" in result[1].reason["message"]
    assert "SIGKILL" in result[2].reason["message"]
    assert result[1].wall_s >= 1.5


@pytest.mark.parametrize("make", [InProcess, lambda e: WorkerPool(e, 1, 30)])
def test_exceptions_of_a_candidate_are_its_failure(make):
    todo, _ = tasks([0, 1, 2])
    result = run(make(StagesEvaluator(((0, "diverge"), (1, "bug")))), todo)
    assert result[0].reason == {"kind": "diverged", "message": "the loss is not finite"}
    assert result[1].reason == {"kind": "error", "message": "ZeroDivisionError: a bug"}
    assert result[2].reason is None


def test_workers_compute_with_one_thread_and_are_kept():
    before = dict(os.environ)
    pool = WorkerPool(Environment(), 1, 30)
    try:
        first, second = dict(run_all(pool, tasks([0, 1])[0])), dict(run_all(pool, tasks([0])[0]))
    finally:
        pool.close()
    assert {o.metrics["error"] for o in first.values()} == {1.0}
    assert len({o.metrics["pid"] for o in [*first.values(), *second.values()]}) == 1
    assert dict(os.environ) == before


def test_an_idle_worker_that_was_killed_is_replaced_without_a_failure():
    pool = WorkerPool(Environment(), 1, 30)
    try:
        (_, outcome), *_ = list(run_all(pool, tasks([0])[0]))
        os.kill(outcome.metrics["pid"], signal.SIGKILL)
        time.sleep(0.3)
        (_, again), *_ = list(run_all(pool, tasks([0])[0]))
    finally:
        pool.close()
    assert again.reason is None
    assert again.metrics["pid"] != outcome.metrics["pid"]


@pytest.mark.parametrize(
    ("how", "text"), [("exit", "in a row did not start"), ("extra", "hannah-hw\\[train\\]")]
)
def test_workers_that_cannot_start_end_the_run(how, text):
    with pytest.raises(RunError, match=text):
        run(WorkerPool(FailsToStart(how), 2, 30), tasks([0, 1])[0])


def test_what_holds_too_much_memory_is_a_failure_and_the_rest_goes_on():
    limit = 1 << 30
    todo = [Task("a", {"bytes": 2 * limit, "seconds": 60.0}), Task("b", {"bytes": limit // 8})]
    result = run(WorkerPool(Hungry(), 1, 50, limit), todo)
    assert [result[i].reason and result[i].reason["kind"] for i in range(2)] == ["memory", None]
    assert "1024 MiB of search.memory" in result[0].reason["message"]


def test_workers_that_hold_too_much_before_they_begin_name_the_limit():
    with pytest.raises(RunError, match=r"did not start: held more than the 1 MiB of search\.memory"):
        run(WorkerPool(Hungry(), 1, 30, 1 << 20), [Task("a", {"bytes": 1})])


def test_a_full_disk_ends_the_run_with_advice():
    with pytest.raises(RunError, match="make room"):
        run(InProcess(FullDisk()), tasks([0])[0])
