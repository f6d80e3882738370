from __future__ import annotations

import pytest

from hannah_hw import load_space, to_onnx
from hannah_hw.errors import InputError, ModelError
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.measure.host_pool import draw


def test_networks_that_judge_are_others_than_those_that_are_profiled():
    space = load_space("ds_cnn")
    pool = draw([("ds_cnn", space)], precisions=("float32", "int8"), drawn=3, checked=2)
    assert [network.name for network in pool.networks] == [
        f"ds_cnn/{number}/{precision}" for precision in ("float32", "int8") for number in range(3)
    ]
    assert [network.name for network in pool.checks] == [
        f"ds_cnn/{number}/{precision}" for precision in ("float32", "int8") for number in (3, 4)
    ]
    for network in (*pool.networks, *pool.checks):
        quantised = any(kernel.kernel_class.startswith("q_") for kernel in network.kernels)
        assert quantised == network.name.endswith("int8")
    keys = {kernel.key for network in pool.networks for kernel in network.kernels}
    assert [kernel.key for kernel in pool.table.kernels] == list(
        dict.fromkeys(kernel.key for network in pool.networks for kernel in network.kernels)
    )
    assert len(pool.table.kernels) == len(keys)


def test_the_same_seed_draws_the_same_networks():
    space = load_space("ds_cnn")
    first, again, other = (draw([("ds_cnn", space)], drawn=2, checked=1, seed=seed) for seed in (1, 1, 2))
    assert [n.kernels for n in first.networks] == [n.kernels for n in again.networks]
    assert [n.kernels for n in first.networks] != [n.kernels for n in other.networks]


def test_a_given_model_is_profiled_and_judges(tmp_path):
    space = load_space("ds_cnn")
    path = tmp_path / "mine.onnx"
    to_onnx(space.candidate(space.default()), path)
    pool = draw([], [path])
    assert [network.name for network in pool.networks] == ["mine.onnx"]
    assert pool.checks == pool.networks
    assert pool.networks[0].kernels == optimised_kernels(path)
    assert pool.networks[0].model == path.read_bytes()


def test_nothing_to_profile_is_an_error():
    with pytest.raises(InputError, match="--space, --search or --models"):
        draw([])
    with pytest.raises(ModelError, match=r"missing\.onnx: there is no such file"):
        draw([], ["missing.onnx"])
