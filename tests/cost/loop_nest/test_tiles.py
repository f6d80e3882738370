"""Elements that loops touch, against counting them, and factors of loops."""

import math
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.cost.accelerators.layers import LOOPS
from hannah_hw.cost.loop_nest.factors import prime_factors, primes
from hannah_hw.cost.loop_nest.tiles import Windows, elements


def touched(operand, mode="whole", stride=1, dilation=1, input_size=10**6, **loops):
    common = math.gcd(stride, dilation)
    windows = Windows(
        *(np.full((2, 1), value, float) for value in (dilation // common, stride // common, input_size))
    )
    extents = {name: np.array([float(loops.get(name, 1))]) for name in LOOPS}
    return float(elements(operand, extents.__getitem__, windows, mode)[0])


@given(st.integers(1, 12), st.integers(1, 8), st.integers(1, 6), st.integers(1, 6))
def test_columns_are_those_that_windows_touch(out, window, stride, dilation):
    columns = {stride * a + dilation * b for a in range(out) for b in range(window)}
    assert touched(0, stride=stride, dilation=dilation, OX=out, FX=window) == len(columns)
    assert touched(0, stride=stride, dilation=dilation, OY=out, FY=window, C=3) == 3 * len(columns)


def test_padding_is_not_touched():
    # 5 outputs of a window of 3 reach over 7 columns, of which the input has 5.
    assert touched(0, OX=5, FX=3) == 7
    assert touched(0, OX=5, FX=3, input_size=5) == 5


def test_weights_and_outputs_are_products():
    of = partial(dict, B=2, K=3, G=5, OX=7, OY=11, C=13, FX=17, FY=19)
    assert touched(1, **of()) == 3 * 5 * 13 * 17 * 19
    assert touched(2, **of()) == 2 * 3 * 5 * 7 * 11


def test_zigzag_truncates_fractional_columns():
    assert touched(0, "zigzag", OX=25 / 7, FX=3) == 3 + 3 - 1
    assert touched(0, "zigzag", C=2.5) == 2.5


@given(st.integers(1, 100_000))
def test_prime_factors_multiply_to_the_number(number):
    factors = primes(number)
    assert math.prod(factors) == number
    assert all(factor % divisor for factor in factors for divisor in range(2, math.isqrt(factor) + 1))


@given(st.lists(st.integers(1, 200), min_size=8, max_size=8), st.integers(1, 10))
def test_merged_factors_multiply_to_the_loops(sizes, limit):
    factors = prime_factors(sizes, limit)
    product = [1] * 8
    for loop, factor in factors:
        product[loop] *= factor
    assert product == sizes
    loops = sum(size > 1 for size in sizes)
    assert len(factors) <= max(limit, loops, 1)


def test_the_two_smallest_factors_of_the_longest_loop_merge():
    # K: 2 2 2 3 has the most factors: 2·2 merge, then 2·3, then OX: 5 5 and K: 4 6 are equally long and K is first.
    sizes = [1, 24, 1, 25, 1, 1, 1, 1]
    assert prime_factors(sizes, 6) == ((1, 2), (1, 2), (1, 2), (1, 3), (3, 5), (3, 5))
    assert prime_factors(sizes, 5) == ((1, 2), (1, 3), (1, 4), (3, 5), (3, 5))
    assert prime_factors(sizes, 4) == ((1, 4), (1, 6), (3, 5), (3, 5))
    assert prime_factors(sizes, 3) == ((1, 24), (3, 5), (3, 5))
    assert prime_factors([1] * 8, 3) == ((0, 1),)
