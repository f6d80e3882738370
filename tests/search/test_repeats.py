"""A network is evaluated once: in what order, for how much, and after a resume."""

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from search_toys import without_times

import hannah_hw
from hannah_hw import CategoricalParameter, Tensor, search_space
from hannah_hw.blocks import conv2d
from hannah_hw.errors import EvaluationError
from hannah_hw.graph import Op
from hannah_hw.search.engine import Engine
from hannah_hw.search.loop import make_goals
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.repeats import OncePerNetwork, network_key
from hannah_hw.search.rundir import RunDirectory
from hannah_hw.search.tasks import InProcess, Outcome, Task, run_all
from hannah_hw.spaces.space import as_space

CELL = runpy.run_path(str(Path(__file__).parents[2] / "search_spaces" / "nas_bench_201.py"))["cell"]
EDGES = [(source, target) for target in range(1, 4) for source in range(target)]


class Counting:
    """Scores a network by its width, which is no multiple of 3, and counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def start(self):
        pass

    def evaluate(self, task):
        width = task.assignment["width"]
        self.asked.append(width)
        if width % 3 == 0:
            raise EvaluationError("nan", kind="diverged")
        return {"error": 1 / width, "artifact": f"artifacts/{width}.onnx"}


def by_width(task):
    return str(task.assignment["width"])


def tasks(*pairs):
    return [Task(f"id{w}-{pe}", {"width": w, "target.pe": pe}) for w, pe in pairs]


def test_a_network_is_evaluated_once_and_the_others_name_it():
    evaluator = Counting()
    executor = OncePerNetwork(InProcess(evaluator), by_width)
    outcomes = dict(run_all(executor, tasks((4, 2), (8, 2), (4, 8), (3, 4), (3, 8))))
    assert evaluator.asked == [4, 8, 3]
    assert [outcomes[i].metrics.get("error") for i in range(5)] == [1 / 4, 1 / 8, 1 / 4, None, None]
    assert [outcomes[i].same_as for i in range(5)] == [None, None, "id4-2", None, "id3-4"]
    assert outcomes[4].reason == {"kind": "diverged", "message": "nan"}
    ((_, again),) = run_all(executor, tasks((8, 16)))
    assert (again.metrics["artifact"], again.same_as, again.wall_s) == ("artifacts/8.onnx", "id8-2", 0.0)
    assert evaluator.asked == [4, 8, 3]


class Listening(InProcess):
    """An executor that is told of earlier outcomes."""

    def __init__(self, evaluator):
        super().__init__(evaluator)
        self.heard = []

    def remember(self, index, task, outcome):
        self.heard.append((index, task.identifier))


def test_what_an_earlier_process_evaluated_is_remembered_once():
    evaluator = Counting()
    inner = Listening(evaluator)
    executor = OncePerNetwork(inner, by_width)
    first, repeat = tasks((4, 2), (4, 8))
    executor.remember(0, first, Outcome({"error": 0.25}, None, datetime.now(UTC), 3.0))
    executor.remember(1, repeat, Outcome({"error": 0.25}, None, datetime.now(UTC), 0.0, first.identifier))
    ((_, found),) = run_all(executor, tasks((4, 16)))
    assert (found.metrics, found.same_as, found.wall_s) == ({"error": 0.25}, "id4-2", 0.0)
    assert evaluator.asked == []
    assert inner.heard == [(0, "id4-2")]


def one_cell(kinds):
    @search_space
    def small():
        operations = {e: CategoricalParameter(kinds, name=f"edge_{e[0]}_{e[1]}") for e in EDGES}
        x = conv2d(Tensor("input", (1, 3, 8, 8), axis=("N", "C", "H", "W")), 8)
        return conv2d(CELL(x, operations), 10)

    return as_space(small())


class ByMacs:
    """An error that falls with the size of a network, and a note of who was asked for."""

    def __init__(self, space):
        self.space = space
        self.asked = []

    def start(self):
        pass

    def evaluate(self, task):
        self.asked.append(task.identifier)
        return {"error": 1e4 / (1e4 + self.space.candidate(task.assignment).macs)}


def run(folder, *, resume=False, evaluations=24):
    space = one_cell(["none", "skip_connect", "nor_conv_1x1"])
    evaluator = ByMacs(space)
    with RunDirectory(folder, resume=resume) as directory:
        if not resume:
            directory.write("config.yaml", "toy: true\n")
        engine = Engine(
            SpaceProblem(space, hannah_hw.load_target("stm32l4r5zi")),
            make_goals(["error", "latency"], {}),
            algorithm="aging",
            population=8,
            evaluations=evaluations,
            seed=1,
            executor=OncePerNetwork(InProcess(evaluator), network_key(space)),
            store=directory,
        )
        assert engine.run() == "budget"
        return without_times(engine.records), evaluator.asked, engine.archive.evaluations, space


@pytest.mark.parametrize("kept", [3, 17])
def test_isomorphic_candidates_are_free_and_a_resumed_run_knows_them(tmp_path, kept):
    records, asked, charged, space = run(tmp_path / "whole")
    repeats = [record for record in records if "same_as" in record]
    assert charged == len(asked) == 24
    assert len(records) == len(asked) + len(repeats)
    assert len(repeats) >= 3
    known = {record["id"]: record for record in records}
    for record in repeats:
        first = known[record["same_as"]]
        assert first["index"] < record["index"]
        assert first["assignment"] != record["assignment"]
        assert first["metrics"]["error"] == record["metrics"]["error"]
        keys = {space.candidate(r["assignment"]).graph_key for r in (first, record)}
        assert len(keys) == 1
    keys = [space.candidate(known[name]["assignment"]).graph_key for name in asked]
    assert len(set(keys)) == len(keys)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.yaml").write_text("toy: true\n")
    lines = (tmp_path / "whole" / "candidates.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut" / "candidates.jsonl").write_text("".join(lines[:kept]))
    again, rest, _, _ = run(tmp_path / "cut", resume=True)
    assert again == records
    done = {json.loads(line)["id"] for line in lines[:kept]}
    assert rest == [name for name in asked if name not in done]


class Opaque(Op):
    """An operator of a user's own that keeps something that cannot be compared."""

    def __init__(self):
        super().__init__()
        self.thing = object()


def test_networks_that_cannot_be_compared_differ_by_their_parameters_alone():
    @search_space
    def small():
        x = Tensor("input", (1, 3, 8, 8), axis=("N", "C", "H", "W"))
        return Opaque()(conv2d(x, CategoricalParameter([4, 8], name="width")))

    space = as_space(small())
    (name,) = space.parameters
    key = network_key(space, ["pe"])
    first, second, other = (Task("x", {name: width}) for width in (4, 4, 8))
    assert key(first) == key(second) != key(other)
