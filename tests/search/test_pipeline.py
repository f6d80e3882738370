"""The search on a real space and a real target, without training; and one trained run."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hannah_hw
from hannah_hw.errors import ConfigError, InputError, RunError, SpaceError
from hannah_hw.estimation import estimate
from hannah_hw.search import Search, dry_run, load_config, run_search
from hannah_hw.search.pipeline import build, configured_space
from hannah_hw.search.pricing import SpaceProblem
from hannah_hw.search.progress import PlainLines
from hannah_hw.search.tasks import Task

FREE = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
objectives: {latency: min, macs: max}
constraints: {ram: "<= 16 KiB", flash: "<= 64 KiB", parameters: "<= 20 k"}
search: {algorithm: nsga2, population: 8, evaluations: 24, seed: 3}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "free.yaml"
    path.write_text(FREE, encoding="utf-8")
    return path


def test_estimates_of_a_batch_are_those_of_each_candidate():
    space, target = hannah_hw.load_space("ds_cnn"), hannah_hw.load_target("stm32l4r5zi")
    problem = SpaceProblem(space, target)
    rows = space.sample_population(5, seed=1)
    estimates = problem.estimate(rows)
    for index, (identifier, assignment) in enumerate(problem.describe(rows)):
        json.dumps(assignment)
        candidate = space.candidate(assignment)
        assert identifier == candidate.id
        report = estimate(candidate, target)
        assert estimates.columns["latency_s"][index] == pytest.approx(report.latency_s)
        assert estimates.columns["ram_bytes"][index] == report.ram_bytes
        assert estimates.columns["macs"][index] == candidate.macs
        assert estimates.columns["parameters"][index] == candidate.parameters


def test_the_space_of_a_configuration_has_the_shape_of_its_data(config):
    """What is calibrated for a search are the networks that the search prices: digits are 8 x 8, of 10 classes."""
    changes = ["data=digits", "objectives={error: min, latency: min}"]
    trained = configured_space(load_config(config, changes))
    assert [tensor.shape() for tensor in trained.candidate(trained.default()).plan.inputs] == [(1, 1, 8, 8)]
    free = configured_space(load_config(config))
    default = hannah_hw.load_space("ds_cnn")
    assert free.candidate(free.default()).id == default.candidate(default.default()).id


def test_a_configured_run_without_training(config, tmp_path):
    out = tmp_path / "run"
    result = run_search(config, out)
    records = [json.loads(line) for line in (out / "candidates.jsonl").read_text().splitlines()]
    assert result.records == records
    assert sum(r["status"] == "ok" for r in records) == 24
    for record in records:
        within = record["metrics"]["ram_bytes"] <= 16384 and record["metrics"]["flash_bytes"] <= 65536
        assert (record["status"] == "ok") == (within and record["parameters"] <= 20_000)
        if record["status"] == "ok":
            assert record["cost"]["ram_bytes"] == record["metrics"]["ram_bytes"]
    front = {r["id"] for r in result.front}
    points = {r["id"]: (r["metrics"]["latency_s"], -r["macs"]) for r in records if r["status"] == "ok"}
    for identifier, point in points.items():
        beaten = any(np.all(np.less_equal(q, point)) and q != point for q in points.values())
        assert (identifier in front) == (not beaten)
    copy = load_config(out / "config.yaml")
    assert copy.hash == load_config(config).hash == copy.resolved["hash"]
    assert copy.resolved["target"]["name"] == "stm32l4r5zi"
    assert sorted(p.name for p in out.iterdir()) == [
        ".lock",
        "artifacts",
        "candidates.jsonl",
        "config.yaml",
        "state.json",
    ]


def test_a_run_goes_on_only_with_the_same_question(config, tmp_path):
    out = tmp_path / "run"
    run_search(config, out, overrides=["search.evaluations=10"])
    with pytest.raises(RunError, match="already holds a run"):
        run_search(config, out)
    with pytest.raises(ConfigError, match=r"differs .*search"):
        run_search(config, out, resume=True, overrides=["search.seed=4"])
    with pytest.raises(ConfigError, match="already holds 10 evaluations"):
        run_search(config, out, resume=True, overrides=["search.evaluations=5"])
    longer = run_search(config, out, resume=True)
    whole = run_search(config, tmp_path / "whole")
    assert [r["id"] for r in longer.records] == [r["id"] for r in whole.records]
    again = run_search(None, out, resume=True)
    assert again.records == longer.records


@pytest.mark.parametrize(
    ("override", "near"),
    [("space=ds_cn", "ds_cnn"), ("target=stm32l4r5z", "stm32l4r5zi"), ("data=mnist5", "mnist5k")],
)
def test_a_wrong_input_writes_nothing(config, tmp_path, override, near):
    with pytest.raises(InputError, match=f"did you mean '{near}'"):
        run_search(
            config, tmp_path / "run", overrides=[override, "objectives.error=min", "data=digits", override]
        )
    assert not (tmp_path / "run").exists()


def test_dry_run_prices_and_writes_nothing(config, tmp_path):
    before = sorted(tmp_path.iterdir())
    found = dry_run(load_config(config))
    assert 0 < found.feasible_share < 1
    for values in found.quartiles.values():
        assert list(values) == sorted(values)
    assert found.facts["hash"] == found.config.hash
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_chooses_the_algorithm_that_the_run_chooses(config, tmp_path):
    changes = ["search.algorithm=auto", "search.evaluations=2"]
    found = dry_run(load_config(config, changes)).algorithm
    run_search(config, tmp_path / "run", overrides=changes)
    resolved = load_config(tmp_path / "run" / "config.yaml").resolved
    assert found == f"{resolved['algorithm']} ({resolved['reason']})"
    assert dry_run(load_config(config, ["search.algorithm=aging"])).algorithm == "aging"


GATED = """
from hannah_hw import Tensor, search_space
from hannah_hw.blocks import conv2d, squeeze_excite

