"""What MLflow tells of a run that was written to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hannah_hw.cli import main
from hannah_hw.report import read_run
from tests.report.synthetic import write_run

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")


def test_the_front_is_nested_in_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, out = tmp_path / "run", tmp_path / "out"
    write_run(folder, 40)
    assert main(["export", str(folder), "--to", "mlflow", "--pick", "front", "--out", str(out)]) == 0
    data = read_run(folder)
    front = {c.id: c for c in data.candidates if c.on_front}
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("hannah-hw")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"run", *front}
    parent = runs.pop("run")
    assert parent.data.params["search.algorithm"] == "nsga2"
    history = client.get_metric_history(parent.info.run_id, "hypervolume")
    assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == list(
        zip(data.history.evaluations, data.history.hypervolume, strict=True)
    )
    for name, run in runs.items():
        assert run.data.metrics == pytest.approx(dict(front[name].values))
        assert run.data.params == {k: str(v) for k, v in front[name].assignment.items()}
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"


def test_an_address_that_mlflow_does_not_know_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run", 20)
    arguments = ["export", str(tmp_path / "run"), "--to", "mlflow", "--uri", "nowhere://x"]
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert "nowhere://x" in capsys.readouterr().err
