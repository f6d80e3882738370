from __future__ import annotations

import json

import numpy as np
import pytest

from hannah_hw.errors import ConfigError
from hannah_hw.scoring.proxies import ProxyScorer, draw_batch
from hannah_hw.scoring.proxies.scorer import as_inputs
from hannah_hw.search.config import load_config
from hannah_hw.search.engine import Engine
from hannah_hw.search.features import row_features
from hannah_hw.search.foresight import (
    Foresight,
    PredictorSection,
    ProxiesSection,
    describe,
)
from hannah_hw.search.loop import Search, make_goals
from hannah_hw.search.observers import FunctionObserver
from hannah_hw.search.progress import rows as rows_shown
from hannah_hw.search.protocols import Known
from hannah_hw.search.rundir import RunDirectory
from hannah_hw.search.tasks import InProcess
from tests.search.search_toys import (
    StagesEvaluator,
    StagesProblem,
    ToyEncoding,
    nas_like,
    nas_like_values,
)

pytest.importorskip("sklearn")

EXPENSIVE = np.array([True, False])


def priced(rows):
    """What is known of `nas_like` rows: not the error, but log MACs; and both objectives."""
    values, _ = nas_like_values(rows)
    objectives = np.stack([np.full(len(rows), np.nan), values[:, 1]], axis=1)
    return Known(objectives, np.zeros(len(rows)), values[:, 1:]), values[:, :2]


def taught(section, count, *, seed=0, pieces=1, noise=0.0):
    encoding = nas_like()
    rng = np.random.default_rng(seed)
    rows = encoding.sample(count, rng)
    foresight = Foresight(encoding, EXPENSIVE, section)
    for part in np.array_split(rows, pieces):
        known, objectives = priced(part)
        objectives[:, 0] += noise * rng.normal(size=len(part))
        foresight.learn(part, known, objectives, np.zeros(len(part)))
    return foresight, encoding


def test_nothing_is_expected_before_enough_is_known():
    foresight, encoding = taught(PredictorSection(candidates=20), 19)
    rows = encoding.sample(5, np.random.default_rng(1))
    assert foresight.expected(rows, priced(rows)[0]) is None
    assert foresight.summary() is None


def test_free_objectives_are_kept_and_expensive_ones_ordered_as_they_are():
    foresight, encoding = taught(PredictorSection(candidates=50), 50)
    rows = encoding.sample(100, np.random.default_rng(1))
    known, truth = priced(rows)
    expected = foresight.expected(rows, known)
    assert np.array_equal(expected[:, 1], truth[:, 1])
    order = np.corrcoef(expected[:, 0].argsort().argsort(), truth[:, 0].argsort().argsort())[0, 1]
    summary = foresight.summary()
    assert summary["used"]
    assert order == pytest.approx(summary["rank_correlation"], abs=0.15)
    assert json.loads(json.dumps(summary)) == summary
    assert "used" in describe(summary)


def test_a_predictor_below_its_threshold_is_not_used():
    foresight, encoding = taught(PredictorSection(candidates=20, threshold=0.7), 60, noise=50.0)
    rows = encoding.sample(5, np.random.default_rng(1))
    assert foresight.expected(rows, priced(rows)[0]) is None
    summary = foresight.summary()
    assert summary["rank_correlation"] < 0.7
    assert "not used below 0.7" in describe(summary)


def test_expectations_follow_from_what_was_told_alone():
    section = PredictorSection(candidates=20, threshold=0)
    whole, encoding = taught(section, 30)
    pieces, _ = taught(section, 30, pieces=7)
    rows = encoding.sample(8, np.random.default_rng(1))
    known = priced(rows)[0]
    # One that was asked early and often, as a run asks, and one that was asked once, as a replay may.
    early, _ = taught(section, 0)
    told = encoding.sample(30, np.random.default_rng(0))
    for part in np.array_split(told, 6):
        known_part, objectives = priced(part)
        early.learn(part, known_part, objectives, np.zeros(len(part)))
        early.expected(rows, known)
    found = [foresight.expected(rows, known) for foresight in (whole, pieces, early)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    # 20, 24, 29: the next would be 35.
    assert whole.summary()["candidates"] == 29


def test_failures_and_what_was_not_evaluated_teach_nothing():
    foresight, encoding = taught(PredictorSection(candidates=20), 15)
    rows = encoding.sample(40, np.random.default_rng(3))
    known, objectives = priced(rows)
    objectives[:, 0] = np.nan
    foresight.learn(rows, known, objectives, np.zeros(40))
    assert foresight.expected(rows, known) is None


def test_features_of_rows_by_hand():
    encoding = ToyEncoding(
        {"depth": ("int", 3), "op": ("cat", 3), "width": ("float",)}, conditions={"width": ("op", [1, 2])}
    )
    rows = encoding.canonical(np.array([[2.0, 1.0, 0.25], [1.0, 0.0, 0.25]]))
    # Positions; one column for each level of the operator; which parameters are active.
    assert row_features(encoding, rows).tolist() == [
        [1.0, 0.5, 0.25, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0],
        [0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ["sinflow"]}, "did you mean 'synflow'"),
        ({"names": []}, "at least one"),
        ({"names": ["zen", "zen"]}, "each once"),
    ],
)
def test_wrong_proxies_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ProxiesSection(**fields)


