from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from hannah_hw import load_space, load_target, to_onnx
from hannah_hw.cli import main
from hannah_hw.errors import InputError, RunError
from hannah_hw.host.facts import made_on, this_runtime
from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import read_rows
from hannah_hw.measure.host_calibration import calibrate_host
from hannah_hw.measure.host_files import HostFiles
from hannah_hw.measure.host_inside import Inside
from hannah_hw.measure.host_pool import Pool, draw

QUICK = {"rounds": 4, "retest": float("inf")}


@pytest.fixture(scope="module")
def pool():
    return draw([("ds_cnn", load_space("ds_cnn"))], precisions=("float32", "int8"), drawn=2, checked=1)


@pytest.fixture(scope="module")
def calibrated(pool):
    saved = []
    found = calibrate_host(pool, kernels=24, save=lambda rows: saved.append(list(rows)), **QUICK)
    return found, saved


def test_as_many_kernels_as_asked_for_are_measured_each_once(pool, calibrated):
    found, saved = calibrated
    assert len(found.rows) == 24
    assert len({row.kernel.key for row in found.rows}) == 24
    assert {row.kernel.key for row in found.rows} <= {kernel.key for kernel in pool.table.kernels}
    assert {row.made_on for row in found.rows} == {made_on(1)}
    assert [len(rows) for rows in saved] == [12, 18, 24]
    assert found.pool == len(pool.table.kernels)
    assert not found.failures


def test_networks_of_which_nothing_was_profiled_are_measured_and_predicted(pool, calibrated):
    found, _ = calibrated
    assert [check.name for check in found.checks] == ["ds_cnn/2/float32", "ds_cnn/2/int8"]
    for check, network in zip(found.checks, pool.checks, strict=True):
        assert check.measured_s > 0
        assert check.summed_s is not None
        assert check.summed_s > found.model.run_seconds
        # Two networks are too few to say what is added inside of networks.
        seconds, half = found.model.networks([network.kernels])
        np.testing.assert_allclose([check.predicted_s, check.half_width], [seconds[0], half[0]])
    assert found.inside == Inside()


def test_the_stored_error_is_that_of_networks_that_nothing_was_fitted_to():
    float_only = draw([("ds_cnn", load_space("ds_cnn"))], drawn=2, checked=6)
    found = calibrate_host(float_only, kernels=24, **QUICK)
    errors = [abs(check.predicted_s / check.measured_s - 1) for check in found.checks]
    known = [error for error in errors if np.isfinite(error)]
    assert found.model.interval.networks == len(known)
    assert found.model.interval.median_error == pytest.approx(np.median(known))


def test_rows_of_before_are_not_measured_again(pool, calibrated):
    found, _ = calibrated
    before = list(found.rows)
    unchecked = Pool(pool.networks, ())
    # A machine that is slower now is waited for, but not for long.
    again = calibrate_host(unchecked, kernels=24, previous=before, seconds=30.0, **QUICK)
    assert list(again.rows) == before
    assert again.reused == 24
    more = calibrate_host(unchecked, kernels=26, previous=before, seconds=30.0, **QUICK)
    assert list(more.rows[:24]) == before
    assert len(more.rows) == 26


def test_rows_of_a_disturbed_measurement_are_measured_again_and_it_is_said(pool, calibrated):
    unchecked = Pool(pool.networks, ())
    quiet = [replace(row, calm=1.0, probe_s=1.0) for row in calibrated[0].rows]
    busy = [replace(row, calm=0.01) for row in quiet[:3]]
    slower = [replace(row, probe_s=1.3) for row in quiet[3:5]]
    said = []
    found = calibrate_host(
        unchecked, kernels=24, previous=[*busy, *slower, *quiet[5:]], progress=said.append, **QUICK
    )
    assert found.reused == 19
    assert list(found.rows[:19]) == quiet[5:]
    assert "5 of 24 kernels of before were measured while other work ran; they are measured again" in said
    # The probe takes microseconds, not the second that the others say.
    assert "19 kernels of before were measured while the machine was" in found.disturbed


def test_rows_that_do_not_say_how_fast_the_machine_was_are_measured_again(pool, calibrated):
    unchecked = Pool(pool.networks, ())
    untold = [replace(row, calm=1.0, probe_s=0.0) for row in calibrated[0].rows]
    found = calibrate_host(unchecked, kernels=4, previous=untold, **QUICK)
    assert found.reused == 0
    assert len(found.rows) == 4
    assert all(row.probe_s > 0 for row in found.rows)


def test_a_machine_that_stays_slower_than_it_was_gives_wide_intervals_and_says_why(
    pool, calibrated, tmp_path
):
    before = [replace(row, calm=1.0, probe_s=1e-9, run_s=2e-6) for row in calibrated[0].rows]
    found = calibrate_host(pool, kernels=24, seconds=0.0, previous=before, **QUICK)
    assert found.calm == 0
    assert (
        found.disturbed
        == "other work disturbed 100% of the measurement; calibrate again when the machine is quiet"
    )
    assert found.model.run_seconds == pytest.approx(2e-6)
    usual = HostModel.fit(found.rows, run_seconds=found.model.run_seconds)
    known = [row.kernel for row in found.rows]
    assert found.model.networks([known])[1] > usual.networks([known])[1]
    assert found.model.interval.additivity > 10 * usual.interval.additivity
    files = HostFiles.of(tmp_path / "busy.yaml")
    files.save(found, threads=1, precision="int8", source="ds_cnn")
    assert found.disturbed in load_target(files.target).document
    assert found.disturbed in HostModel.load(files.model).title


