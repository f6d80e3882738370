"""Tables of expressions against evaluating them at every combination of levels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import CategoricalParameter, FloatScalarParameter, IntScalarParameter, SubsetParameter
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import And, Floor, If, Max, Not, Or, Select, evaluate
from hannah_hw.expressions.dependence import dependencies, tabulate


def named(parameter, name):
    parameter.id = name
    return parameter


A = named(IntScalarParameter(0, 2, name="a"), "a")
B = named(CategoricalParameter([1, 3, 5, 7], name="b"), "b")
C = named(CategoricalParameter(["x", "y", "z"], name="c"), "c")
D = named(SubsetParameter(["p", "q"], 0, 2, name="d"), "d")
E = named(FloatScalarParameter(0.5, 2.0, name="e", default=1.25), "e")
VARYING = [A, B, C, D]

ATOMS = st.sampled_from([A, B, A * B, If(C == "y", A, B), If(D.contains("q"), B, 2), Floor(E * B), 1, 3])


@st.composite
def expressions(draw):
    value = draw(ATOMS)
    for _ in range(draw(st.integers(1, 5))):
        other = draw(ATOMS)
        kind = draw(st.integers(0, 6))
        value = [
            lambda v, o: v + o,
            lambda v, o: v - o,
            Max,
            lambda v, o: If(And(v < o, Not(C == "x")), v, o),
            lambda v, o: Select(A, v, o, 4),
            lambda v, o: v // (1 + o * o),
            lambda v, o: If(Or(v == o, D.contains("p")), o, v),
        ][kind](value, other)
    return value


@settings(max_examples=150, deadline=None)
@given(expressions())
def test_a_table_holds_the_value_at_every_combination(expression):
    (table,) = tabulate([expression], VARYING, {"e": 0.75})
    sizes = [len(p.levels) for p in VARYING]
    assert table.values.shape == tuple(sizes[axis] for axis in table.axes)
    spread = np.broadcast_to(table.over(range(len(VARYING))), sizes)
    for place in itertools.product(*map(range, sizes)):
        assignment = {p.id: p.levels[i] for p, i in zip(VARYING, place, strict=True)} | {"e": 0.75}
        assert spread[place] == evaluate(expression, assignment)
    for axis, size in enumerate(table.values.shape):
        # An axis that makes no difference is none.
        parts = [table.values.take(i, axis) for i in range(size)]
        assert any((part != parts[0]).any() for part in parts)


def test_what_makes_no_difference_is_no_axis():
    some = Or(A == 0, Or(A == 1, A == 2))
    (table,) = tabulate([And(some, B == 3)], VARYING, {})
    assert table.axes == (1,)
    assert table.values.tolist() == [False, True, False, False]
    assert tabulate([some, 5, E], [A], {}) == [((), True), ((), 5), ((), 1.25)]


def test_tables_have_a_limit():
    many = [named(IntScalarParameter(0, 99, name=f"p{i}"), f"p{i}") for i in range(3)]
    with pytest.raises(
        SpaceError, match=r"depends on 1000000 combinations.*fix some of the parameters p0, p1, p2"
    ):
        tabulate([many[0] + many[1] + many[2]], many, {})
    (table,) = tabulate([many[0] + many[1] + many[2]], many[:2], {"p2": 7})
    assert table.values[3, 4] == 14


def test_dependencies_are_the_parameters_of_each_expression():
    chosen = Select(A, B, B + 1, E)
    found = dependencies([chosen, chosen * 2 + (C == "x"), 4])
    assert found == [{"a", "b", "e"}, {"a", "b", "c", "e"}, set()]
    assert dependencies([chosen + D.contains("p")], headless={id(chosen)}) == [{"b", "d", "e"}]
