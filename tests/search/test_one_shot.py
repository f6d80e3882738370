"""Runs with a supernet and with finalists, end to end, and the networks that a supernet is trained with."""

import json

import numpy as np
import onnx
import pytest

from hannah_hw import load_space, load_target
from hannah_hw.errors import ConfigError, RunError
from hannah_hw.scoring import load_data
from hannah_hw.scoring.answers import model_errors
from hannah_hw.search import run_search
from hannah_hw.search.config import load_config
from hannah_hw.search.loop import make_goals
from hannah_hw.search.one_shot import feasible_pool
from hannah_hw.search.pricing import SpaceProblem

CONFIG = """
version: 1
space: {name: ds_cnn, max_blocks: 2}
target: stm32l4r5zi
data: digits
objectives: {error: min, latency: min}
constraints: {latency: "<= 2 ms"}
training: {epochs: 1}
search: {population: 4, evaluations: 5, seed: 1, algorithm: nsga2}
"""
FINALISTS = "finalists: {epochs: 1, count: 2}\n"
SUPERNET = "supernet: {epochs: 2, random: 1, pool: 8, statistics: 64}\n"


def write(folder, text):
    (folder / "a.yaml").write_text(text)
    return folder / "a.yaml"


@pytest.fixture(scope="module")
def small():
    return SpaceProblem(
        load_space("ds_cnn", input_shape=(1, 8, 8), classes=10, max_blocks=2), load_target("stm32l4r5zi")
    )


def test_the_pool_keeps_the_constraints_and_is_ordered(small):
    goals = make_goals({"latency": "min"}, {"latency": "<= 1 ms"})
    pool = feasible_pool(small, goals, 30, seed=2)
    assert len(pool.assignments) == 30
    candidates = [small.space.candidate(a) for a in pool.assignments]
    sizes = [candidate.macs for candidate in candidates]
    assert sizes == sorted(sizes)
    assert len({candidate.id for candidate in candidates}) == 30
    rows = small.encoding.sample(500, np.random.default_rng(0))
    assert (small.estimate(rows).columns["latency_s"] > 1e-3).any()
    estimated = small.estimate(small.encoding.positions(list(pool.assignments)))
    assert (estimated.columns["latency_s"] <= 1e-3).all()
    assert feasible_pool(small, goals, 30, seed=2) == pool


def test_too_tight_constraints_are_said(small, monkeypatch):
    monkeypatch.setattr("hannah_hw.search.one_shot._MOST", 4096)
    goals = make_goals({"latency": "min"}, {"latency": "<= 1 ns"})
    with pytest.raises(RunError, match="too few to train a supernet"):
        feasible_pool(small, goals, 30, seed=2)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("finalists: {epoch: 1}\n", "a.yaml:10"),
        ("supernet: {epochs: 0}\n", "supernet.epochs"),
        ("supernet: {}\nfidelity: {}\n", "nothing to cut"),
    ],
)
def test_wrong_sections_are_refused(tmp_path, lines, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, CONFIG + lines))


def test_finalists_need_a_goal_about_the_error(tmp_path):
    text = (CONFIG + FINALISTS).replace("{error: min, latency: min}", "{latency: min}")
    with pytest.raises(ConfigError, match="no goal is about the error"):
        load_config(write(tmp_path, text))


def test_finalists_may_follow_a_finished_run_and_a_supernet_may_not(tmp_path):
    plain, more = load_config(write(tmp_path, CONFIG)), load_config(write(tmp_path, CONFIG + FINALISTS))
    assert plain.hash == more.hash
    assert load_config(write(tmp_path, CONFIG + SUPERNET)).hash != plain.hash


def check_models(out, result):
    """The records of the front say what ONNX Runtime computes of their models."""
    data = load_data("digits", seed=1)
    for record in result.front:
        found = model_errors(out / record["artifact"], (data.x_val, data.y_val), (data.x_test, data.y_test))
        assert found == (record["metrics"]["error"], record["metrics"]["test_error"])
        onnx.checker.check_model(onnx.load(out / record["artifact"]))


def test_a_finished_run_gets_finalists(tmp_path):
    out = tmp_path / "run"
    before = run_search(write(tmp_path, CONFIG), out)
    log = (out / "candidates.jsonl").read_bytes()
    (out / "weights").mkdir()
    (out / "weights" / "0123456789ab.npz").touch()
    result = run_search(write(tmp_path, CONFIG + FINALISTS), out, resume=True)
    kept = {path.name for path in (out / "weights").iterdir()} if (out / "weights").is_dir() else set()
    assert kept <= {f"{record['id']}.npz" for record in before.front}
    assert (out / "candidates.jsonl").read_bytes() == log
    lines = [json.loads(line) for line in (out / "finalists.jsonl").read_text().splitlines()]
    assert lines == result.finalists
    assert len(lines) == min(2, len(before.front))
    by_id = {record["id"]: record for record in before.front}
    for line in lines:
        assert line["status"] == "ok"
        # What is trained again to begin with is what the search trained.
        assert line["tuned"]["before"]["error"] == by_id[line["id"]]["metrics"]["error"]
        assert line["tuned"]["error"] <= line["tuned"]["before"]["error"]
    check_models(out, result)


def test_a_run_by_a_supernet_has_models_of_its_finalists_and_goes_on_as_if_it_had_not_been_stopped(tmp_path):
    config = write(tmp_path, CONFIG + SUPERNET + FINALISTS)
    out = tmp_path / "run"
    result = run_search(config, out)
    assert result.front
    check_models(out, result)
    assert {r["id"] for r in result.front} <= {r["id"] for r in result.finalists}
    # The supernet's errors are in the log, and no candidate was trained.
    assert all(record["artifact"] is None for record in result.records)
    names = ("supernet.npz", "finalists.jsonl")
    whole = [(out / name).read_bytes() for name in names]
    (out / "finalists.jsonl").unlink()
    (out / "supernet.npz").unlink()
    again = run_search(None, out, resume=True)
    assert [(out / name).read_bytes() for name in names] == whole
    assert again.front == result.front
