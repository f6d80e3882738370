"""Judging transfer on a table that is made, and the benchmark's document of it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.rank_correlation import spearman
from hannah_hw.transfer import Evaluation, describe, read_table, representatives
from hannah_hw.transfer.baselines import counts_of_all, macs_line, operation_counts
from hannah_hw.transfer.figures import noise_ceiling, noise_ceiling_among, share_within

ROOT = Path(__file__).parents[2]
OPERATIONS = ("none", "conv", "pool")
NOISE = 0.1


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cells of four nodes on three devices that sum up operations: two exact, one noisy, one of no use."""
    rng = np.random.default_rng(0)
    lines = ["arch_str,lat_ms_exact,lat_ms_other,lat_ms_noisy,lat_ms_flat,macs"]
    for names in itertools.product(OPERATIONS, repeat=6):
        conv, pool = names.count("conv"), names.count("pool")
        exact, other = 1 + 2.13 * conv + 0.97 * pool, 2 + 3 * conv + 1.07 * pool
        noisy = (1 + conv + pool) * np.exp(rng.normal(0, NOISE))
        cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names)
        lines.append(f"{cell},{exact},{other},{noisy:.6f},4,{conv * 9}")
    path = tmp_path_factory.mktemp("transfer") / "table.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_exact_and_noisy_devices(table: Path) -> None:
    evaluation = Evaluation(read_table(table))
    exact = evaluation.device("exact", ["other", "noisy"], 8, seeds=2, forest=False)
    assert exact.ceiling == pytest.approx(1.0)
    np.testing.assert_allclose(exact.scores["transfer"].spearman, 1.0)
    np.testing.assert_allclose(exact.scores["operation_counts"].spearman, 1.0)
    assert exact.below_ceiling == pytest.approx(0.0)
    assert exact.all_counts == pytest.approx(1.0)
    assert exact.over_operation_counts == pytest.approx(0.0)
    assert exact.scores["macs_linear"].spearman.max() < 0.999  # pools have no MACs
    assert exact.paths == 0.0
    noisy = evaluation.device("noisy", ["exact", "other"], 8, seeds=2, forest=False)
    assert noisy.ceiling < 0.99
    rows = representatives(evaluation.cells)
    perfect = describe([evaluation.cells[row] for row in rows]).counts.sum(axis=1)
    best = spearman(perfect, evaluation.table.latency_s["noisy"][rows])
    assert best < 0.95
    assert best - 0.08 < noisy.all_counts < best + 0.01
    assert (best - 0.08 < noisy.scores["transfer"].spearman).all()
    assert (noisy.scores["transfer"].spearman < best + 0.01).all()
    assert noisy.half_width.min() > exact.half_width.max()
    assert noisy.architectures == exact.architectures < 3**6
    assert set(noisy.random) == set(noisy.scores) == {"transfer", "operation_counts", "macs_linear"}


def test_random_forest_is_compared(table: Path) -> None:
    pytest.importorskip("sklearn")
    found = Evaluation(read_table(table)).device("exact", ["other"], 8, seeds=1)
    assert 0.3 < found.scores["random_forest"].spearman[0] < found.scores["transfer"].spearman[0]


def test_what_cannot_be_judged_is_refused(table: Path) -> None:
    evaluation = Evaluation(read_table(table))
    with pytest.raises(DataError, match="no device 'exakt'"):
        evaluation.device("exakt", ["other"], 8)
    with pytest.raises(DataError, match="'flat' has the same latency"):
        evaluation.device("exact", ["flat"], 8)
    with pytest.raises(DataError, match="needs known devices other than itself"):
        evaluation.device("exact", ["exact", "other"], 8)
    with pytest.raises(DataError, match="300 samples of 'exact', which has"):
        evaluation.device("exact", ["other"], 300)


def test_operation_counts_find_costs_and_no_negative_one() -> None:
    features: NDArray[np.float64] = np.array([[0.0, 1], [1, 0], [2, 1], [3, 5], [4, 1]])
    sampled = np.arange(4)
    latency = 1 + features @ [2.0, 3.0]
    np.testing.assert_allclose(operation_counts(features, sampled, latency[:4]), latency)
    falling = 10.0 - features[:, 0]
    assert (np.diff(operation_counts(features[:, :1], sampled, falling[:4])) >= 0).all()


