"""Spaces and problems with known answers, written out for the search tests and for benchmarks."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass

import numpy as np

from hannah_hw.errors import EvaluationError
from hannah_hw.search.loop import make_goals
from hannah_hw.search.rundir import LOG, RunDirectory
from hannah_hw.search.tasks import InProcess
from hannah_hw.search.unordered import engine_of
from hannah_hw.search.workers import WorkerPool


class ToyEncoding:
    """A conditional encoding: parameter -> ("cat" | "int", levels) or ("float",); condition: parent level set."""

    def __init__(self, parameters, conditions=None, groups=None):
        self.ids = tuple(parameters)
        kinds = [parameters[k] for k in self.ids]
        self.levels = np.array([0 if kind[0] == "float" else kind[1] for kind in kinds], np.int64)
        self.ordered = np.array([kind[0] != "cat" for kind in kinds])
        self.default = np.where(self.levels == 0, 0.5, self.levels // 2).astype(float)
        names = [(groups or {}).get(k, k) for k in self.ids]
        index = {name: i for i, name in enumerate(dict.fromkeys(names))}
        self.groups = np.array([index[name] for name in names], np.int64)
        at = {k: i for i, k in enumerate(self.ids)}
        self.parent = np.arange(len(self.ids))
        self.allowed = np.ones((len(self.ids), max(self.levels.max(), 1)), bool)
        for child, (parent, allowed) in (conditions or {}).items():
            self.parent[at[child]] = at[parent]
            self.allowed[at[child]] = np.isin(np.arange(self.allowed.shape[1]), allowed)
        self.free = self.parent == np.arange(len(self.ids))

    def active(self, rows):
        # One condition a column, on a column that has none itself.
        assert self.free[self.parent].all()
        return self.free | self.allowed[np.arange(len(self.ids)), rows[:, self.parent].astype(int)]

    def canonical(self, rows):
        rows = np.clip(rows, 0, np.where(self.levels == 0, 1, self.levels - 1))
        rows = np.where(self.levels == 0, np.round(rows, 6), np.rint(rows))
        return np.where(self.active(rows), rows, self.default)

    def sample(self, n, rng):
        share = rng.random((n, len(self.ids)))
        return self.canonical(np.where(self.levels == 0, share, np.floor(share * self.levels)))


def nas_like(conditional=False):
    """Six stages of operator, kernel, width, depth and expansion: 30 columns."""
    parameters, groups, conditions = {}, {}, {}
    for stage in range(6):
        new = {
            f"op{stage}": ("cat", 4),
            f"kernel{stage}": ("cat", 3),
            f"width{stage}": ("int", 32),
            f"depth{stage}": ("int", 4),
            f"ratio{stage}": ("float",),
        }
        parameters |= new
        groups |= dict.fromkeys(new, stage)
        if conditional:
            conditions |= {name: (f"op{stage}", [0, 1, 2]) for name in list(new)[1:]}
    return ToyEncoding(parameters, conditions, groups)


def nas_like_values(rows):
    """Error, log MACs and log weights of `nas_like` rows, and excess of two memories; reference (1, 1, 1)."""
    table = rows.reshape(len(rows), 6, 5)
    op = table[:, :, 0].astype(int)
    kernel, width = 3.0 + 2 * table[:, :, 1], 4 * (table[:, :, 2] + 1)
    depth, ratio = table[:, :, 3] + 1, 1 + 5 * table[:, :, 4]
    price, worth = np.array([1, 0.18, 0.35, 0.02])[op], np.array([1, 0.82, 0.95, 0.15])[op]
    size = np.array([64, 32, 16, 8, 4, 2])
    before = np.c_[np.full(len(rows), 3.0), width[:, :-1]]
    weights = price * kernel**2 * width * (before + (depth - 1) * width) * (0.5 + ratio / 6)
    peak = (size**2 * (before + width * (1 + 0.15 * ratio))).max(axis=1)
    merit = worth * np.log1p(width) * depth**0.4 * (1 + 0.06 * kernel - 0.006 * kernel**2)
    merit = merit * (0.8 + 0.07 * ratio) * (0.7 + 0.1 * np.arange(6))
    macs, total = (weights * size**2).sum(axis=1), weights.sum(axis=1)
    objectives = [np.exp(-merit.sum(axis=1) / 14), np.log10(1 + macs) / 10, np.log10(1 + total) / 7]
    return np.stack(objectives, 1), np.stack([peak / 200_000 - 1, total / 500_000 - 1], 1)


@dataclass
class Priced:
    """Estimates of a toy problem."""

    columns: dict
    supported: np.ndarray

    def report(self, index):
        return {"latency_s": float(self.columns["latency_s"][index])}

    def unsupported(self, index):
        return "operator 3 has no kernel"


class StagesProblem:
    """`nas_like` as a search sees it: latency, RAM and flash are estimated, the error is not."""

    def __init__(self, encoding=None, forbidden=None):
        self.encoding = encoding or nas_like()
        self.forbidden = forbidden
        self.calls = 0

    def describe(self, rows):
        active = self.encoding.active(rows)
        named = [
            {k: float(v) for k, v, on in zip(self.encoding.ids, row, alive, strict=True) if on}
            for row, alive in zip(rows, active, strict=True)
        ]
        return [("-".join(f"{v:g}" for v in a.values()), a) for a in named]

    def estimate(self, rows):
        self.calls += 1
        values, excess = nas_like_values(rows)
        columns = {
            "latency_s": values[:, 1],
            "ram_bytes": (excess[:, 0] + 1) * 200_000,
            "flash_bytes": (excess[:, 1] + 1) * 500_000,
            "macs": np.floor(10 ** (10 * values[:, 1])),
            "parameters": np.floor(10 ** (7 * values[:, 2])),
        }
        supported = np.ones(len(rows), bool)
        if self.forbidden is not None:
            supported = rows[:, 0] != self.forbidden
        return Priced(columns, supported)


@dataclass
class StagesEvaluator:
    """The error of `nas_like`, with misbehaviour on demand: op0 -> what happens."""

    misbehaviour: tuple = ()
    delay: float = 0.0

    def start(self):
        self.encoding = nas_like()

    def evaluate(self, task):
        identifier, assignment = task.identifier, task.assignment
        behaviour = dict(self.misbehaviour).get(int(assignment["op0"]))
        if behaviour == "exit":
            os._exit(7)
        if behaviour == "kill":
            os.kill(os.getpid(), 9)
        if behaviour == "hang":
            time.sleep(600)
        if behaviour == "diverge":
            raise EvaluationError("the loss is not finite", kind="diverged")
        if behaviour == "bug":
            raise ZeroDivisionError("a bug")
        if behaviour == "nan":
            return {"error": float("nan")}
        # Unequal times, so that results arrive out of order.
        time.sleep(self.delay * (hash_free(identifier) % 4))
        row = np.array([[assignment[k] for k in self.encoding.ids]])
        return {"error": float(nas_like_values(row)[0][0, 0]), "artifact": f"artifacts/{identifier}.onnx"}


def hash_free(text):
    """A number from a text that is the same in every process."""
    return sum(text.encode())


class TableProblem:
    """A small space given by a table: two ordered columns, estimates and error from a formula."""

    def __init__(self, levels=(6, 7)):
        self.encoding = ToyEncoding({f"p{i}": ("int", n) for i, n in enumerate(levels)})

    def describe(self, rows):
        return [(f"{int(a)}.{int(b)}", {"p0": int(a), "p1": int(b)}) for a, b in rows]

    def estimate(self, rows):
        a, b = rows.T
        columns = {
            "latency_s": 1 + a + 0.1 * b,
            "energy_j": np.full(len(rows), np.nan),
            "ram_bytes": 100.0 * (a + b),
            "flash_bytes": 1000.0 * (6 - a) + b,
            "macs": 10 * a + b,
            "parameters": a + 10 * b,
        }
        return Priced(columns, np.ones(len(rows), bool))


class Shuffled(InProcess):
    """Finishes tasks in a random order, and keeps some back until nothing else is left.

    Args:
        workers: So many of the oldest tasks are under way at a time.

    Attributes:
        idle: Workers that had nothing to do, each time that somebody waited.
        told: Index -> records that the algorithm knew when it asked.
        held: Indices that are kept back.
        most: The largest index that was submitted before the first of those was given back.
    """

    def __init__(self, evaluator, seed=0, held=(), workers=10_000):
        super().__init__(evaluator)
        self.rng = np.random.default_rng(seed)
        self.told, self.held, self.most = {}, set(held), None
        self.workers, self.idle = workers, []

    def submit(self, index, task):
        self.told[index] = task.told
        super().submit(index, task)

    def wait(self):
        self.idle.append(self.room())
        running = list(self._todo)[: self.workers]
        free = [item for item in running if item[0] not in self.held]
        if not free:
            self.most = self.most or max(self.told)
            free = running
        chosen = free[self.rng.integers(len(free))]
        self._todo.remove(chosen)
        self._todo.appendleft(chosen)
        return super().wait()

    def room(self):
        return max(0, self.workers - len(self._todo))


def without_times(records):
    """Records without what may differ between two equal runs."""
    return [{k: v for k, v in record.items() if k != "timestamps"} for record in records]


def toy_run(
    path,
    *,
    resume=False,
    workers=1,
    evaluations=40,
    delay=0.0,
    algorithm="nsga2",
    misbehaviour=(),
    lag=0,
    order="asked",
    executor=None,
    observers=(),
):
    """Search `nas_like` for error and latency within two memories, in a run directory."""
    goals = make_goals(["error", "latency"], {"ram": "<= 200000", "flash": "<= 500000"})
    with RunDirectory(path, resume=resume) as directory:
        if not resume:
            directory.write("config.yaml", "toy: true\n")
        evaluator = StagesEvaluator(misbehaviour, delay)
        if executor is None:
            executor = WorkerPool(evaluator, workers, 30.0) if workers else InProcess(evaluator)
        engine = engine_of(order)(
            StagesProblem(),
            goals,
            algorithm=algorithm,
            population=10,
            evaluations=evaluations,
            seed=5,
            lag=lag,
            executor=executor,
            store=directory,
            observers=observers,
        )
        engine.run()
    return engine.archive


if __name__ == "__main__":
    toy_run(sys.argv[1], resume=sys.argv[2] == "resume", workers=int(sys.argv[3]), delay=float(sys.argv[4]))


def log_of(path):
    """The records of a run."""
    return [json.loads(line) for line in (path / LOG).read_text().splitlines()]


class Counting(StagesEvaluator):
    """Notes every candidate that it evaluates."""

    def start(self):
        super().start()
        self.seen = []

    def evaluate(self, task):
        self.seen.append(task.identifier)
        return super().evaluate(task)
