"""What the comparison of search engines rests on: its problems, its accounting and its statistics."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.accounting import Ledger, Spent
from benchmarks.search.nas_bench_201 import OPERATIONS, NasBench201, terms_of
from benchmarks.search.own import OWN, run_own, version
from benchmarks.search.peers import aging_evolution, pymoo_nsga2, random_search
from benchmarks.search.problems import ConditionalNetwork, MixedDtlz, StagedNetwork
from benchmarks.search.runs import Job, Run, execute, read
from benchmarks.search.statistics import distance_to, fronts_of, holm


def test_the_front_of_the_mixed_problem_is_where_its_distance_function_is_one() -> None:
    problem = MixedDtlz()
    rows = np.full((3, 30), 0.5)
    rows[:, 0] = [0.0, 0.5, 0.25]
    rows[:, 10:20] = 8
    rows[:, 20:] = [[np.flatnonzero(problem._hidden[i] == 0.5)[0] for i in range(10)]] * 3
    objectives, excess = problem.values(rows)
    assert (objectives**2).sum(axis=1) == pytest.approx(1)
    # At 0 and 45 degrees lie the centres of feasible pieces, 22.5 degrees are 0.39 from both: (0.39^2 - 0.2^2).
    chord = 2 * np.sin(np.pi / 16)
    assert excess[:, 0] == pytest.approx([-0.04, -0.04, chord**2 - 0.04])
    assert problem.best is not None
    # Less than the whole quarter circle dominates: 1.1^2 - pi / 4.
    assert 0.3 < problem.best < 1.21 - np.pi / 4


def test_a_stage_by_hand() -> None:
    problem = StagedNetwork()
    # Every stage plain, 3x3, width 4, depth 1, ratio 1: the first has 3 inputs, the others 4.
    row = np.tile([0.0, 0, 0, 0, 0], 6)[None]
    objectives, excess = problem.values(row)
    sizes = [9 * 4 * (3 if stage == 0 else 4) * (0.5 + 1 / 6) for stage in range(6)]
    macs = sum(size * side**2 for size, side in zip(sizes, (64, 32, 16, 8, 4, 2), strict=True))
    assert objectives[0, 1:] == pytest.approx([np.log10(1 + macs) / 10, np.log10(1 + sum(sizes)) / 7])
    assert excess[0] == pytest.approx([64**2 * (3 + 4 * 1.15) / 200_000 - 1, sum(sizes) / 500_000 - 1])


def test_the_conditional_problem_is_conditional_and_mostly_infeasible() -> None:
    problem = ConditionalNetwork()
    rows = problem.columns.sample(4000, np.random.default_rng(0))
    active = problem.columns.active(rows).sum(axis=1)
    assert active.min() >= 11
    assert active.max() <= 46
    feasible = (problem.values(rows)[1] <= 0).all(axis=1)
    assert 0.001 < feasible.mean() < 0.02
    # Columns that mean nothing change nothing.
    shaken = np.where(
        problem.columns.active(rows), rows, problem.columns.sample(4000, np.random.default_rng(1))
    )
    both = problem.columns.canonical(shaken)
    assert np.array_equal(both, rows)


def test_equal_networks_of_nas_bench_201_have_equal_terms() -> None:
    conv, skip, none = "nor_conv_3x3", "skip_connect", "none"
    # Edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3: a convolution through node 1, node 2, or at once.
    ways = [
        (conv, none, none, none, skip, none),
        (none, conv, none, none, none, skip),
        (none, none, none, conv, none, none),
    ]
    assert len({terms_of(way) for way in ways}) == 1
    assert terms_of((conv, none, skip, none, none, none)) == ()
    assert terms_of((conv, none, none, skip, none, none)) == ("x",)
    # A sum knows no order, but knows how often.
    assert terms_of((conv, none, none, skip, skip, none)) == terms_of((none, conv, none, skip, none, skip))
    assert terms_of((skip, none, none, skip, skip, none)) == ("x", "x")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up table: more convolutions, less error and more latency; dead edges take time as well."""
    path = tmp_path_factory.mktemp("nb201") / "table.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["arch_str", "lat_ms_chip", "acc12ep_cifar100_val", "macs_cifar10_calc", "params_cifar10_calc"]
        )
        for cell in itertools.product(OPERATIONS, repeat=6):
            a, b, c, d, e, f = cell
            text = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
            work = 1 + sum({"nor_conv_3x3": 9, "nor_conv_1x1": 1}.get(operation, 0) for operation in cell)
            writer.writerow([text, work, min(60, work) + rng.random(), 1000 * work, 10 * work])
    return path


