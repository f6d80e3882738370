from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.host.kernels import HostKernel, HostTensor
from hannah_hw.host.terms import terms
from hannah_hw.measure.host_choice import allocate, choose


def gemm(inputs, outputs):
    tensors = (HostTensor("float32", (1, inputs)), HostTensor("float32", (outputs, inputs), constant=True))
    return HostKernel("Gemm", tensors, (HostTensor("float32", (1, outputs)),), (("transB", 1),))


def exp(size):
    tensor = HostTensor("float32", (1, size))
    return HostKernel("Exp", (tensor,), (tensor,))


def pool(op, channels, dtype="float32"):
    attributes = (("kernel_shape", (2, 2)), ("strides", (2, 2)))
    return HostKernel(
        op, (HostTensor(dtype, (1, channels, 8, 8)),), (HostTensor(dtype, (1, channels, 4, 4)),), attributes
    )


KERNELS = [gemm(2**a, 2**b) for a in range(3, 9) for b in range(3, 9)] + [exp(10 * i) for i in range(1, 5)]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.floats(0, 10), st.integers(0, 4)), min_size=1, max_size=6),
    st.data(),
)
def test_shares_are_what_there_is_and_sum_up(classes, data):
    sizes, importance, least = (np.array(column) for column in zip(*classes, strict=True))
    total = data.draw(st.integers(0, int(sizes.sum())))
    shares = allocate(sizes, importance.astype(float), total, least)
    assert shares.sum() == total
    assert (shares >= 0).all()
    assert (shares <= sizes).all()
    if total >= least.sum():
        assert (shares >= np.minimum(least, sizes)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_each_law_of_a_class_is_profiled(weighted):
    kernels = [pool("MaxPool", 8 * i) for i in range(1, 60)]
    kernels += [pool("AveragePool", 240), pool("MaxPool", 240, "float64")]
    assert len({kernel.kernel_class for kernel in kernels}) == 1
    none = np.zeros(len(kernels), np.bool_)
    weights = np.ones(len(kernels)) if weighted else None
    assert set(choose(kernels, 6, taken=none, weights=weights)) >= {59, 60}


def test_shares_follow_importance():
    shares = allocate(np.array([100, 100, 100]), np.array([1.0, 2.0, 7.0]), 100, np.array([0, 0, 0]))
    assert shares.tolist() == [10, 20, 70]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, len(KERNELS)), st.sets(st.integers(0, len(KERNELS) - 1)), st.integers(0, 9), st.booleans()
)
def test_choices_are_new_different_and_as_many_as_asked_for(count, before, seed, weighted):
    taken = np.isin(np.arange(len(KERNELS)), list(before))
    weights = np.arange(len(KERNELS), dtype=float) if weighted else None
    chosen = choose(KERNELS, count, taken=taken, weights=weights, seed=seed)
    assert len(chosen) == min(count, int((~taken).sum()))
    assert chosen == sorted(set(chosen))
    assert not taken[chosen].any()
    assert chosen == choose(KERNELS, count, taken=taken, weights=weights, seed=seed)


def test_the_first_choice_holds_every_class_the_least_and_the_most_work():
    taken = np.zeros(len(KERNELS), np.bool_)
    chosen = [KERNELS[i] for i in choose(KERNELS, 12, taken=taken)]
    assert {kernel.op for kernel in chosen} == {"Gemm", "Exp"}
    products = [kernel.inputs[1].elements for kernel in chosen if kernel.op == "Gemm"]
    assert (min(products), max(products)) == (8 * 8, 256 * 256)


def test_the_first_choice_has_every_kind_of_work():
    """Kernels of one class of which only one does a kind of work: it is chosen, wherever it lies."""
    for odd in range(0, len(KERNELS), 7):
        pads = (0, 0, 0, 0)
        convolutions = [
            HostKernel(
                "Conv",
                (
                    HostTensor("float32", (1, 4, 8 + i, 9)),
                    HostTensor("float32", (6, 4, 3, 3), constant=True),
                ),
                (HostTensor("float32", (1, 6, 6 + i, 7)),),
                (
                    ("activation", "Clip" if i == odd else "Relu"),
                    ("kernel_shape", (3, 3)),
                    ("pads", pads),
                    ("strides", (1, 1)),
                ),
            )
            for i in range(len(KERNELS))
        ]
        work = terms(convolutions).work
        alone = np.flatnonzero((work > 0).sum(axis=0) == 1)
        if len(alone):
            assert odd in choose(convolutions, 6, taken=np.zeros(len(convolutions), np.bool_))
            return
    pytest.fail("no kind of work is that of one kernel")


def test_later_choices_are_where_it_matters():
    taken = np.zeros(len(KERNELS), np.bool_)
    taken[choose(KERNELS, 12, taken=taken)] = True
    weights = np.full(len(KERNELS), 1e-6)
    wanted = np.flatnonzero(~taken)[::5]
    weights[wanted] = 1.0
    chosen = choose(KERNELS, len(wanted), taken=taken, weights=weights)
    assert np.isin(chosen, wanted).mean() > 0.7
