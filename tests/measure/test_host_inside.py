from __future__ import annotations

import numpy as np
import pytest

from hannah_hw.host.kernels import HostKernel, HostTensor
from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import HostRow
from hannah_hw.measure.host_inside import Inside

TRUE = Inside(float_node_s=3e-6, int8_node_s=5e-6, weight_byte_s=1e-9, int8_share=0.03)


def gemm(inputs, outputs):
    weight = HostTensor("float32", (outputs, inputs), constant=True)
    return HostKernel(
        "Gemm", (HostTensor("float32", (1, inputs)), weight), (HostTensor("float32", (1, outputs)),)
    )


def transpose(rows, columns):
    shapes = (1, 1, rows, columns), (1, rows, columns, 1)
    source, result = (HostTensor("int8", shape) for shape in shapes)
    return HostKernel("Transpose", (source,), (result,), (("perm", (0, 2, 3, 1)),))


def kernels():
    return [gemm(2**a, 2**b) for a in range(4, 9) for b in range(4, 9)] + [
        transpose(2**a, 2**b) for a in range(4, 9) for b in range(4, 9)
    ]


@pytest.fixture(scope="module")
def model():
    rows = [HostRow(kernel, 1e-6 + 1e-9 * max(t.elements for t in kernel.inputs)) for kernel in kernels()]
    return HostModel.fit(rows, run_seconds=1e-6)


def networks(count, seed=0):
    rng = np.random.default_rng(seed)
    known = kernels()
    return [[known[i] for i in rng.integers(len(known), size=rng.integers(3, 30))] for _ in range(count)]


def whole(model, network):
    """Seconds of a network in which kernels take what they take alone and what is truly added."""
    alone = model.predict(network).seconds.tolist()
    rows = [HostRow(kernel, seconds) for kernel, seconds in zip(network, alone, strict=True)]
    return model.run_seconds + sum(TRUE.row(row).seconds for row in rows)


def test_what_is_added_is_found_in_whole_networks(model):
    drawn = networks(24)
    measured = np.array([whole(model, network) for network in drawn])
    found, predicted = Inside.fit(model, drawn, measured)
    assert found.float_node_s == pytest.approx(TRUE.float_node_s, rel=1e-6)
    assert found.int8_node_s == pytest.approx(TRUE.int8_node_s, rel=1e-6)
    assert found.weight_byte_s == pytest.approx(TRUE.weight_byte_s, rel=1e-6)
    assert found.int8_share == pytest.approx(TRUE.int8_share, rel=1e-6)
    np.testing.assert_allclose(predicted, measured, rtol=1e-6)


def test_a_network_is_predicted_from_the_others_only(model):
    drawn = networks(24)
    measured = np.array([whole(model, network) for network in drawn])
    before = Inside.fit(model, drawn, measured)[1]
    measured[3] *= 5
    after = Inside.fit(model, drawn, measured)[1]
    assert after[3] == pytest.approx(before[3])
    assert not np.allclose(np.delete(after, 3), np.delete(before, 3))


def test_networks_faster_than_their_kernels_add_nothing(model):
    drawn = networks(12)
    sums = model.networks(drawn)[0]
    found, predicted = Inside.fit(model, drawn, 0.9 * sums)
    assert found == Inside()
    np.testing.assert_array_equal(predicted, sums)


def test_too_few_networks_and_those_without_a_prediction_add_nothing(model):
    drawn = networks(4)
    found, predicted = Inside.fit(model, drawn, 2 * model.networks(drawn)[0])
    assert found == Inside()
    unknown = HostKernel("Erf", (HostTensor("float32", (3,)),), (HostTensor("float32", (3,)),))
    drawn = [*networks(9), [unknown]]
    measured = np.array([*(whole(model, network) for network in drawn[:-1]), 1.0])
    found, predicted = Inside.fit(model, drawn, measured)
    assert found.float_node_s == pytest.approx(TRUE.float_node_s, rel=1e-6)
    assert np.isnan(predicted[-1])
    assert Inside.fit(model, [], np.zeros(0))[0] == Inside()


def test_int8_kernels_and_others_get_their_own(model):
    row = HostRow(gemm(8, 4), 1e-5)
    assert TRUE.row(row).seconds == pytest.approx(1e-5 + 3e-6 + 1e-9 * 8 * 4 * 4)
    row = HostRow(transpose(8, 4), 1e-5)
    assert TRUE.row(row).seconds == pytest.approx(1e-5 * 1.03 + 5e-6)
