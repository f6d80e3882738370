from __future__ import annotations

import zipfile

import numpy as np
import pytest

from hannah_hw.errors import DataError, EvaluationError
from hannah_hw.scoring import weights as module
from hannah_hw.scoring.npz import read_npz, write_npz
from hannah_hw.scoring.weights import load_weights, restore, save_weights, weights_file

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def network(width=4):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width, 2))


def test_weights_come_back_bit_for_bit_into_another_module(tmp_path):
    first, second = network(), network()
    first(torch.randn(5, 1, 3, 3))  # running statistics other than the first ones
    path = weights_file(tmp_path / "weights", "abc", 2)
    assert path.name == "abc.2.npz"
    save_weights(path, first)
    state = load_weights(path)
    assert state.keys() == first.state_dict().keys()
    assert restore(second, state)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    # NumPy, which wrote none of it, reads the same.
    with np.load(path, allow_pickle=False) as archive:
        assert np.array_equal(archive["3.weight"], first[3].weight.detach().numpy())
    content = path.read_bytes()
    save_weights(path, second)
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path):
    wide, narrow = network(8), network(4)
    before = {name: value.clone() for name, value in narrow.state_dict().items()}
    save_weights(tmp_path / "w.npz", wide)
    assert not restore(narrow, load_weights(tmp_path / "w.npz"))
    assert all(torch.equal(before[name], value) for name, value in narrow.state_dict().items())


def test_what_is_missing_cut_or_not_finite_is_trained_again(tmp_path):
    assert load_weights(tmp_path / "none.npz") is None
    save_weights(tmp_path / "w.npz", network())
    content = (tmp_path / "w.npz").read_bytes()
    for end in (0, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.npz").write_bytes(content[:end])
        assert load_weights(tmp_path / "cut.npz") is None
    write_npz(tmp_path / "nan.npz", {"w": np.array([1.0, np.nan])})
    assert load_weights(tmp_path / "nan.npz") is None


def test_python_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "object.npz", w=np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="pickled"):
        read_npz(tmp_path / "object.npz", 1 << 20)
    assert load_weights(tmp_path / "object.npz") is None
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "new.npz", {"w": np.array([{}], object)})
    assert not (tmp_path / "new.npz").exists()


def test_what_is_larger_than_the_limit_is_neither_written_nor_read(tmp_path, monkeypatch):
    save_weights(tmp_path / "w.npz", network())
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(1 << 20))
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    assert load_weights(tmp_path / "w.npz") is None
    with pytest.raises(DataError, match="1048576 bytes are more than the limit"):
        read_npz(tmp_path / "bomb.npz", 1000)
    with pytest.raises(EvaluationError, match="at most 100") as caught:
        save_weights(tmp_path / "large.npz", network())
    assert caught.value.kind == "weights"
    assert not (tmp_path / "large.npz").exists()
