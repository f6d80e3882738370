"""Searches whose goals count every class alike."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from hannah_hw.errors import ConfigError
from hannah_hw.search import load_config, run_search
from hannah_hw.search.metrics import Goals

pytest.importorskip("torch")

CONFIG = {
    "version": 1,
    "space": {"name": "ds_cnn", "max_blocks": 1},
    "target": "stm32l4r5zi",
    "data": "digits",
    "objectives": {"balanced_error": "min", "macro_f1": "max", "latency": "min"},
    "constraints": {"macro_f1": ">= 1 %"},
    "training": {"epochs": 0.5},
    "search": {"evaluations": 3, "seed": 1, "algorithm": "nsga2", "population": 4},
}


def write(folder, **changes):
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


def test_both_figures_are_goals(tmp_path):
    result = run_search(write(tmp_path), tmp_path / "run")
    assert len(result.records) == 3
    for record in result.records:
        metrics = record["metrics"]
        assert record["objectives"]["macro_f1"] == metrics["macro_f1"]
        assert 0 <= metrics["balanced_error"] <= 1
        # Digits are nearly even, so that the mean recall is nearly the accuracy.
        assert metrics["balanced_error"] == pytest.approx(metrics["error"], abs=0.03)
    best = max(result.records, key=lambda record: record["metrics"]["macro_f1"])
    assert best["id"] in {record["id"] for record in result.front}


def test_the_worst_of_a_share_that_grows_is_nothing():
    goals = Goals({"balanced_error": "min", "macro_f1": "max", "latency": "min"}, ())
    np.testing.assert_array_equal(goals.corner, [1.0, 0.0, np.nan])
    assert goals.balanced
    assert not Goals({"error": "min"}, ()).balanced


@pytest.mark.parametrize("section", ["fidelity", "finalists", "supernet"])
def test_what_knows_the_error_alone_is_refused(tmp_path, section):
    plain = {"objectives": {"error": "min"}, "constraints": {}, "training": {"folds": 3}}
    with pytest.raises(ConfigError, match=f"{section} knows the error alone"):
        load_config(write(tmp_path, **{section: {}}))
    with pytest.raises(ConfigError, match=f"{section} trains once"):
        load_config(write(tmp_path, **plain, **{section: {}}))


def test_small_and_uneven_sets_are_named_until_something_is_done_about_them(tmp_path, capsys):
    from hannah_hw.cli import main
    from hannah_hw.report import read_run
    from hannah_hw.report.provenance import provenance

    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 15])
    x = rng.normal(size=(75, 1, 8, 8)).astype(np.float32) + labels[:, None, None, None]
    np.savez(tmp_path / "few.npz", x_train=x, y_train=labels, x_test=x[::3] + 0.1, y_test=labels[::3])
    plain = write(tmp_path, data="few.npz", objectives={"error": "min"}, constraints={})
    assert main(["search", str(plain), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "data: classes differ in size by a factor of 3.9" in said
    assert "validation samples are few" in said
    even = write(tmp_path, data="few.npz", objectives={"balanced_error": "min"}, constraints={})
    assert main(["search", str(even), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "classes differ in size" not in said
    assert "validation samples are few" in said
    helped = {"balance": "sampling", "folds": 2, "epochs": 0.5}
    options = {"data": "few.npz", "objectives": {"error": "min"}, "constraints": {}, "training": helped}
    config = write(tmp_path, **options, search={"evaluations": 1, "algorithm": "nsga2"})
    result = run_search(config, tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert not any("factor of" in text or "are few" in text for text in run.resolved["data"]["warnings"])
    assert result.records[0]["metrics"].keys() >= {"balanced_error", "macro_f1", "test_macro_f1"}
    metrics = provenance(run)["metrics"]
    assert metrics["error"] == {
        "how": "measured: int8 model, 2-fold cross-validation on 75 samples",
        "samples": 75,
    }
    assert metrics["balanced_error"]["how"].startswith(
        "measured: int8 model, every class counted alike, 2-fold"
    )
