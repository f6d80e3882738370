"""Journals are judged by Optuna itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hannah_hw.cli import main
from hannah_hw.report import read_run
from hannah_hw.report.optuna_journal import optuna_journal
from tests.report.synthetic import write_run

optuna = pytest.importorskip("optuna")


def load(path: Path, name: str):
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal") / "run"
    write_run(folder, 120)
    return folder


@pytest.fixture(scope="module")
def study(run: Path):
    path = run.parent / "x.journal"
    path.write_bytes(optuna_journal(read_run(run)))
    return load(path, "run")


def test_optuna_finds_the_same_front(run: Path, study) -> None:
    data = read_run(run)
    assert {t.user_attrs["id"] for t in study.best_trials} == {data.candidates[i].id for i in data.front}


def test_every_candidate_is_a_trial_with_its_parameters_values_and_state(run: Path, study) -> None:
    records = [json.loads(line) for line in (run / "candidates.jsonl").read_text().splitlines()]
    states = {"ok": "COMPLETE", "infeasible": "PRUNED", "failed": "FAIL"}
    assert study.metric_names == ["error", "latency"]
    assert [t.number for t in study.trials] == [record["index"] for record in records]
    for trial, record in zip(study.trials, records, strict=True):
        assert trial.params == record["assignment"]
        assert trial.state.name == states[record["status"]]
        if record["status"] == "ok":
            assert trial.values == [record["objectives"]["error"], record["objectives"]["latency"]]
        assert trial.duration.total_seconds() == 3.0


def test_constraints_are_kept_where_optuna_reads_no_positive_value(run: Path, study) -> None:
    for trial, candidate in zip(study.trials, read_run(run).candidates, strict=True):
        kept = candidate.values["ram_bytes"] <= 64 * 1024 and candidate.values["flash_bytes"] <= 256 * 1024
        assert all(value <= 0 for value in trial.system_attrs["constraints"]) == kept


def test_a_maximised_objective_stays_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "up", 30)
    config = tmp_path / "up" / "config.yaml"
    config.write_text(config.read_text().replace("error: min, latency: min", "latency: max"))
    path = tmp_path / "up.journal"
    path.write_bytes(optuna_journal(read_run(tmp_path / "up")))
    study = load(path, "up")
    best = max(c.values["latency_s"] for c in read_run(tmp_path / "up").candidates if c.status == "ok")
    assert study.best_value == best


def test_a_sampler_goes_on_from_a_journal(run: Path) -> None:
    path = run.parent / "more.journal"
    path.write_bytes(optuna_journal(read_run(run)))
    study = load(path, "run")
    study.sampler = optuna.samplers.NSGAIISampler(seed=0)
    trial = study.ask()
    assert trial.number == 120
    assert 2 <= trial.suggest_int("depth", 2, 5) <= 5
    study.tell(trial, [0.5, 0.5])
    assert len(load(path, "run").trials) == 121


def test_the_command_line_writes_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--to", "optuna,csv", "--out", str(tmp_path), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {Path(file).name for file in files} == {"optuna.journal", "candidates.csv"}
    assert len(load(tmp_path / "optuna.journal", "run").trials) == 120


def test_an_address_is_refused_without_mlflow(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--to", "optuna", "--uri", "http://x"]) == 2
    assert "--uri is for --to mlflow" in capsys.readouterr().err