def test_sums_of_all_latencies_may_have_negative_costs() -> None:
    features: NDArray[np.float64] = np.array([[0.0, 1], [1, 0], [2, 1], [3, 5], [4, 1]])
    latency = 10 + features @ [-1.0, 0.5]
    np.testing.assert_allclose(counts_of_all(features, latency), latency)


def test_macs_line_is_a_line() -> None:
    macs = np.array([1e6, 3e6, 2e6, 9e6])
    np.testing.assert_allclose(macs_line(macs, np.array([0, 1]), np.array([3.0, 7.0])), [3, 7, 5, 19])


def test_figures_worked_by_hand() -> None:
    one = np.array([1.0, 2, 3, 4])
    assert spearman(one, one**3) == pytest.approx(1.0)
    assert spearman(one, -one) == pytest.approx(-1.0)
    # Squared differences of ranks 1, 1, 1, 1: 1 - 6 * 4 / (4 * 15).
    assert spearman(one, np.array([2.0, 1, 4, 3])) == pytest.approx(0.6)
    assert np.isnan(spearman(one, np.ones(4)))
    # Ranks with ties 1.5 1.5 3 4 against 1 2 3 4: covariance 4.5 / sqrt(4.5 * 5).
    assert spearman(np.array([1.0, 1, 2, 3]), one) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert share_within(np.array([1.05, 1.2, 0.95, 0.8]), np.ones(4)) == 0.5
    latency = np.array([1.0, 2, 3, 4, 2, 1, 4, 3])
    assert noise_ceiling(latency, [(0, 4), (1, 5), (2, 6), (3, 7)]) == pytest.approx(np.sqrt(0.6))
    assert np.isnan(noise_ceiling(latency, [(0, 4), (1, 5)]))


def test_the_ceiling_among_what_is_predicted_knows_range_and_place() -> None:
    """Two measurements of all: most pairs are of fast cells, and those are less noisy."""
    rng = np.random.default_rng(0)
    truth = np.sort(np.exp(rng.normal(0.0, 0.3, 20000)))
    deviation = np.linspace(0.02, 0.15, len(truth))
    one, other = (truth * np.exp(rng.normal(0.0, deviation)) for _ in range(2))
    perfect = spearman(truth, one)
    weight = 1.0 / np.arange(2000, 2000 + len(truth))
    fast = rng.choice(len(truth), 3000, replace=False, p=weight / weight.sum())
    pairs = [(int(row), int(row) + len(truth)) for row in fast]
    both = np.append(one, other)
    assert noise_ceiling_among(both, pairs, one) == pytest.approx(perfect, abs=0.008)
    assert noise_ceiling(both, pairs) > perfect + 0.015
    exact = np.append(truth, truth)
    assert noise_ceiling_among(exact, pairs, truth) == pytest.approx(1.0)
    assert np.isnan(noise_ceiling_among(both, pairs[:1], one))
    assert np.isnan(noise_ceiling_among(both, [], one))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "fewshot.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_the_benchmark_prints_one_document(table: Path) -> None:
    done = run(
        str(table),
        "--devices",
        "exact,noisy",
        "--known",
        "other",
        "--samples",
        "8",
        "--seeds",
        "2",
        "--no-forest",
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["device"] for row in document["devices"]] == ["exact", "noisy"]
    first = document["devices"][0]
    assert first["known"] == ["other"]
    assert first["spearman"] == 1.0
    assert first["interval"]["stated"] <= 0.9
    assert document["all"]["worst_device"]["device"] == "noisy"
    assert document["all"]["models"]["operation_counts"] <= 1.0
    assert document["devices"][0]["operation_counts_of_all_latencies"] == 1.0
    assert document["all"]["interval_coverage_worst_device"] <= document["all"]["interval_coverage"]


def test_the_benchmark_names_a_mistake(table: Path) -> None:
    done = run(str(table), "--devices", "exakt", "--no-forest")
    assert done.returncode == 2
    assert "did you mean 'exact'?" in done.stderr
    assert done.stdout == ""