def test_a_network_is_evaluated_once_whatever_cell_it_is_written_as(table: Path) -> None:
    problem = NasBench201(table, "chip")
    levels = {name: float(level) for level, name in enumerate(OPERATIONS)}
    one = np.array([[levels[name] for name in ("none", "none", "none", "nor_conv_3x3", "none", "none")]])
    two = np.array(
        [[levels[name] for name in ("nor_conv_3x3", "none", "none", "none", "skip_connect", "none")]]
    )
    # The same with a convolution whose result nothing uses.
    three = np.array(
        [[levels[name] for name in ("none", "nor_conv_3x3", "none", "nor_conv_3x3", "none", "none")]]
    )
    same = np.concatenate([one, two, three])
    objectives, excess = problem.values(same)
    assert np.ptp(objectives, axis=0).tolist() == [0, 0]
    assert (excess == 0).all()
    # 10 of 55 on a log scale from 1: the dead convolution's 19 counts for none of them.
    assert objectives[0, 1] == pytest.approx(np.log(10) / np.log(55))
    ledger = Ledger(problem, "free", 10)
    ledger(same)
    assert len(ledger.objectives) == 1
    dead = np.zeros((1, 6))
    assert problem.values(dead)[1][0, 0] > 0


def test_charges() -> None:
    problem = StagedNetwork()
    rows = problem.columns.sample(60, np.random.default_rng(0))
    feasible = (problem.values(rows)[1] <= 0).all(axis=1)
    assert 0 < feasible.sum() < 30
    for mode, charged in (("all", 60), ("free", feasible.sum())):
        ledger = Ledger(problem, mode, 1000)
        ledger(rows)
        ledger(rows)
        assert len(ledger.objectives) == charged
        assert sum(ledger.feasible) == feasible.sum()
        assert ledger.requests == 120


def test_a_ledger_ends_at_its_budget_and_at_its_patience() -> None:
    problem = StagedNetwork()
    rows = problem.columns.sample(60, np.random.default_rng(0))
    ledger = Ledger(problem, "all", 25)
    with pytest.raises(Spent):
        ledger(rows)
    assert np.array_equal(np.array(ledger.objectives), problem.values(rows[:25])[0])
    ledger = Ledger(problem, "all", 25, patience=3)
    with pytest.raises(Spent):
        ledger(np.repeat(rows[:1], 100, axis=0))
    assert (len(ledger.objectives), ledger.requests) == (1, 75)


@pytest.mark.parametrize("engine", [random_search, aging_evolution])
def test_peers_repeat_themselves(engine) -> None:
    found = []
    for _ in range(2):
        ledger = Ledger(StagedNetwork(), "free", 150)
        with pytest.raises(Spent):
            engine(ledger, 3)
        found.append(np.array(ledger.objectives))
    assert np.array_equal(*found)


def test_pymoo_sees_the_same_problem() -> None:
    ledger = Ledger(ConditionalNetwork(), "all", 200)
    with pytest.raises(Spent):
        pymoo_nsga2(ledger, 1, fixed=True)
    assert len(ledger.objectives) == 200


def test_runs_are_kept_and_ours_are_made_anew_when_their_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("A", "all", "own-nsga2", 0, 60)
    run = execute(job, StagedNetwork(), tmp_path)
    kept = read(job.path(tmp_path))
    assert np.array_equal(kept.objectives, run.objectives)
    assert (kept.requests, kept.version) == (60, version("own-nsga2"))
    assert job.done(tmp_path)
    assert not Job("A", "all", "own-nsga2", 0, 61).done(tmp_path)
    monkeypatch.setattr("benchmarks.search.runs.version", lambda _: "another")
    assert not job.done(tmp_path)


@pytest.mark.parametrize("engine", OWN)
def test_ours_stay_within_known_constraints_in_mode_free(engine: str) -> None:
    ledger = Ledger(StagedNetwork(), "free", 60)
    with pytest.raises(Spent):
        run_own(engine, ledger, 0)
    # The first batch is not screened.
    assert ledger.requests < 200


def test_holm_by_hand() -> None:
    # 0.01 x 4, then 0.02 x 3, 0.03 x 2, and 0.04 may not be below what came before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_distance_to_a_front_by_hand() -> None:
    front = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = np.array([[0.3, 1.4], [2.0, 0.0]])
    # Of the first row only (0.3, 0.4) short of the one point, which is 0.5, and (0, 1.4) of the other.
    assert distance_to(front, found[:1]) == pytest.approx((0.5 + 1.4) / 2)
    # The second is nearer to the other point: (1, 0).
    assert distance_to(front, found) == pytest.approx((0.5 + 1) / 2)
    assert distance_to(front, found[:0]) == np.inf


def test_fronts_grow_with_the_budget_and_leave_out_what_is_infeasible() -> None:
    found = np.array([[0.0, 0.0], [2.0, 2.0], [1.0, 3.0], [1.0, 2.0]])
    run = Run(4, found, np.array([False, True, True, True]), 0.0, 4, "")
    fronts = [front.tolist() for front in fronts_of(run, [3, 1, 2])]
    assert fronts == [[], [[2.0, 2.0]], [[1.0, 3.0], [2.0, 2.0]], [[1.0, 2.0]]]
