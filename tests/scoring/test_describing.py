from __future__ import annotations

import json

import numpy as np
import pytest

from hannah_hw.cli import main
from hannah_hw.scoring import build_dataset
from hannah_hw.scoring.describing import describe_data
from hannah_hw.scoring.findings import findings
from hannah_hw.scoring.intervals import share_interval


def skewed(rng, counts=(200, 40, 20)):
    """Samples of classes of different sizes, as the arrays of a source."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return {"x_train": rng.normal(size=(len(labels), 1, 5, 5)), "y_train": labels}


def problems(arrays):
    return " | ".join(finding.problem for finding in findings(build_dataset("d", arrays, seed=0)))


@pytest.mark.parametrize(("wrong", "samples"), [(10, 100), (0, 30), (30, 30), (1, 7), (432, 750)])
def test_intervals_are_those_of_scipy(wrong, samples):
    stats = pytest.importorskip("scipy.stats")
    truth = stats.binomtest(wrong, samples).proportion_ci(0.95, method="wilson")
    assert share_interval(wrong / samples, samples) == pytest.approx((truth.low, truth.high), abs=1e-6)


def test_an_even_and_large_set_has_no_findings():
    document = describe_data("mnist5k")
    assert document["problems"] == []
    assert document["kind"] == "images"
    assert document["input_shape"] == [1, 28, 28]
    assert document["samples"] == {"train": 3500, "validation": 750, "test": 750}
    assert document["classes"][3] == {"name": "3", "train": 350, "validation": 75, "test": 75}
    assert document["commonest_error"] == pytest.approx(0.9)
    assert document["imbalance"] == 1.0


def test_what_is_uneven_and_small_is_said():
    said = problems(skewed(np.random.default_rng(0)))
    # 15 % of each class go to either of the other parts: 140, 28 and 14 stay.
    assert "a factor of 10.0: 140 training samples of 0, 14 of 2" in said
    assert "has an error of 23.1 %" in said  # 9 of 39
    assert "2 of 3 classes have fewer than 50 training samples: 1, 2" in said
    assert "39 validation samples are few" in said


def test_duplicates_constant_channels_and_missing_classes_are_said():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2, 7))
    x[:, 1] = 3
    y = np.arange(300) % 3
    given = {
        "x_train": x,
        "y_train": y,
        "x_test": np.concatenate([x[:4], x[5:9] + 1]),
        "y_test": np.arange(8) % 2,
    }
    said = problems(given | {"x_val": x[:90] + 2, "y_val": y[:90]})
    assert "4 of 8 test samples are in the training part" in said
    assert "validation samples are in" not in said
    assert "the test part has no sample of 2" in said
    assert "1 of 2 channels never change in the training part: 1" in said


def test_the_verb_shows_a_set(tmp_path, capsys):
    given = skewed(np.random.default_rng(0))
    np.savez(tmp_path / "mine.npz", **given, x_test=given["x_train"], y_test=given["y_train"])
    assert main(["data", str(tmp_path / "mine.npz")]) == 0
    text = capsys.readouterr().out
    assert "mine: images of 1 x 5 x 5" in text
    assert "! classes differ in size" in text
    assert main(["data", str(tmp_path / "mine.npz"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["samples"]["test"] == 260
    assert len(document["problems"]) == len(document["suggestions"]) >= 3
    assert main(["data", "mnist5"]) == 2