@search_space
def gated():
    x = conv2d(Tensor("input", (1, 2, 4, 4)), 4)
    return squeeze_excite(squeeze_excite(x, 2), 2)
"""


def test_a_space_that_the_target_cannot_run_says_which_rules_it_fails(config, tmp_path):
    path = tmp_path / "gated.py"
    path.write_text(GATED)
    text = (
        r"hard_sigmoid: the target has no rule for this operator \(gated_0.HardSigmoid_0 and 1 more\); "
        r"mul: the target has no rule for this operator \(gated_0.Mul_0 and 1 more\)"
    )
    changes = [f"space={path}", "target=stm32l4r5zi:cmsis_nn"]
    every = (
        "every network fails: gated_0.HardSigmoid_0, gated_0.HardSigmoid_1: hard_sigmoid: the target has no "
        "rule for this operator; gated_0.Mul_0, gated_0.Mul_1: mul: the target has no rule for this operator"
    )
    for run in (dry_run, lambda config: run_search(config, tmp_path / "run")):
        with pytest.raises(
            SpaceError, match=f"stm32l4r5zi:cmsis_nn can run no network of the space .*{every}"
        ):
            run(load_config(config, changes))
    changes.append("legalize=false")
    found = dry_run(load_config(config, changes))
    assert (found.feasible_share, found.supported_share) == (0, 0)
    assert re.fullmatch(text, found.unsupported)
    with pytest.raises(
        RunError, match=f"cannot run even the closest candidate: {text}; hannah-hw targets ops"
    ):
        run_search(config, tmp_path / "run", overrides=changes)
    assert dry_run(load_config(config)).unsupported == ""


BLOCKS = """
from hannah_hw.blocks import conv2d
from hannah_hw.spaces.declarative.registry import Positive, Value

def wide(x, *, width: Value[Positive]):
    return conv2d(x, width)
