"""The shape of a convolution without a graph."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from hannah_hw import IntScalarParameter, lazy
from hannah_hw.errors import SpaceError
from hannah_hw.operators.shapes import conv_shape


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 2),
    groups=st.sampled_from([1, 2]),
)
def test_it_is_that_of_torch(sizes, kernel, stride, dilation, padding, groups):
    assume(all(size + 2 * padding > dilation * (kernel - 1) for size in sizes))
    rank = len(sizes)
    data, weight = torch.zeros(2, 4, *sizes), torch.zeros(6, 4 // groups, *[kernel] * rank)
    convolve = getattr(torch.nn.functional, f"conv{rank}d")
    expected = convolve(data, weight, None, stride, padding, dilation, groups).shape
    assert conv_shape(data.shape, weight.shape, stride, padding, dilation) == tuple(expected)


def test_it_may_be_symbolic():
    kernel = IntScalarParameter(1, 5, 2, name="kernel")
    shape = conv_shape((1, 3, 32, 32), (16, 3, kernel, kernel), stride=2)
    kernel.id = "kernel"
    assert [lazy(shape, {"kernel": k}) for k in (1, 3, 5)] == [(1, 16, 16, 16)] * 3
    assert lazy(conv_shape((1, 3, 9), (4, 3, kernel), padding=0), {"kernel": 5}) == (1, 4, 5)


@pytest.mark.parametrize(("data", "weight"), [((1, 3), (4, 3)), ((1, 3, 8), (4, 3, 1, 1)), ((3,), (3,))])
def test_shapes_without_a_convolution_are_refused(data, weight):
    with pytest.raises(SpaceError, match="has no convolution with a weight of shape"):
        conv_shape(data, weight)
