from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import DataError
from hannah_hw.scoring.dataset import build_dataset
from hannah_hw.scoring.parts import stratified_split


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
    shares=st.sampled_from([(0.15, 0.15), (0.2,), (0.3, 0.1)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_is_a_partition_with_the_same_mixture(counts, shares, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = stratified_split(labels, shares, np.random.default_rng(seed))
    assert len(parts) == len(shares) + 1
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for share, part in zip(shares, parts[1:], strict=True):
        for label, count in enumerate(counts):
            chosen = int((labels[part] == label).sum())
            assert abs(chosen - share * count) <= 1
            assert chosen >= 1
    again = stratified_split(labels, shares, np.random.default_rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def arrays(n=60, shape=(2, 8, 8), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.normal(5.0, 3.0, (n, *shape)).astype(np.float32),
        "y_train": np.arange(n) % classes,
        "x_test": rng.normal(50.0, 3.0, (n // 2, *shape)).astype(np.float32),
        "y_test": np.arange(n // 2) % classes,
    }


def test_constants_come_from_the_training_part_alone():
    given_ = arrays()
    data = build_dataset("d", given_, seed=1)
    assert data.x_train.mean(axis=(0, 2, 3)) == pytest.approx([0, 0], abs=1e-4)
    assert data.x_train.std(axis=(0, 2, 3)) == pytest.approx([1, 1], abs=1e-4)
    # The test part lies 45 above, 15 standard deviations of the training part: it did not enter.
    assert data.x_test.mean() == pytest.approx(15, abs=1)
    mean = np.array(data.mean).reshape(1, 2, 1, 1)
    std = np.array(data.std).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(data.x_test * std + mean, given_["x_test"], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(data.y_test, given_["y_test"])


def test_validation_is_cut_from_the_training_part():
    given_ = arrays()
    data = build_dataset("d", given_, seed=1)
    assert len(data.y_train) + len(data.y_val) == 60
    assert np.bincount(data.y_val).tolist() == [3, 3, 3]
    both = np.concatenate([data.x_train, data.x_val]) * np.array(data.std).reshape(1, 2, 1, 1)
    both = both + np.array(data.mean).reshape(1, 2, 1, 1)
    order = np.argsort(both[:, 0, 0, 0])
    expected = given_["x_train"][np.argsort(given_["x_train"][:, 0, 0, 0])]
    np.testing.assert_allclose(both[order], expected, rtol=1e-4, atol=1e-4)


def test_the_seed_decides_the_split():
    a, b, c = (build_dataset("d", arrays(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.x_val, b.x_val)
    assert not np.array_equal(a.x_val, c.x_val)
    assert a.summary() == b.summary()
    assert a.sha256 == c.sha256


def test_own_validation_part_is_kept():
    given_ = arrays()
    given_ |= {"x_val": given_["x_test"] + 1, "y_val": given_["y_test"]}
    data = build_dataset("d", given_, seed=0)
    assert len(data.y_train) == 60
    np.testing.assert_array_equal(data.y_val, given_["y_val"])


@pytest.mark.parametrize(
    ("shape", "expected"), [((8, 8), (1, 8, 8)), ((3, 50), (3, 50)), ((2, 4, 6), (2, 4, 6))]
)
def test_accepted_shapes(shape, expected):
    assert build_dataset("d", arrays(shape=shape), seed=0).input_shape == expected


def test_bytes_are_scaled_and_a_constant_channel_survives():
    given_ = arrays()
    for part in ("x_train", "x_test"):
        given_[part] = np.full(given_[part].shape, 255, np.uint8)
    data = build_dataset("d", given_, seed=0)
    assert data.scale == 1 / 255
    assert data.mean == (1.0, 1.0)
    assert data.std == (1.0, 1.0)
    assert not data.x_train.any()


def broken(**changes):
    result = arrays()
    for key, value in changes.items():
        if value is None:
            del result[key]
        else:
            result[key] = value
    return result


NAN = arrays()["x_train"].copy()
NAN[7, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (broken(x_train=None), "'x_train' is missing"),
        (broken(y_test=None), "'y_test' is missing"),
        (broken(x_train=NAN), "sample 7 holds NaN"),
        (broken(x_train=np.full((60, 2, 8, 8), 1e300)), "beyond float32"),
        (broken(x_test=np.zeros((30, 2, 8, 8), np.uint8)), "x_train float32, x_test uint8"),
        (broken(x_train=np.zeros((60, 5), np.float32)), r"\(60, 5\) cannot be used"),
        (broken(x_train=np.zeros((0, 1, 8, 8), np.float32)), "cannot be used"),
        (broken(x_train=np.full((60, 2, 8, 8), "a")), "must be numbers"),
        (broken(x_test=np.zeros((30, 2, 8, 9), np.float32)), "all parts need the same"),
        (broken(y_train=np.arange(59) % 3), r"do not match 60 samples"),
        (broken(y_train=np.eye(3)[np.arange(60) % 3]), "argmax"),
        (broken(y_train=(np.arange(60) % 3) + 0.5), "must be integers"),
        (broken(y_train=np.arange(60) % 3 - 1), "label -1 is out of range"),
        (broken(y_test=np.arange(30) % 4), "label 3, which is out of range"),
        (broken(y_train=(np.arange(60) % 3) * 2), "class 1 of 5 has no training sample"),
        (broken(y_train=np.zeros(60, int)), "at least two classes"),
        (broken(y_train=np.r_[np.zeros(59, int), 1], y_test=np.zeros(30, int)), "class 1 has 1 samples"),
    ],
)
def test_bad_arrays_are_refused_with_the_reason(given_, message):
    with pytest.raises(DataError, match=message) as caught:
        build_dataset("d", given_, seed=0, where="my.npz")
    assert str(caught.value).startswith("my.npz")
