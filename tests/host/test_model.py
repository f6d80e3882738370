"""Models of hosts against laws that are known, what was left out, and their own file."""

import numpy as np
import pytest

from hannah_hw.errors import DataError, TargetError
from hannah_hw.host.kernels import HostKernel, HostTensor
from hannah_hw.host.model import HostModel, law_name
from hannah_hw.host.regression import NEGLIGIBLE_SECONDS, RANGE, Law
from hannah_hw.host.residual import Residual
from hannah_hw.host.rows import HostRow

RUN = 3e-6


def add(elements, dtype="float32"):
    """An addition of two tensors."""
    tensor = HostTensor(dtype, (1, elements))
    return HostKernel("Add", (tensor, tensor), (tensor,))


def relu(elements):
    """An operator that has no class of its own."""
    tensor = HostTensor("float32", (1, elements))
    return HostKernel("Softplus", (tensor,), (tensor,))


def seconds_of(elements):
    """Times that follow a law: a microsecond, and a nanosecond for each element."""
    return 1e-6 + 1e-9 * elements


def rows(sizes=(100, 300, 1000, 2000, 5000, 10_000, 30_000), made_on="here", noise=None):
    """Measured additions."""
    factors = np.ones(len(sizes)) if noise is None else noise
    return [
        HostRow(add(size), seconds_of(size) * factor, 0.0, made_on)
        for size, factor in zip(sizes, factors, strict=True)
    ]


def test_a_law_of_work_is_found_again_between_and_beyond_measured_kernels():
    model = HostModel.fit(rows(), run_seconds=RUN)
    sizes = [50, 700, 7000, 60_000]
    found = model.predict([add(size) for size in sizes])
    assert not found.missing
    assert found.seconds == pytest.approx([seconds_of(size) for size in sizes], rel=0.01)
    assert (found.deviation < 0.02).all()


def test_a_network_takes_a_run_of_nothing_and_its_kernels():
    model = HostModel.fit(rows(), run_seconds=RUN)
    kernels = [add(1000), add(2000), add(1000)]
    total, half = model.networks([kernels, kernels[:1], []])
    single = model.predict(kernels).seconds
    assert total == pytest.approx([RUN + single.sum(), RUN + single[0], RUN])
    assert (half > 0).all()


def test_classes_that_were_not_profiled_are_refused_with_what_to_do():
    model = HostModel.fit(rows(), run_seconds=RUN)
    found = model.predict([add(1000), relu(1000)])
    assert list(found.missing) == [1]
    assert "Softplus" in found.missing[1]
    assert "calibrate host" in found.missing[1]
    assert np.isnan(found.seconds[1])
    assert np.isfinite(found.seconds[0])
    total, half = model.networks([[add(1000)], [add(1000), relu(1000)]])
    assert np.isfinite(total[0])
    assert np.isnan(total[1])
    assert np.isnan(half[1])


def test_work_far_beyond_what_was_profiled_is_refused_and_less_far_is_less_sure():
    model = HostModel.fit(rows(noise=np.array([1.05, 0.95] * 3 + [1.0])), run_seconds=RUN)
    inside, near, far = add(20_000), add(100_000), add(int(40_000 * RANGE))
    found = model.predict([inside, near, far])
    assert list(found.missing) == [2]
    assert found.deviation[1] > found.deviation[0]


def test_work_too_short_to_matter_is_priced_with_a_wide_deviation():
    sizes = (20_000, 30_000, 50_000, 70_000, 100_000)
    measured = [HostRow(add(size), 1e-9 * size) for size in sizes]
    model = HostModel.fit(measured, run_seconds=RUN)
    short, longer = add(170), add(1500)  # 0.17 us, which no network feels, and 1.5 us
    found = model.predict([short, longer])
    assert list(found.missing) == [1]
    assert 0 <= found.seconds[0] < NEGLIGIBLE_SECONDS
    assert found.deviation[0] >= 1
    total, half = model.networks([[add(60_000), short]])
    assert total[0] == pytest.approx(RUN + 60e-6, rel=0.02)
    assert half[0] > model.networks([[add(60_000)]])[1][0]


def test_types_of_data_run_other_code_and_have_laws_of_their_own():
    assert law_name(add(8)) == "add"
    assert law_name(add(8, "float64")) == "add.float64"
    model = HostModel.fit(rows(), run_seconds=RUN)
    assert "float64" in model.predict([add(1000, "float64")]).missing[0]


def test_its_file_gives_the_model_back(tmp_path):
    rng = np.random.default_rng(0)
    sizes = np.unique(np.geomspace(100, 1e5, 20).astype(int))
    wavy = np.exp(0.1 * np.sin(np.log(sizes)) + 0.01 * rng.standard_normal(len(sizes)))
    measured = rows(sizes.tolist(), noise=wavy)
    networks = [([add(int(size))] * 3, 3 * seconds_of(size) + RUN) for size in sizes]
    model = HostModel.fit(measured, run_seconds=RUN, networks=networks, title="a test", file="rows.csv")
    path = tmp_path / "host.yaml"
    model.save(path)
    again = HostModel.load(path)
    kernels = [add(150), add(3333), add(77_777)]
    assert again.predict(kernels).seconds == pytest.approx(model.predict(kernels).seconds, rel=1e-4)
    assert again.predict(kernels).deviation == pytest.approx(model.predict(kernels).deviation, rel=1e-3)
    assert again.interval == model.interval
    assert (again.title, again.made_on, again.rows) == ("a test", "here", "rows.csv")
    assert again.to_yaml() == HostModel.parse(again.to_yaml()).to_yaml()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format: hannah-host-model/1", "format: hannah-host-model/9", "format"),
        ("run_s: ", "run_s: -", "run_s"),
        ("  add:\n", "  add:\n    surprise: 1\n", "surprise"),
        ("share: 0", "share: 2", "share"),
        ("call: ", "calls: ", "other terms"),
        ("seconds: [", "seconds: [1, ", "seconds of 8"),
        ("rows: ''", "rows: ../other.csv", "rows"),
        ("rows: ''", "rows: /tmp/other.csv", "rows"),
        ("rows: ''", "rows: C:\\other.csv", "rows"),
    ],
)
def test_what_a_file_has_wrong_is_said(old, new, said):
    text = HostModel.fit(rows(), run_seconds=RUN).to_yaml()
    assert old in text
    with pytest.raises(TargetError, match=said):
        HostModel.parse(text.replace(old, new), "host.yaml").predict([add(1000)])


