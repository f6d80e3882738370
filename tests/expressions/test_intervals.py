"""Bounds enclose every value, and are tight where shapes need it."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import CategoricalParameter, FloatScalarParameter, IntScalarParameter, SubsetParameter, lazy
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import And, Ceil, Expression, Floor, If, Int, Max, Min, Not, Or, Program, Select
from hannah_hw.expressions.intervals import bounds
from hannah_hw.operators.windows import default_padding, output_sizes


def named(parameter, name):
    parameter.id = name
    return parameter


A = named(IntScalarParameter(-4, 4), "a")
B = named(IntScalarParameter(1, 9, 2), "b")
WIDE = named(IntScalarParameter(-1000, 1000), "wide")
FLAG = named(CategoricalParameter([False, True]), "flag")
RATIO = named(CategoricalParameter([0.25, 0.5, -1.0, 1.5]), "ratio")
REAL = named(FloatScalarParameter(-0.5, 2.0), "real")
MODE = named(CategoricalParameter(["same", "valid", None]), "mode")
PICKS = named(SubsetParameter("xyz", 0, 3), "picks")
ALL = [A, B, WIDE, FLAG, RATIO, REAL, MODE, PICKS]

leaf = st.one_of(
    st.integers(-9, 9),
    st.sampled_from([0.5, -1.25]),
    st.sampled_from([A, B, WIDE, FLAG, RATIO, REAL]),
    st.sampled_from(MODE.levels).map(lambda choice: choice == MODE),
    st.sampled_from("xyz").map(PICKS.contains),
)
BINARY = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod),
    *(operator.eq, operator.ne, operator.lt, operator.le, And, Or, Max, Min),
]
UNARY = [abs, Floor, Ceil, Int, Not, lambda x: x * -3, lambda x: x + 7, lambda x: x // 4, lambda x: 8 * x % 4]


def attempt(function):
    """A tree of constants may divide by zero as it is built; it is then just 1."""

    def build(operands):
        try:
            return function(*operands)
        except ZeroDivisionError:
            return 1

    return build


def trees(children):
    return st.one_of(
        st.sampled_from(BINARY).flatmap(lambda f: st.tuples(children, children).map(attempt(f))),
        st.sampled_from(UNARY).flatmap(lambda f: st.tuples(children).map(attempt(f))),
        st.tuples(children, children, children).map(lambda t: If(*t)),
        st.tuples(children, children, children).map(lambda t: Select(Min(Max(Int(t[0]), 0), 1), *t[1:])),
    )


assignment = st.fixed_dictionaries(
    {p.id: st.sampled_from(p.levels) if p.levels else st.floats(p.min, p.max) for p in ALL}
)


def holds(low, value, high):
    return low <= value <= high


@settings(max_examples=250, deadline=None)
@given(st.recursive(leaf, trees, max_leaves=14), st.lists(assignment, min_size=1, max_size=8))
def test_every_value_is_within_the_bounds(expression, assignments):
    ((low, high),) = bounds([expression])
    if isinstance(expression, Expression) and expression.whole:
        assert all(isinstance(end, int) or math.isinf(end) for end in (low, high))
    for values in assignments:
        try:
            value = lazy(expression, values)
        except (SpaceError, OverflowError):
            continue  # undefined for these values
        assert math.isnan(value) or holds(low, value, high)  # nan: floats have overflowed
    columns = {
        p.id: np.array([p.levels.index(v[p.id]) if p.categories else v[p.id] for v in assignments])
        for p in ALL
    }
    (result,) = Program([expression]).run(columns)
    for value in np.atleast_1d(np.asarray(result, np.float64)):
        assert np.isnan(value) or holds(low, value, high)


@settings(max_examples=150, deadline=None)
@given(st.recursive(leaf, trees, max_leaves=10), assignment, st.data())
def test_domains_narrow_the_bounds(expression, values, data):
    """The bounds over a box that holds the assignment hold for it, and are within those over everything."""
    domains = {}
    for parameter in (A, B, WIDE, RATIO, REAL):
        value = values[parameter.id]
        below, above = data.draw(st.sampled_from([0, 1, 50])), data.draw(st.sampled_from([0, 2]))
        domains[parameter] = (value - below, value + above)
    ((low, high),) = bounds([expression], domains)
    try:
        assert holds(low, lazy(expression, values), high)
    except (SpaceError, OverflowError):
        return


def test_bounds_of_monotone_expressions_are_the_extreme_values():
    assert bounds([3, 2.5, A, A * 3 - B, A * B, abs(A), WIDE // 7]) == [
        *[(3, 3), (2.5, 2.5), (-4, 4), (-21, 11), (-36, 36), (0, 4), (-143, 142)]
    ]
    assert bounds([REAL * 2 + 1, RATIO, Floor(REAL)]) == [(0.0, 5.0), (-1.0, 1.5), (-1, 2)]


def test_what_depends_on_the_same_parameter_is_not_forgotten():
    kernel, stride = IntScalarParameter(1, 7, 2), CategoricalParameter([1, 2])
    assert bounds(
        [A - A % 2 - A, A * A, WIDE - WIDE + 1, (kernel - 1) % 2, kernel // stride * stride - kernel]
    ) == [*[(-1, 0), (0, 16), (1, 1), (0, 0), (-1, 0)]]


def test_divisions_by_what_may_be_zero_are_unbounded():
    everything = (-math.inf, math.inf)
    assert bounds([5 // A, 5 % A, 5 / REAL, 5 // B]) == [everything, everything, everything, (0, 5)]
    # What a condition does not take is left out: level by level where there is room, else not at all.
    assert bounds([If(A == 0, 0, 8 // A), If(WIDE == 0, 0, 8 // WIDE)]) == [(-8, 8), everything]


def test_conditions_are_0_1_or_open():
    assert bounds([A < 5, A > 4, A < 4, And(A < 5, B > 0), Or(A > 4, B > 9), Not(B == 2), A == A + 1]) == [
        *[(1, 1), (0, 0), (0, 1), (1, 1), (0, 0), (1, 1), (0, 0)]
    ]
    channels = IntScalarParameter(8, 512, 8)
    assert bounds([channels % 8 == 0, (4 * channels) % 16 == 0, channels % 16 == 0]) == [
        (1, 1),
        (1, 1),
        (0, 1),
    ]


def test_domains_and_empty_ones():
    assert bounds([A + B, REAL], {A: (1, 2.5), REAL: (1, 9)}) == [(2, 11), (1.0, 2.0)]
    for parameter in (B, REAL):
        with pytest.raises(SpaceError, match="has no value from 20 to 30"):
            bounds([parameter], {parameter: (20, 30)})


def halved(size, kernel, stride):
    """A window with the default padding, over any of these kernels and strides."""
    padding = default_padding(kernel, stride, 1)
    return output_sizes((size,), (kernel,), (stride,), (1,), (padding,), (padding,))[0]


def test_the_shapes_of_two_branches_are_proved_equal():
    """A residual block: kernels of any odd size on one side, a window of 1 on the other, strides alike."""
    size = 32
    for index in range(12):
        stride = named(IntScalarParameter(1, 2), f"stride{index}")
        kernels = [named(CategoricalParameter([3, 5, 7]), f"kernel{index}.{k}") for k in range(2)]
        main = halved(halved(size, kernels[0], stride), kernels[1], 1)
        skip = halved(size, 1, stride)
        assert bounds([main == skip, main >= 1]) == [(1, 1), (1, 1)]
        size = Select(named(IntScalarParameter(0, 1), f"kind{index}"), main, halved(size, kernels[1], 2))
    ((low, high),) = bounds([size])
    assert low >= 1
    assert high == 32


def test_the_cost_is_linear_in_the_number_of_nodes():
    total = 0
    for index in range(4000):
        total = Max(total + B // (2 + index % 3), total % 1000 + index)
    low, high = bounds([total])[0]
    assert low <= lazy(total, {"b": 9}) <= high
