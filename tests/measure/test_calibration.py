"""Fitting: against brute force, against known coefficients, and the shipped model against its own sweep."""

import itertools
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import catalog
from hannah_hw.cost import load_cost_model
from hannah_hw.cost.coefficients import parse_cost_model
from hannah_hw.errors import DataError, RunError
from hannah_hw.least_squares import nnls, ridge_nnls
from hannah_hw.measure.calibration import calibrate, write_cost_model
from hannah_hw.measure.sweep import SweepRow, read_sweep, write_sweep

SWEEP = next(catalog.directories("cost_models")) / "m4" / "cmsis_nn.sweep.csv"


@pytest.fixture(scope="module")
def base():
    return load_cost_model("m4/cmsis_nn")


def brute_force(matrix, target):
    """The best of the least-squares solutions over all supports that are non-negative."""
    best = float(target @ target)
    for size in range(1, matrix.shape[1] + 1):
        for support in itertools.combinations(range(matrix.shape[1]), size):
            x = np.linalg.lstsq(matrix[:, support], target, rcond=None)[0]
            if (x >= 0).all():
                best = min(best, float(((matrix[:, support] @ x - target) ** 2).sum()))
    return best


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_nnls_finds_the_minimum(seed, width, height):
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(height, width)), rng.normal(size=height)
    x = nnls(matrix, target)
    assert (x >= 0).all()
    assert ((matrix @ x - target) ** 2).sum() == pytest.approx(brute_force(matrix, target), abs=1e-9)


def test_the_prior_decides_where_the_data_are_silent():
    matrix, cycles = np.array([[2.0, 0.0], [4.0, 0.0]]), np.array([6.0, 12.0])
    fitted = ridge_nnls(matrix, cycles, np.array([1.0, 7.0]), 1e-8)
    assert fitted == pytest.approx([3.0, 7.0], rel=1e-4)


def test_not_finite_is_refused():
    with pytest.raises(DataError):
        nnls(np.array([[np.nan]]), np.array([1.0]))


def rows_of_fc(macs, outputs, constant):
    shapes = [(16, 10), (64, 10), (64, 64), (256, 64), (640, 128), (32, 7), (128, 1)]
    return [
        SweepRow("linear", 1, 1, i, o, 1, 1, 1, 1, 1, 1, 0, macs * i * o + outputs * o + constant, 0)
        for i, o in shapes
    ]


def test_known_coefficients_are_found_again(base):
    found = calibrate(rows_of_fc(3, 40, 500), base)
    fitted = found.model.classes["fc"].cycles
    assert fitted["macs"] == pytest.approx(3, rel=0.01)
    assert fitted["outputs"] == pytest.approx(40, rel=0.01)
    assert fitted["calls"] == pytest.approx(500, rel=0.02)
    assert found.model.classes["fc"].error.max < 0.01
    assert found.model.classes["conv"] == base.classes["conv"]


def test_the_shipped_model_is_the_fit_to_the_shipped_sweep(base):
    found = calibrate(read_sweep(SWEEP), base, reference=SWEEP.name).model
    assert found.classes.keys() == base.classes.keys()
    for name, fitted in found.classes.items():
        assert fitted.cycles == pytest.approx(base.classes[name].cycles, rel=1e-4, abs=1e-3)
        assert fitted.error.max == pytest.approx(base.classes[name].error.max, abs=2e-4)
        assert fitted.reference == base.classes[name].reference


def test_measured_1d_convolutions_give_their_own_coefficients(base):
    shapes = [
        (8, 8, 3, 100),
        (16, 16, 5, 60),
        (16, 32, 9, 40),
        (40, 16, 3, 98),
        (24, 24, 7, 33),
        (4, 64, 9, 20),
    ]
    rows = [
        SweepRow("conv", 1, out + k - 1, i, o, 1, k, 1, 1, 1, out, 0, 7 * out * o * i * k, 0)
        for i, o, k, out in shapes
    ]
    found = calibrate(rows, base)
    model = found.model.classes["conv_1xn"]
    assert model.cycles["macs"] == pytest.approx(7, rel=0.05)
    assert {fit.kernel_class for fit in found.rows} == {"conv_1xn"}
    assert found.model.classes["conv"] == base.classes["conv"]
    both = calibrate([*rows, *read_sweep(SWEEP)], base).model.classes
    assert both["conv_1xn"] == model
    assert both["conv"] != both["conv_1xn"]


def test_held_out_errors_are_those_of_a_fit_without_the_row(base):
    rows = read_sweep(SWEEP)
    found = calibrate(rows, base)
    target = next(fit for fit in found.rows if fit.row.kernel == "linear" and fit.row.in_channels == 127)
    fewer = [row for row in rows if row != target.row]
    model = calibrate(fewer, base).model.classes["fc"]
    features = [127 * 128, 128, 3 * 128, 1]
    assert target.held_out == pytest.approx(np.dot([*model.cycles.values()], features), rel=1e-4)


def test_few_shapes_are_said_to_be_few(base):
    assert base.classes["add"].error.n == 1
    assert base.classes["add"].error.max is None
    assert "too few" in base.classes["add"].error.method
    assert base.classes["conv"].error.max < 0.08


def test_the_sweep_survives_csv_and_json(tmp_path):
    rows = read_sweep(SWEEP)
    (tmp_path / "a.csv").write_text(write_sweep(rows))
    assert read_sweep(tmp_path / "a.csv") == rows
    (tmp_path / "a.json").write_text(json.dumps([row.__dict__ for row in rows]))
    assert read_sweep(tmp_path / "a.json") == rows


def test_the_harness_format_is_read_and_baselines_are_left_out(tmp_path):
    row = {"h": 8, "w": 8, "cin": 64, "cout": 64, "k": 1, "stride": 2, "px": 16, "cyc": 250463.0, "scr": 0}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"fn": "run_conv", **row}, {"fn": "run_naive", **row}]))
    assert read_sweep(path) == [SweepRow("conv", 8, 8, 64, 64, 1, 1, 2, 2, 4, 4, 0, 250463, 0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one row"),
        ("[1]", "row 1"),
        ("{", "not valid JSON"),
        ("kernel,in_h\nconv,1\n", "'in_w' is missing"),
        ("kernel\nconvv\n", "did you mean 'conv'"),
        ('[{"fn": "run_conv", "h": 1, "w": 1, "cin": 1, "cout": 1, "k": 1, "stride": 1, "px": 7}]', "square"),
    ],
)
def test_bad_sweeps_are_named(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_sweep(path)


def test_a_model_is_written_whole_or_not_at_all(base, tmp_path):
    path = tmp_path / "mine.yaml"
    write_cost_model(base, path)
    assert parse_cost_model(path.read_text(), "mine") == base
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]
    with pytest.raises(RunError, match="cannot write"):
        write_cost_model(base, tmp_path / "missing" / "mine.yaml")


def test_a_full_disk_leaves_the_old_file(base, tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_cost_model(base, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]