"""
DOCUMENT = """
format: hannah-space/1
modules: {a: {type: "blocks.py:wide", width: {choice: [2, 3, 4]}}}
"""


def test_code_of_a_document_is_allowed_in_the_configuration(config, tmp_path):
    (tmp_path / "blocks.py").write_text(BLOCKS)
    (tmp_path / "net.yaml").write_text(DOCUMENT)
    with pytest.raises(SpaceError, match=r"executes Python code.*space: \{name: \.\.\., allow_code: true\}"):
        dry_run(load_config(config, ["space=net.yaml"]))
    assert dry_run(load_config(config, ["space=net.yaml", "space.allow_code=true"])).quartiles["macs"][0] > 0
    with pytest.raises(SpaceError, match="allow_code is 'maybe'; it must be true or false"):
        dry_run(load_config(config, ["space=net.yaml", "space.allow_code=maybe"]))


def test_the_python_door():
    search = Search(
        "ds_cnn", "stm32l4r5zi", ["latency", "ram"], {"flash": "<= 64 KiB"}, algorithm="nsga2", population=8
    ).fit(16)
    assert len(search.history_) >= 16
    assert search.front_objectives_.shape == (len(search.front_), 2)


def test_a_trained_run_gives_what_training_in_this_process_gives(tmp_path):
    pytest.importorskip("torch")
    text = FREE.replace("{latency: min, macs: max}", "{error: min, latency: min}").replace(
        "search: {algorithm: nsga2,",
        "data: digits\ntraining: {epochs: 1}\nsearch: {algorithm: aging, workers: 2,",
    )
    path = tmp_path / "trained.yaml"
    path.write_text(text, encoding="utf-8")
    small = ["search.evaluations=2", "search.population=4", "constraints.ram=<= 4 KiB"]
    empty = run_search(path, tmp_path / "empty", overrides=[*small, "constraints.error=<= 0 %"])
    assert empty.front == []
    best = min(r["metrics"]["error"] for r in empty.records if "error" in r["metrics"])
    assert f"error <= 0 %: best value seen {100 * best:.3g} %" in empty.empty
    run = run_search(path, tmp_path / "run", overrides=small)
    config = load_config(path, small)
    evaluator = build(config, tmp_path / "here").evaluator
    evaluator.start()
    trained = [r for r in run.records if r["status"] == "ok"]
    assert len(trained) == 2
    assert run.empty is None
    for record in trained:
        metrics = evaluator.evaluate(Task(record["id"], record["assignment"]))
        assert {k: record["metrics"][k] for k in ("error", "test_error", "float_error")} == {
            k: metrics[k] for k in ("error", "test_error", "float_error")
        }
        artifact = (tmp_path / "run" / record["artifact"]).read_bytes()
        assert artifact == (tmp_path / "here" / f"{record['id']}.onnx").read_bytes()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("space.classes=5", r"outputs of shape \(5,\), but digits has 10 classes"),
        ("space.input_shape=[3, 8, 8]", r"inputs of shape \(3, 8, 8\), but .* shape \(1, 8, 8\)"),
        ("space=mlperf_tiny:resnet8", r"inputs of shape \(3, 32, 32\)"),
        ("space=tc_resnet", r"tc_resnet\.py:\d+: .*'input_shape': \(1, 8, 8\).* 3 axis names"),
    ],
)
def test_a_space_that_does_not_fit_the_data_writes_nothing(config, tmp_path, override, message):
    pytest.importorskip("torch")
    given = ["objectives.error=min", "data=digits", override]
    with pytest.raises(SpaceError, match=message):
        run_search(config, tmp_path / "run", overrides=given)
    assert not (tmp_path / "run").exists()


def test_a_search_without_torch_names_the_extra_and_writes_nothing(config, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Hidden(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *rest):\n"
        "        return None if name.partition('.')[0] == 'torch' else super().find_spec(name, *rest)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Hidden\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    command = [sys.executable, "-m", "hannah_hw", "search", str(config), "--out", str(tmp_path / "run")]
    trained = ["--set", "objectives.error=min", "--set", "data=digits"]
    done = subprocess.run(
        [*command, *trained], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'hannah-hw[train]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"violations"', '"violence"', "KeyError: 'violations'"),
        ('"status":"ok"', '"status":"great"', "unknown status 'great'"),
        ('"objectives":{"latency":', '"objectives":{"latency":"x","y":', "could not convert"),
        ('"objectives":{"latency"', '"objectives":{"late"', "an objective is missing"),
    ],
)
def test_a_record_that_no_run_writes_is_named_with_its_line(config, tmp_path, old, new, message):
    run_search(config, tmp_path / "run", overrides=["search.evaluations=2"])
    log = tmp_path / "run" / "candidates.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    number = next(i for i, line in enumerate(lines) if old in line)
    lines[number] = lines[number].replace(old, new)
    log.write_text("".join(lines))
    with pytest.raises(RunError, match=rf"candidates\.jsonl:{number + 1} is damaged.*{message}"):
        run_search(None, tmp_path / "run", resume=True, overrides=["search.evaluations=3"])
    assert log.read_text() == "".join(lines)


def test_a_bound_out_of_reach_is_given_up_soon(config, tmp_path):
    with pytest.raises(RunError, match=r"ram <= 100 B: best value seen .* \(out of reach\)") as caught:
        run_search(config, tmp_path / "run", overrides=["constraints.ram=<= 100 B"])
    assert int(re.search(r"\((\d+) estimates", str(caught.value))[1]) < 8_000


def test_a_search_narrows_its_space_to_the_target_unless_told_otherwise(config, tmp_path):
    changes = ["space=nas_bench_201", "target=stm32l4r5zi:cmsis_nn", "constraints={}", "search.evaluations=8"]
    stream = io.StringIO()
    result = run_search(config, tmp_path / "run", overrides=changes, observers=[PlainLines(stream)])
    assert {record["status"] for record in result.records} == {"ok"}
    assert stream.getvalue().startswith(
        "space: nas_bench_201 for stm32l4r5zi:cmsis_nn: 2 values of 1 parameter removed"
    )
    facts = load_config(tmp_path / "run" / "config.yaml").resolved["legalized"]
    assert facts["assignments"] == {"before": 5**6, "after": 3 * 5**5}
    (removed,) = facts["removed"]
    assert removed["values"] == ["skip_connect", "avg_pool_3x3"]
    assert {rule["rule"] for rule in removed["rules"]} == {
        "batch_norm: the target has no rule for this operator"
    }
    found = dry_run(load_config(config, changes))
    assert found.supported_share == 1
    assert "2 values of 1 parameter removed" in found.legalized
    assert dry_run(load_config(config, [*changes, "legalize=false"])).supported_share < 0.5
    search = Search(
        "nas_bench_201", "stm32l4r5zi:cmsis_nn", ["latency", "energy"], algorithm="nsga2", population=8
    )
    assert {record["status"] for record in search.fit(8).history_} == {"ok"}