@pytest.fixture(scope="module")
def space():
    pytest.importorskip("torch")
    from hannah_hw.scoring import load_data
    from hannah_hw.spaces import load_space

    data = load_data("digits")
    space = load_space("ds_cnn", input_shape=data.input_shape, classes=data.classes, max_blocks=2)
    return space, draw_batch(data, 8)


def test_only_networks_on_the_shortlist_are_scored_and_each_once(space):
    space, batch = space
    records = []
    scorer = ProxyScorer(space, batch, names=["jacob_cov"], keep=records.append)
    rows = space.sample_population(24, seed=0)
    scores = as_inputs(scorer.scores(rows))[:, 0]
    known = Known(np.full((24, 1), np.nan), np.zeros(24), np.zeros((24, 0)))
    foresight = Foresight(
        space.encoding,
        np.array([True]),
        PredictorSection(candidates=20, threshold=0),
        proxies=scorer,
        shortlist=3,
    )
    foresight.learn(rows, known, -scores[:, None], np.zeros(24))
    assert len(records) == len({r["id"] for r in records}) <= 24
    before = len(records)
    others = space.sample_population(24, seed=1)
    violation = np.where(np.arange(24) < 12, 1.0, 0.0)
    expected = foresight.expected(others, Known(known.objectives, violation, known.features))
    summary = foresight.summary()
    assert summary["proxies"] == ["jacob_cov"]
    assert summary["rank_correlation"] > 0.9
    assert len(records) <= before + 3
    assert np.isfinite(expected).all()


def test_what_was_scored_before_is_not_scored_again(space):
    space, batch = space
    records = []
    rows = space.sample_population(3, seed=2)
    first = ProxyScorer(space, batch, names=["synflow", "naswot"], keep=records.append).scores(rows)
    again = []
    later = ProxyScorer(space, batch, names=["naswot"], records=records, keep=again.append)
    assert np.array_equal(later.scores(rows)[:, 0], first[:, 1])
    assert again == []
    assert later.ms["naswot"] > 0


def searched(path, *, evaluations=28, resume=False, section=None, seen=None):
    """A search of `nas_like` with a predictor, in a run directory."""
    goals = make_goals(["error", "latency"], {"ram": "<= 200000", "flash": "<= 500000"})
    problem = StagesProblem()
    section = section or PredictorSection(candidates=10, threshold=0.3)
    with RunDirectory(path, resume=resume) as directory:
        if not resume:
            directory.write("config.yaml", "toy: true\n")
        engine = Engine(
            problem,
            goals,
            population=8,
            evaluations=evaluations,
            seed=3,
            lag=4,
            executor=InProcess(StagesEvaluator()),
            store=directory,
            observers=[] if seen is None else [FunctionObserver(lambda _, progress: seen.append(progress))],
            predictor=Foresight(problem.encoding, EXPENSIVE, section, seed=3),
        )
        engine.run()
        return [record["id"] for record in engine.records], directory.read_state()


def test_a_run_that_was_continued_expects_the_same_and_says_how_well(tmp_path):
    seen = []
    whole, state = searched(tmp_path / "whole", seen=seen)
    searched(tmp_path / "parts", evaluations=17)
    parts, later = searched(tmp_path / "parts", resume=True)
    assert parts == whole
    assert later["predictor"] == state["predictor"]
    assert state["predictor"]["used"]
    assert ("predictor", describe(state["predictor"])) in rows_shown(seen[-1])
    assert seen[0].predictor is None
    # A threshold that nothing reaches leaves the search as it would be without a predictor.
    never, unused = searched(tmp_path / "never", section=PredictorSection(candidates=10, threshold=1))
    assert not unused["predictor"]["used"]
    assert never[:16] == whole[:16]
    assert never != whole


def test_a_search_from_python_has_a_predictor_as_a_run_has(tmp_path):
    section = PredictorSection(candidates=10, threshold=0.3)
    goals = {"objectives": ["error", "latency"], "constraints": {"ram": "<= 200000", "flash": "<= 500000"}}
    settings = {"algorithm": "nsga2", "population": 8, "seed": 3, "lag": 4}
    search = Search(StagesProblem(), **goals, **settings, evaluator=StagesEvaluator(), predictor=section).fit(
        28
    )
    whole, _ = searched(tmp_path / "whole", section=section)
    assert [record["id"] for record in search.history_] == whole
    with pytest.raises(ConfigError, match="no goal needs one"):
        Search(StagesProblem(), predictor=section)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proxies: {}", "proxies are inputs of a predictor"),
        ("predictor: {threshold: 2}", "predictor.threshold.*at most 1"),
        ("predictor: {candidates: 3}", "predictor.candidates.*at least 10"),
        ("predictor: {}\nproxies: {names: [zne]}", "did you mean 'zen'"),
    ],
)
def test_a_configuration_says_what_is_wrong_with_it(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    common = "version: 1\nspace: ds_cnn\ntarget: stm32l4r5zi\ndata: mnist5k\nobjectives: {error: min}\n"
    path.write_text(common + text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)
    path.write_text(common.replace("error", "latency") + "predictor: {}")
    with pytest.raises(ConfigError, match="no goal is about the error"):
        load_config(path)


def test_a_section_that_is_not_given_does_not_change_what_a_configuration_is(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "version: 1\nspace: ds_cnn\ntarget: stm32l4r5zi\ndata: mnist5k\nobjectives: {error: min}\n"
    )
    plain = load_config(path)
    assert "predictor" not in plain.to_dict()
    path.write_text(path.read_text() + "predictor: {}\n")
    assert load_config(path).hash != plain.hash
