from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.scoring.inheritance import common_share
from hannah_hw.search.inheriting import Inheriting, Weights
from hannah_hw.search.tasks import Outcome, Task

#: Room for three networks of 25 values.
LIMIT = 3 * 25 * 4


def describe(assignment):
    width = assignment["width"]
    shapes = {"a": (width, 5), "statistics": (width,)} | ({"b": (width, width)} if assignment["deep"] else {})
    return Weights(f"w{assignment['number']}", shapes, frozenset(("a", "b")))


class Folder:
    """Evaluates in an order of its own, and checks that every parent's weights are there when they are needed."""

    def __init__(self, rng, files):
        self.rng, self.files, self.waiting, self.parents = rng, files, [], {}

    def submit(self, index, task):
        self.waiting.append((index, task))

    def wait(self):
        index, task = self.waiting.pop(self.rng.integers(len(self.waiting)))
        assert task.parent is None or task.parent in self.files
        self.parents[index] = task.parent
        if task.assignment["number"] % 7 == 3:
            reason = {"kind": "diverged", "message": ""}
            return index, Outcome({}, reason, datetime.now(UTC), 0.0)
        self.files.add(f"w{task.assignment['number']}")
        return index, Outcome({"error": 0.5}, None, datetime.now(UTC), 0.0)

    def close(self):
        pass


def run(tasks, seed, files, log=(), stop=None):
    """Run the tasks behind a log; outcomes by index, in the order of the records, up to `stop`."""
    folder = Folder(np.random.default_rng(seed), files)
    runner = Inheriting(folder, describe, common_share, limit=LIMIT, discard=files.discard)
    done = dict(enumerate(log))
    for index, outcome in enumerate(log):
        runner.remember(index, tasks[index], outcome)
    submitted = len(log)
    recorded = len(log)
    while recorded < (len(tasks) if stop is None else stop):
        while submitted < len(tasks) and tasks[submitted].told <= recorded:
            runner.submit(submitted, tasks[submitted])
            submitted += 1
        index, outcome = runner.wait()
        done[index] = outcome
        while recorded in done:
            recorded += 1
    return [done[i] for i in range(recorded)], folder.parents


def tasks_of(rng, count, lag):
    return [
        Task(
            f"t{i}",
            {"number": i, "width": int(rng.integers(2, 6)), "deep": bool(rng.integers(2))},
            told=max(0, i - lag),
        )
        for i in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 24))
def test_parents_depend_on_nothing_but_the_records_and_their_weights_are_there(seed, lag, end):
    tasks = tasks_of(np.random.default_rng(seed), 25, lag)
    files, others = set(), set()
    once, parents = run(tasks, seed, files)
    _, same = run(tasks, seed + 1, others)
    assert parents == same
    assert any(parents.values())
    # Killed with tasks under way whose outcomes are lost, and continued with the files that are left.
    left = set()
    log, _ = run(tasks, seed + 2, left, stop=end)
    again, rest = run(tasks, seed + 3, left, log=log[:end])
    assert all(rest[i] == parents[i] for i in rest)
    assert [o.metrics for o in again] == [o.metrics for o in once]
    # What is kept: within the limit those that may be a parent, those that are needed, and what came after.
    assert len(files) <= LIMIT / (2 * 5 + 2) / 4 + lag + 2


def test_the_parent_is_the_one_with_most_in_common():
    kinds = [(5, False), (2, False), (5, True), (4, True), (5, True)]
    tasks = [
        Task(str(i), {"number": i, "width": width, "deep": deep}, told=i)
        for i, (width, deep) in enumerate(kinds)
    ]
    folder = Folder(np.random.default_rng(0), set())
    runner = Inheriting(folder, describe, common_share, limit=10_000, discard=lambda _: None)
    shares = []
    for index, task in enumerate(tasks):
        runner.submit(index, task)
        shares.append(runner.wait()[1].metrics.get("inherited"))
    # 3 fails (its number is 3 modulo 7), so that it is nobody's parent.
    assert folder.parents == {0: None, 1: "w0", 2: "w0", 3: "w2", 4: "w2"}
    # (2, 5) of (5, 5); (5, 5) of (5, 5) and (5, 5); all of a narrower one; the same network once more.
    assert shares == [0.0, 1.0, 0.5, None, 1.0]


def test_little_in_common_is_not_inherited():
    def one(index, shapes):
        return Weights(f"w{index}", shapes, frozenset(shapes))

    shapes = [{"a": (10,)}, {"a": (10,), "b": (90,)}]
    folder = Folder(np.random.default_rng(0), set())
    runner = Inheriting(
        folder,
        lambda a: one(a["number"], shapes[a["number"]]),
        common_share,
        limit=10_000,
        discard=lambda _: None,
    )
    for index in (0, 1):
        runner.submit(index, Task(str(index), {"number": index}, told=index))
        runner.wait()
    assert folder.parents == {0: None, 1: None}
