"""Searches on a host: intervals from its cost model, its front profiled here, stopped and continued."""

import io
import json
import shutil

import pytest
import yaml

import hannah_hw as hw
from hannah_hw.errors import HannahError, InputError
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.report import read_run, render_page
from hannah_hw.search import PlainLines, Search, dry_run, load_config, run_search
from hannah_hw.search.measuring import plan
from hannah_hw.search.pipeline import build
from hannah_hw.search.rundir import LOG, MEASUREMENTS
from hannah_hw.search.sections import MeasureSection
from tests.host.learned_host import fitted, write_host

CONFIG = """\
version: 1
space: ds_cnn
target: desk.yaml
objectives: {latency: min, parameters: max}
constraints: {macs: "<= 2 M"}
search: {algorithm: nsga2, population: 4, evaluations: 3}
measure: {profile: front}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A configuration, and a host that has measured the kernels of some candidates; all others by their law."""
    folder = tmp_path_factory.mktemp("desk")
    space = hw.load_space("ds_cnn")
    candidates = [hw.Candidate(space, row) for row in space.sample_population(20, seed=1)]
    small = [c for c in candidates if c.macs <= 4_000_000]
    write_host(folder, fitted([optimised_kernels(candidate_model(c, "float32")) for c in small]))
    (folder / "c.yaml").write_text(CONFIG)
    return folder


def measured_by(folder):
    return [json.loads(line) for line in (folder / MEASUREMENTS).read_text().splitlines()]


def test_records_carry_the_intervals_of_the_cost_model(folder):
    search = Search(
        "ds_cnn", str(folder / "desk.yaml"), ["latency"], {"macs": "<= 2 M"}, algorithm="nsga2", population=4
    ).fit(6)
    fitting = [record for record in search.history_ if record["status"] == "ok"]
    assert len(fitting) == 6
    for record in fitting:
        figure = record["cost"]["figures"]["latency_s"]
        assert record["bands"] == {"latency_s": figure["error"]}
        assert record["metrics"]["latency_s"] == figure["value"]
        assert record["uncertain"] == []
    slow = max(record["metrics"]["latency_s"] for record in fitting)
    bounded = Search(
        "ds_cnn",
        str(folder / "desk.yaml"),
        ["parameters"],
        {"latency": f"<= {slow} s"},
        algorithm="nsga2",
        population=4,
    ).fit(6)
    for record in bounded.history_:
        latency = record["metrics"]["latency_s"]
        if latency is None:
            assert record["reason"]["kind"] == "unsupported"
            assert "bands" not in record
            continue
        low, high = (latency * (1 + side * record["bands"]["latency_s"]) for side in (-1, 1))
        assert record["status"] == ("ok" if low <= slow else "infeasible")
        assert record["uncertain"] == (["latency"] if low <= slow < high else [])


def test_the_front_is_profiled_here_and_follows_what_was_measured(folder, tmp_path):
    stream = io.StringIO()
    result = run_search(folder / "c.yaml", tmp_path / "run", observers=[PlainLines(stream)])
    known = {record["id"]: record for record in measured_by(tmp_path / "run")}
    assert {record["id"] for record in result.front} <= known.keys()
    assert {record["id"] for record in result.measured} == known.keys()
    for record in result.front:
        figure = known[record["id"]]["measurement"]["figures"]["latency_s"]
        assert record["objectives"]["latency"] == record["metrics"]["latency_s"] == figure["value"] > 0
        assert figure["source"] == "measured"
    points = sorted((r["objectives"]["latency"], r["objectives"]["parameters"]) for r in result.front)
    assert [p for _, p in points] == sorted({p for _, p in points})
    assert "after the search the models of the front and those that are uncertain" in stream.getvalue()
    data = read_run(tmp_path / "run")
    assert [data.candidates[i].id for i in data.front] == [
        r["id"] for r in sorted(result.front, key=lambda r: r["objectives"]["latency"])
    ]
    assert "Profiled on the host" in render_page(data)

    # Stopped while it measured, it goes on with the rest; what was measured stays.
    lines = (tmp_path / "run" / MEASUREMENTS).read_bytes().splitlines(keepends=True)
    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "run", stopped)
    (stopped / MEASUREMENTS).write_bytes(lines[0] + (lines[1][:40] if len(lines) > 1 else b""))
    again = run_search(None, stopped, resume=True)
    assert (stopped / MEASUREMENTS).read_bytes().splitlines(keepends=True)[0] == lines[0]
    assert (stopped / LOG).read_bytes() == (tmp_path / "run" / LOG).read_bytes()
    # A busy machine may be why one could not be measured, and that is tried again.
    ids = [r["id"] for r in measured_by(stopped) if r["status"] == "ok"]
    assert len(ids) == len(set(ids))
    assert {r["id"] for r in again.front} <= set(ids)


def test_a_dry_run_says_what_will_be_profiled_and_how_wide_intervals_are(folder, monkeypatch):
    monkeypatch.setattr("hannah_hw.search.dryrun.DRY_RUN_HOST", 16)
    found = dry_run(load_config(folder / "c.yaml", ['constraints={latency: "<= 50 us"}']))
    assert found.sampled == 16
    assert found.plan.startswith(
        "the models of the front and those that are uncertain, until all of the front is"
    )
    assert "onnxruntime" in found.plan
    low, *_, high = found.bands["latency_s"]
    assert 0 < low <= high
    assert 0 <= found.uncertain["latency"] <= 1
    everything = plan(MeasureSection(profile="contenders"), {"threads": "1"})
    assert everything.startswith("all models whose interval reaches the front")
    assert everything.endswith("are profiled: threads 1")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("measure={emulate: front}", r"measure\.emulate: desk is a host.*profile: front"),
        ("measure={profile: front, compiler: gcc}", r"measure\.compiler: firmware is built with it"),
        ("objectives={energy: min}", "energy"),
        ("objectives={ram: min}", "ram"),
    ],
)
def test_what_a_host_does_not_have_is_refused_before_anything_is_written(folder, tmp_path, setting, message):
    with pytest.raises(InputError, match=message):
        run_search(folder / "c.yaml", tmp_path / "run", overrides=[setting])
    assert not (tmp_path / "run").exists()


def test_another_machine_is_not_profiled_here(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    path = tmp_path / "other" / "desk.yaml"
    document = yaml.safe_load(path.read_text())
    document["runtime"]["processor"] = "an abacus"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(HannahError, match="calibrated on another machine: its processor is an abacus"):
        run_search(tmp_path / "other" / "c.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_scores_are_those_of_the_precision_of_the_host(folder, tmp_path, precision):
    pytest.importorskip("torch")
    changes = [f"target={folder / 'desk.yaml'}:{precision}", "objectives={error: min}", "data=digits"]
    setup = build(load_config(folder / "c.yaml", [*changes, "measure={}"]), tmp_path)
    assert setup.evaluator.precision == setup.facts["precision"] == precision
