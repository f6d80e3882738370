"""What is proved holds, by trying all values; and the proofs that spaces need are found."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import CategoricalParameter, IntScalarParameter, lazy, load_space
from hannah_hw.expressions import And, Expression, If, Not, Or, Select
from hannah_hw.expressions.cases import always, implied, replaced


def parameter(made, name):
    made.id = name
    return made


A = parameter(IntScalarParameter(0, 3, name="a"), "a")
B = parameter(IntScalarParameter(1, 4, name="b"), "b")
FLAG = parameter(CategoricalParameter([False, True], name="flag"), "flag")
EVERY = [{"a": a, "b": b, "flag": flag} for a, b, flag in itertools.product(A.levels, B.levels, FLAG.levels)]

numbers = st.recursive(
    st.sampled_from([A, B, 1, 2, A + B, A * 2]),
    lambda inner: st.tuples(st.deferred(lambda: conditions), inner, inner).flatmap(
        lambda t: st.sampled_from([If(*t), Select(t[0], t[2], t[1]), t[1] + t[2]])
    ),
    max_leaves=4,
)
comparisons = st.tuples(numbers, numbers).flatmap(
    lambda t: st.sampled_from([t[0] == t[1], t[0] != t[1], t[0] <= t[1], t[0] < t[1]])
)
conditions = st.recursive(
    st.one_of(comparisons, st.just(FLAG == True)),  # noqa: E712 (builds a condition)
    lambda inner: st.tuples(inner, inner).flatmap(
        lambda t: st.sampled_from([Or(*t), And(*t), Not(t[0]), Or(Not(t[0]), t[1])])
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(conditions)
def test_what_is_proved_holds_for_all_values(condition):
    if always(condition):
        assert all(lazy(condition, values) for values in EVERY)


@settings(max_examples=200, deadline=None)
@given(conditions, conditions, st.booleans())
def test_what_a_condition_implies_may_take_its_place(head, condition, truth):
    if not isinstance(head, Expression):
        return
    simpler = replaced(condition, implied(head, truth))
    for values in EVERY:
        if bool(lazy(head, values)) == truth:
            assert bool(lazy(simpler, values)) == bool(lazy(condition, values))


def test_the_sum_around_a_switched_shortcut():
    width = Select(A, *(parameter(IntScalarParameter(1, 500, name=n), n) for n in "wxyz"))
    out = parameter(IntScalarParameter(1, 500, name="o"), "o")
    stride = parameter(IntScalarParameter(1, 2, name="s"), "s")
    changes = (stride != 1) | (width != out)
    assert always(Select(changes, width, out) == out)
    assert always(If(changes, out, width) == out)
    assert not always(Select(stride != 1, width, out) == out)
    # Behind another switch, and only where the block is part of the network.
    assert always(Or(Not(A > 1), Select(FLAG, If(changes, out, width), out) == out))


@pytest.mark.parametrize("blocks", [3, 8])
def test_a_deep_residual_space_has_no_conditions_left(blocks):
    assert not load_space("resnet", max_blocks=blocks).encoding.constraints
