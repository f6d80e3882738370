"""A run in Python: against what the search itself returned, and against the files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import hannah_hw
from hannah_hw.errors import ConfigError, InputError, MissingExtraError, RunError
from hannah_hw.search import load_config, run_search
from tests.report.synthetic import write_run

CONFIG = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
objectives: {latency: min, ram: min}
constraints: {ram: "<= 24 KiB"}
search: {algorithm: nsga2, population: 10, evaluations: 30, seed: 3, workers: 1}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    (folder / "search.yaml").write_text(CONFIG)
    run_search(load_config(folder / "search.yaml"), folder / "run")
    return folder / "run"


def test_networks_and_costs_are_those_that_were_searched(searched: Path) -> None:
    run = hannah_hw.load_run(searched)
    target = hannah_hw.load_target("stm32l4r5zi")
    assert run.front
    for candidate in run.front:
        network = run.network(candidate.id)
        report = hannah_hw.estimate(network, target)
        assert network.id == candidate.id
        assert network.macs == candidate.values["macs"]
        recorded = run.cost(candidate.id)
        # A population is summed in another order than a single network.
        assert (
            recorded.latency_s == candidate.values["latency_s"] == pytest.approx(report.latency_s, rel=1e-12)
        )
        assert [(k.name, k.macs) for k in recorded.kernels] == [(k.name, k.macs) for k in report.kernels]
        assert report.ram_bytes == candidate.values["ram_bytes"] <= 24 * 1024


def test_the_front_is_what_nothing_beats(searched: Path) -> None:
    run = hannah_hw.Run(searched)
    points = {
        c.id: (c.values["latency_s"], c.values["ram_bytes"]) for c in run.candidates if c.status == "ok"
    }
    best = {
        name
        for name, (x, y) in points.items()
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())
    }
    assert {points[c.id] for c in run.front} == {points[name] for name in best}
    assert [c.values["latency_s"] for c in run.front] == sorted(c.values["latency_s"] for c in run.front)
    assert run.knee in run.front
    assert run.preferred is None
    assert run.config["objectives"] == {"latency": "min", "ram": "min"}


def test_the_table_is_the_log(searched: Path) -> None:
    records = [json.loads(line) for line in (searched / "candidates.jsonl").open()]
    run = hannah_hw.Run(searched)
    table = run.to_dataframe()
    assert list(table["id"]) == [record["id"] for record in records]
    assert list(table["status"]) == [record["status"] for record in records]
    assert table["knee"].sum() == 1
    assert table["front"].sum() == len(run.front)
    for row, record in zip(table.to_dict("records"), records, strict=True):
        assert row["latency_s"] == record["metrics"]["latency_s"]
        assert {key: row[key] for key in record["assignment"]} == record["assignment"]
    missing = table[[key for key in table if "." in key]].isna().sum().sum()
    columns = {key for record in records for key in record["assignment"]}
    assert missing == sum(len(columns) - len(record["assignment"]) for record in records)
    assert list(run.to_dataframe("front")["id"]) == [c.id for c in run.front]


def test_candidates_by_name_and_what_a_run_does_not_have(tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 60)
    run = hannah_hw.Run(tmp_path / "run")
    assert len(run) == 60
    trained = next(record for record in records if record["status"] == "ok")
    over = next(record for record in records if record["status"] == "infeasible")
    assert run.candidate(trained["id"][:7]).id == trained["id"]
    assert run.candidate("knee") is run.knee
    assert run.candidate(over["id"]).reason == ("budget", "ram 71.0 KiB > 64 KiB")
    assert run.model(trained["id"]).read_bytes() == b"onnx"
    with pytest.raises(InputError, match=r"names .* candidates"):
        run.candidate("front")
    with pytest.raises(InputError, match="no trained candidate"):
        run.candidate("nobody")
    with pytest.raises(RunError, match=r"no ONNX file of .* 'infeasible'"):
        run.model(over["id"])
    with pytest.raises(RunError, match="no cost report"):
        run.cost(over["id"])
    with pytest.raises(ConfigError, match="not a run directory"):
        hannah_hw.Run(tmp_path)


def test_the_page_is_the_one_that_report_writes(tmp_path: Path) -> None:
    from hannah_hw.report import read_run, write_page

    write_run(tmp_path / "run", 20)
    run = hannah_hw.Run(tmp_path / "run")
    assert run.report_html() == write_page(read_run(tmp_path / "run")).read_text()
    assert repr(run) == (
        f"Run({tmp_path / 'run'}: ds_cnn on stm32l4r5zi, 20 candidates, {len(run.front)} on the front)"
    )


def test_without_pandas_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", 5)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"hannah-hw\[notebook\]"):
        hannah_hw.Run(tmp_path / "run").to_dataframe()
