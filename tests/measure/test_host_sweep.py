from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import GRAPH, HostKernel, HostTensor
from hannah_hw.host.rows import HostRow
from hannah_hw.measure.host_clock import LEAST_KNOWN
from hannah_hw.measure.host_sweep import known_subjects, measure_kernels
from hannah_hw.measure.host_turns import EMPTY, Subject, empty_model, time_subjects

ANYTHING = float("inf")


def floats(*shape):
    return HostTensor("float32", shape)


def network(widths=(8, 16), size=12):
    rng = np.random.default_rng(0)
    nodes, weights, channels, last = [], [], 3, "x"
    for i, width in enumerate(widths):
        weights.append(
            numpy_helper.from_array(rng.standard_normal((width, channels, 3, 3)).astype(np.float32), f"w{i}")
        )
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"y{i}"], pads=[1] * 4))
        channels, last = width, f"y{i}"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, channels, size, size])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_kernels_of_before_are_a_scale_and_are_not_measured_again():
    kernels = list(dict.fromkeys(optimised_kernels(network((8, 16, 24, 8, 16, 24, 32)))))
    # The clock's own time, a thousand times: what is measured beside them becomes a thousand times as long.
    rows = measure_kernels(kernels, rounds=4, retest=ANYTHING, made_on="here").rows
    before = [HostRow(row.kernel, 1000 * row.seconds, 0.0, "here") for row in rows]
    scale, known = known_subjects(before, 0.0, seed=0, most=4)
    assert [subject.name for subject in scale] == list(known)
    assert len(known) == LEAST_KNOWN
    found = time_subjects(
        [Subject("net", network().SerializeToString()), *scale], known=known, rounds=4, retest=ANYTHING
    )
    assert found.seconds.keys() == {"net"}
    assert found.slow < 0.1
    assert known_subjects(before[: LEAST_KNOWN - 1], 0.0, seed=0) == ([], {})


def test_kernels_and_networks_get_a_time_above_that_of_an_empty_run():
    model = network()
    kernels = optimised_kernels(model)
    found = measure_kernels(
        kernels, networks={"net": model.SerializeToString()}, rounds=4, retest=ANYTHING, made_on="here"
    )
    assert not found.failures
    assert [row.kernel for row in found.rows] == list(dict.fromkeys(kernels))
    assert all(row.seconds > 0 and row.made_on == "here" for row in found.rows)
    assert found.run_seconds > 0
    assert found.networks["net"] > 0
    assert 0 <= found.calm <= 1


def test_what_two_halves_do_not_agree_on_has_no_time_but_a_reason():
    found = time_subjects([Subject(EMPTY, empty_model())], rounds=4, seconds=0.0, retest=-1.0)
    assert found.seconds == {}
    assert "two halves of its measurement differ" in found.failures[EMPTY]


def test_without_the_time_of_an_empty_run_no_kernel_has_one():
    kernel = HostKernel("Exp", (floats(2, 3),), (floats(2, 3),), version=13)
    found = measure_kernels([kernel], rounds=4, seconds=0.0, retest=-1.0)
    assert found.rows == ()
    assert found.run_seconds is None
    assert "two halves of its measurement differ" in found.failures[kernel.key]
    assert "two halves of its measurement differ" in found.failures[EMPTY]
    # That of before stands in for it.
    assert measure_kernels([kernel], run_seconds=2e-6, rounds=4, seconds=0.0, retest=-1.0).run_seconds == 2e-6


def test_what_cannot_run_is_a_failure_by_its_name_and_the_rest_is_measured():
    nested = HostKernel(
        "Loop", (HostTensor("float32", (1,)),), (HostTensor("float32", (1,)),), (("body", (GRAPH, "0")),)
    )
    wrong = HostKernel(
        "Gemm",
        (HostTensor("float32", (2, 3)), HostTensor("float32", (4, 5))),
        (HostTensor("float32", (2, 5)),),
    )
    good = HostKernel("Exp", (HostTensor("float32", (2, 3)),), (HostTensor("float32", (2, 3)),), version=13)
    found = measure_kernels([nested, wrong, good], networks={"bad": b"no model"}, rounds=4, retest=ANYTHING)
    assert [row.kernel for row in found.rows] == [good]
    assert "holds a graph" in found.failures[nested.key]
    assert "kernel" in found.failures[wrong.key]
    assert "not" in found.failures["bad"]


def test_times_of_before_are_the_scale_of_later_ones():
    """Rows of before that say everything took a thousand times as long make new times as long."""
    kernels = list(dict.fromkeys(optimised_kernels(network((8, 16, 24, 32, 40, 48, 56, 64, 72)))))
    first = measure_kernels(kernels[:-2], rounds=4, retest=ANYTHING)
    before = [HostRow(row.kernel, row.seconds * 1000, 0.0) for row in first.rows]
    scaled = measure_kernels(
        kernels[-2:], previous=before, run_seconds=first.run_seconds * 1000, rounds=4, retest=ANYTHING
    )
    plain = measure_kernels(kernels[-2:], rounds=4, retest=ANYTHING)
    for row, other in zip(scaled.rows, plain.rows, strict=True):
        assert row.kernel == other.kernel
        assert 50 < row.seconds / other.seconds < 20_000


def test_a_kernel_with_too_many_attributes_for_a_row_is_left_out():
    long = HostKernel(
        "Exp", (HostTensor("float32", (1,)),), (HostTensor("float32", (1,)),), (("a", tuple(range(50_000))),)
    )
    found = measure_kernels([long], rounds=4, retest=ANYTHING)
    assert "more attributes" in found.failures[long.key]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_empty_run_is_measured_with_any_threads(threads):
    found = time_subjects([Subject(EMPTY, empty_model())], rounds=4, retest=ANYTHING, threads=threads)
    assert found.seconds[EMPTY] > 0
