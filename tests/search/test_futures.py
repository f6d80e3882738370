"""Any executor of concurrent.futures evaluates what this process would, and files come back inside one folder."""

from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from search_toys import StagesEvaluator, StagesProblem

from hannah_hw.errors import RunError
from hannah_hw.search import Search
from hannah_hw.search.config import SearchConfig
from hannah_hw.search.functions import as_evaluator
from hannah_hw.search.futures import RETRIES, FuturesExecutor, receive
from hannah_hw.search.pipeline import build, configured_space
from hannah_hw.search.sections import Objectives, SpaceChoice
from hannah_hw.search.tasks import InProcess, Outcome, Task, run_all


@dataclass
class Writer:
    """Appends a candidate's text to the file of its parent, as a file of its own."""

    folder: Path
    megabytes: int = 0

    def start(self):
        pass

    def moved(self, folder):
        return replace(self, folder=folder)

    def reads(self, task):
        return [f"texts/{task.parent}.*", "common", "missing"] if task.parent else []

    def evaluate(self, task):
        folder = self.folder / "texts"
        folder.mkdir(exist_ok=True)
        there = sorted(path.name for path in self.folder.rglob("*") if path.is_file())
        before = (folder / f"{task.parent}.txt").read_text() if task.parent else ""
        (folder / f"{task.identifier}.txt").write_text(before + task.assignment["text"])
        if self.megabytes:
            with (folder / "big").open("wb") as file:
                file.truncate(self.megabytes << 20)
        return {
            "error": 0.5,
            "there": there,
            "artifact": f"texts/{task.identifier}.txt",
        }


def evaluated(evaluator, tasks, pool, **limits):
    executor = FuturesExecutor(evaluator, pool, **{"timeout": 60.0, **limits})
    try:
        return dict(run_all(executor, tasks))
    finally:
        executor.close()


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_search_on_an_executor_equals_one_in_this_process(kind):
    options = {"objectives": ["error", "latency"], "population": 8, "seed": 5}
    here = Search(StagesProblem(), evaluator=StagesEvaluator(), **options).fit(16)
    with kind(2) as pool:
        there = Search(StagesProblem(), evaluator=StagesEvaluator(), workers=pool, **options).fit(16)
    ours, theirs = (
        [{k: v for k, v in r.items() if k != "timestamps"} for r in s.history_] for s in (here, there)
    )
    assert ours == theirs


def test_crashes_and_time_limits_are_those_of_a_pool():
    tasks = [
        Task(f"c{op}", {**StagesProblem().describe(np.zeros((1, 30)))[0][1], "op0": op}) for op in (0, 1, 2)
    ]
    evaluator = StagesEvaluator(((0, "kill"), (1, "hang")))
    with ThreadPoolExecutor(2) as pool:
        found = evaluated(evaluator, tasks, pool, timeout=2.0)
    assert [found[i].reason and found[i].reason["kind"] for i in range(3)] == ["crash", "timeout", None]


def test_files_travel_as_bytes_and_a_worker_sees_only_what_a_task_reads(tmp_path):
    folder = tmp_path
    (folder / "common" / "deep").mkdir(parents=True)
    (folder / "common" / "deep" / "all.bin").write_bytes(b"all")
    with ThreadPoolExecutor(1) as pool:
        first = evaluated(Writer(folder), [Task("a", {"text": "A"}), Task("b", {"text": "B"})], pool)
        (second,) = evaluated(Writer(folder), [Task("c", {"text": "C"}, parent="a")], pool).values()
    assert {path.name: path.read_text() for path in (folder / "texts").iterdir()} == {
        "a.txt": "A",
        "b.txt": "B",
        "c.txt": "AC",
    }
    assert [first[i].metrics["there"] for i in range(2)] == [[], []]
    assert second.metrics["there"] == ["a.txt", "all.bin"]
    assert (tmp_path / second.metrics["artifact"]).is_file()