def test_kernels_of_several_machines_or_of_none_make_no_model():
    with pytest.raises(DataError, match="several machines"):
        HostModel.fit([*rows(), *rows((123,), made_on="elsewhere")], run_seconds=RUN)
    with pytest.raises(DataError, match="none"):
        HostModel.fit([], run_seconds=RUN)


def test_intervals_of_networks_hold_about_as_many_as_they_state():
    rng = np.random.default_rng(1)

    def noisy(sizes):
        return seconds_of(sizes) * np.exp(0.05 * rng.standard_normal(sizes.shape))

    sizes = rng.integers(200, 30_000, 40)
    measured = [HostRow(add(int(n)), float(t), 0.0, "here") for n, t in zip(sizes, noisy(sizes), strict=True)]
    drawn = rng.integers(200, 30_000, (300, 8))
    whole = [([add(int(n)) for n in row], float(RUN + noisy(row).sum())) for row in drawn]
    model = HostModel.fit(measured, run_seconds=RUN, networks=whole[:50])
    total, half = model.networks([kernels for kernels, _ in whole[50:]])
    true = np.array([value for _, value in whole[50:]])
    held = np.abs(total / true - 1) <= half
    assert 0.8 <= held.mean() <= 1.0
    assert model.interval.networks == 50


def test_the_width_of_intervals_is_the_conformal_rank_of_errors_in_half_widths():
    networks = [[add(n)] * 2 for n in range(1000, 20_000, 1000)]
    total, half = HostModel.fit(rows(), run_seconds=RUN).networks(networks)
    # Errors of 0.3, 0.6, ... 5.7 half widths: of 19, the one of rank ceil(20 * 0.9) = 18.
    measured = total * (1 + 0.3 * np.arange(1, 20) * half)
    model = HostModel.fit(
        rows(), run_seconds=RUN, networks=list(zip(networks, measured.tolist(), strict=True))
    )
    assert model.interval.factor == pytest.approx(18 * 0.3)
    assert (np.abs(measured / total - 1) <= model.networks(networks)[1] * 1.000001).sum() == 18


def test_networks_that_had_a_part_in_the_fit_are_judged_by_fits_without_them():
    networks = [[add(n)] * 2 for n in range(1000, 20_000, 1000)]
    total, half = HostModel.fit(rows(), run_seconds=RUN).networks(networks)
    whole = list(zip(networks, total.tolist(), strict=True))
    held_out = total / (1 + 2 * half)
    held_out[0] = np.nan
    model = HostModel.fit(rows(), run_seconds=RUN, networks=whole, held_out=held_out)
    assert model.interval.factor == pytest.approx(2.0)
    assert model.interval.networks == 18
    assert model.interval.median_error == pytest.approx(np.median(1 - 1 / (1 + 2 * half[1:])))


def test_errors_of_left_out_kernels_are_those_of_fits_without_them():
    noise = np.exp(0.1 * np.random.default_rng(2).standard_normal(7))
    measured = rows(noise=noise)
    law = HostModel.fit(measured, run_seconds=RUN).laws["add"]
    kernels = [row.kernel for row in measured]
    seconds = np.array([row.seconds for row in measured])
    others = Law.fit(kernels[:3] + kernels[4:], np.delete(seconds, 3), 1)
    floor = 2.5e-7
    expected = np.log((others.predict(kernels[3:4])[0][0] + floor) / (seconds[3] + floor))
    assert law.left_out[0][3] == pytest.approx(expected, abs=1e-9)


def test_a_process_that_fits_is_that_of_scikit_learn():
    gaussian = pytest.importorskip("sklearn.gaussian_process")
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    rng = np.random.default_rng(3)
    points = rng.standard_normal((30, 2))
    values = np.sin(2 * points[:, 0]) + 0.05 * rng.standard_normal(30)
    found = Residual.fit(points, values)
    assert found.share > 0
    kernel = RBF(found.length, "fixed") * found.share + WhiteKernel(1 - found.share, "fixed")
    peer = gaussian.GaussianProcessRegressor(kernel, optimizer=None).fit(found.scaled(points), values)
    others = rng.standard_normal((10, 2))
    mean, deviation = found.predict(others)
    expected, spread = peer.predict(found.scaled(others), return_std=True)
    assert mean == pytest.approx(expected, abs=1e-6)
    assert deviation == pytest.approx(found.deviation * np.sqrt(spread**2), rel=1e-4)


def test_noise_is_not_taken_for_a_law():
    rng = np.random.default_rng(4)
    points = rng.standard_normal((40, 3))
    found = Residual.fit(points, rng.standard_normal(40))
    mean, deviation = found.predict(points)
    assert np.abs(mean).mean() < 0.6
    assert deviation.mean() > 0.7
