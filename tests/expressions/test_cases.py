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

LEAVES = [A, B, 1, 2, A + B, A * 2]


@st.composite
def conditions(draw, depth=2):
    """A condition over numbers that switches choose between."""

    def number(level):
        if level == 0 or draw(st.booleans()):
            return draw(st.sampled_from(LEAVES))
        kind = draw(st.sampled_from(["if", "select", "sum"]))
        first, second = number(level - 1), number(level - 1)
        if kind == "sum":
            return first + second
        head = condition(level - 1)
        return If(head, first, second) if kind == "if" else Select(head, second, first)

    def condition(level):
        kind = draw(st.sampled_from(["eq", "eq", "ne", "le", "flag", "or", "and", "not", "implies"]))
        if kind == "flag":
            return FLAG == True  # noqa: E712 (builds a condition)
        if level == 0 or kind in ("eq", "ne", "le"):
            left, right = number(level), number(level)
            return left == right if kind == "eq" else left != right if kind == "ne" else left <= right
        first, second = condition(level - 1), condition(level - 1)
        if kind == "not":
            return Not(first)
        return Or(Not(first), second) if kind == "implies" else (Or if kind == "or" else And)(first, second)

    return condition(depth)


@settings(max_examples=200, deadline=None)
@given(conditions(depth=3))
def test_what_is_proved_holds_for_all_values(condition):
    if always(condition):
        assert all(lazy(condition, values) for values in EVERY)


@settings(max_examples=150, deadline=None)
@given(conditions(), conditions(), st.booleans())
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