def test_a_network_that_is_trained_elsewhere_leaves_the_same_model(tmp_path):
    pytest.importorskip("torch")
    config = SearchConfig(
        version=1,
        space=SpaceChoice(name="ds_cnn"),
        target="stm32l4r5zi",
        data="digits",
        objectives=Objectives(error="min"),
        training={"epochs": 1},
    )
    here, there = (build(config, tmp_path / name / "artifacts").evaluator for name in ("here", "there"))
    space = configured_space(config)
    candidate = space.candidate(space.sample(seed=1))
    task = Task(candidate.id, candidate.assignment.to_dict())
    (ours,) = dict(run_all(InProcess(here), [task])).values()
    with ThreadPoolExecutor(1) as pool:
        (theirs,) = evaluated(there, [task], pool).values()
    assert ours.reason is None
    assert theirs.metrics == ours.metrics
    model = ours.metrics["artifact"]
    assert (tmp_path / "there" / model).read_bytes() == (tmp_path / "here" / model).read_bytes()


def staged(candidate, budget):
    """A function that goes on with what it wrote for a smaller budget."""
    notes = candidate.folder / "notes.txt"
    before = notes.read_text() if notes.is_file() else ""
    notes.write_text(f"{before}{budget:g} ")
    return {"error": 0.5 / budget, "budgets": len(before.split()), "artifact": notes}


def test_the_folder_of_a_functions_candidate_travels_with_it(tmp_path):
    evaluator = as_evaluator(staged, StagesProblem(), 0, tmp_path / "candidates")
    tasks = [Task("a", {"x": 1}, share=share) for share in (0.25, 0.5, 1.0)]
    with ThreadPoolExecutor(1) as pool:
        found = [evaluated(evaluator, [task], pool)[0].metrics for task in tasks]
    assert [metrics["budgets"] for metrics in found] == [0, 1, 2]
    assert (tmp_path / found[2]["artifact"]).read_text() == "0.25 0.5 1 "


def test_too_many_bytes_are_a_failure(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        (found,) = evaluated(Writer(tmp_path / "a", 300), [Task("a", {"text": "A"})], pool).values()
    assert found.reason["kind"] == "files"
    assert "300 MiB; at most 256 MiB" in found.reason["message"]
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "link/x"])
def test_files_are_written_inside_the_folder_alone(tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(RunError, match="outside of"):
        receive(folder, {name: b"bad"})
    assert {path.name for path in tmp_path.rglob("*")} == {"inner", "link"}


class Losing(ThreadPoolExecutor):
    """An executor that loses what it is given a number of times."""

    def __init__(self, times):
        super().__init__(1)
        self.times = times
        self.asked = 0

    def submit(self, *given):
        self.asked += 1
        future = Future()
        if self.asked <= self.times:
            future.set_exception(ConnectionError("gone"))
        else:
            future.set_result((Outcome({"error": 0.5}, None, datetime.now(UTC), 0.0), {}))
        return future


def test_a_task_that_is_lost_is_handed_in_again_but_not_for_ever():
    lucky, unlucky = Losing(RETRIES), Losing(RETRIES + 1)
    assert evaluated(StagesEvaluator(), [Task("a", {})], lucky)[0].metrics == {"error": 0.5}
    assert lucky.asked == RETRIES + 1
    with pytest.raises(RunError, match=r"lost a 4 times.*ConnectionError: gone"):
        evaluated(StagesEvaluator(), [Task("a", {})], unlucky)


def test_other_versions_and_errors_of_every_candidate_end_the_run(monkeypatch):
    with ThreadPoolExecutor(1) as pool:
        executor = FuturesExecutor(StagesEvaluator(), pool, 60.0)
        executor._versions = {**executor._versions, "numpy": "1.0"}
        executor.submit(0, Task("a", {}))
        with pytest.raises(RunError, match=r"other versions.*numpy .*\(the run: 1\.0\)"):
            executor.wait()


@pytest.mark.parametrize("make", [InProcess, lambda e: FuturesExecutor(e, ThreadPoolExecutor(1), 60.0)])
def test_waiting_for_nothing_is_an_error(make):
    with pytest.raises(ValueError, match="no task is submitted"):
        make(StagesEvaluator()).wait()