def test_without_time_only_what_was_begun_is_measured(pool):
    found = calibrate_host(pool, kernels=24, seconds=0.0, **QUICK)
    assert len(found.rows) == 12  # the first stage
    assert len(found.checks) == 2


def test_nothing_measured_is_an_error(pool):
    with pytest.raises(RunError, match=r"no kernel could be measured: .*: two halves"):
        calibrate_host(Pool(pool.networks[:1], ()), kernels=3, seconds=0.0, rounds=4, retest=-1.0)


def test_nothing_is_fitted_without_the_time_of_an_empty_run(pool, calibrated):
    before = [replace(row, calm=1.0, retest=0.0, run_s=0.0) for row in calibrated[0].rows[:2]]
    with pytest.raises(RunError, match="a run of nothing could not be measured: two halves"):
        calibrate_host(
            Pool(pool.networks, ()), kernels=2, seconds=0.0, previous=before, rounds=4, retest=-1.0
        )


def test_the_files_are_a_target_what_was_learned_and_its_measurements(tmp_path, pool, calibrated):
    found, _ = calibrated
    files = HostFiles.of(tmp_path / "My Desk.yaml")
    assert files.previous() == []
    files.save(found, threads=1, precision="int8", source="ds_cnn")
    target = load_target(files.target)
    assert (target.name, target.family, target.model.precision) == ("my_desk", "host", "int8")
    assert target.runtime == this_runtime(1)
    assert "24 kernels of ds_cnn" in target.document
    model = HostModel.load(tmp_path / target.model.coefficients)
    kernels = [network.kernels for network in pool.checks]
    np.testing.assert_allclose(model.networks(kernels)[0], found.model.networks(kernels)[0], rtol=1e-4)
    rows = files.previous()
    assert rows == read_rows(files.rows)
    assert [row.kernel for row in rows] == [row.kernel for row in found.rows]
    np.testing.assert_allclose([r.seconds for r in rows], [r.seconds for r in found.rows], rtol=1e-4)


@pytest.mark.parametrize("name", ["desk.yml", "desk", "missing/desk.yaml"])
def test_other_places_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="--out"):
        HostFiles.of(tmp_path / name)


def test_the_verb_writes_a_target_and_goes_on_with_what_was_measured(tmp_path, capsys):
    space = load_space("ds_cnn")
    to_onnx(space.candidate(space.default()), tmp_path / "mine.onnx")
    arguments = ["calibrate", "host", "--models", str(tmp_path / "mine.onnx"), "--kernels", "4", "--json"]
    arguments += ["--seconds", "20"]
    assert main([*arguments, "--out", str(tmp_path / "desk.yaml")]) == 0
    first = json.loads(capsys.readouterr().out)
    assert 1 <= first["kernels"] <= 4
    # Four kernels are of more classes: nobody knows how wrong a law of one is, and the network has others.
    assert any(law["kernels"] == 1 for law in first["laws"].values())
    assert all((law["mean_error"] is None) == (law["kernels"] == 1) for law in first["laws"].values())
    assert {check["predicted_s"] for check in first["networks"]} <= {None}
    assert load_target(tmp_path / "desk.yaml").family == "host"
    assert main([*arguments, "--out", str(tmp_path / "desk.yaml")]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["reused"] == first["kernels"]
    assert main([*arguments[:-3], *arguments[-2:]]) == 0
    assert "nan" not in capsys.readouterr().out


def test_the_verb_says_that_time_was_over(tmp_path, capsys):
    space = load_space("resnet")
    to_onnx(space.candidate(space.sample(seed=1)), tmp_path / "mine.onnx")
    arguments = ["calibrate", "host", "--models", str(tmp_path / "mine.onnx"), "--seconds", "0", "--json"]
    if main([*arguments, "--kernels", "20"]) == 0:
        said = capsys.readouterr()
        found = json.loads(said.out)
        missing = 20 - found["kernels"] - len(found["failures"])
        assert 0 < missing <= 10
        assert f"before {missing} of 20 kernels were chosen; give more --seconds" in said.err
    else:  # nothing that was begun came to an end
        assert "no kernel could be measured" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_takes_no_files_is_refused_before_measuring(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="takes no files"):
        HostFiles.of(tmp_path / "desk.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--space, --search or --models"),
        (["--search", "missing.yaml"], "missing.yaml"),
        (["--space", "ds_cnnn"], "ds_cnn"),
        (["--models", "missing.onnx"], "missing.onnx"),
        (["--space", "ds_cnn", "--precision", "int4"], "allowed: float32, int8, both"),
        (["--space", "ds_cnn", "--out", "desk.csv"], "a target is a .yaml file"),
        (
            ["--space", "ds_cnn", "--kernels", "1001"],
            "'--kernels': Input should be less than or equal to 1000",
        ),
    ],
)
def test_bad_options_are_named(arguments, message, capsys):
    assert main(["calibrate", "host", *arguments]) == 2
    assert message in capsys.readouterr().err
