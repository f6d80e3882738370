"""Scalar and population evaluation mean the same, and that is what Python means."""

import gc
import operator
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import CategoricalParameter, IntScalarParameter, SubsetParameter, lazy
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import (
    And,
    Ceil,
    Expression,
    Floor,
    If,
    Int,
    Max,
    Min,
    Not,
    Or,
    Program,
    Select,
    leaves,
    topological,
)


def parameter(made, name):
    made.id = name
    return made


A = parameter(IntScalarParameter(-4, 4, name="a"), "a")
B = parameter(IntScalarParameter(1, 9, 2, name="b"), "b")
FLAG = parameter(CategoricalParameter([False, True], name="flag"), "flag")
RATIO = parameter(CategoricalParameter([0.25, 0.5, 1.0, 1.5], name="ratio"), "ratio")
MODE = parameter(CategoricalParameter(["same", "valid", None], name="mode"), "mode")
PICKS = parameter(SubsetParameter("xyz", 0, 3, name="picks"), "picks")
ALL = [A, B, FLAG, RATIO, MODE, PICKS]


def columns(assignments):
    return {
        p.id: np.array([p.levels.index(v[p.id]) if p.categories else v[p.id] for v in assignments])
        for p in ALL
    }


def trees(children):
    """(symbolic, Python function of an assignment) pairs, so that Python itself is the reference."""

    def both(symbolic, plain):
        return lambda *pairs: (
            symbolic(*(p[0] for p in pairs)),
            lambda v: plain(*(p[1](v) for p in pairs)),
        )

    two = st.tuples(
        st.sampled_from(
            [operator.add, operator.sub, operator.mul, operator.eq, operator.ne, operator.lt, operator.le]
        ),
        children,
        children,
    ).map(lambda t: both(t[0], t[0])(t[1], t[2]))
    above = st.tuples(st.sampled_from([operator.gt, operator.ge]), children, children).map(
        lambda t: both(t[0], t[0])(t[1], t[2])
    )
    # Divisions by something that is never 0.
    divide = st.tuples(
        st.sampled_from([operator.floordiv, operator.mod, operator.truediv]), children, children
    ).map(
        lambda t: (t[0](t[1][0], Max(abs(t[2][0]), 1)), lambda v: t[0](t[1][1](v), max(abs(t[2][1](v)), 1)))
    )
    # Divisions by something that may be 0 are allowed where they are not taken.
    guarded = st.tuples(children, children).map(
        lambda t: (
            If(t[1][0] == 0, 7, t[0][0] // t[1][0]) if isinstance(t[1][0], Expression) else t[0][0],
            (lambda v: 7 if t[1][1](v) == 0 else t[0][1](v) // t[1][1](v))
            if isinstance(t[1][0], Expression)
            else t[0][1],
        )
    )
    one = st.tuples(
        st.sampled_from(
            [
                (Floor, lambda x: int(np.floor(x))),
                (Ceil, lambda x: int(np.ceil(x))),
                (Int, int),
                (abs, abs),
                (lambda x: -x, lambda x: -x),
            ]
        ),
        children,
    ).map(lambda t: both(*t[0])(t[1]))
    logic = st.tuples(
        st.sampled_from(
            [
                (And, lambda a, b: bool(a) and bool(b)),
                (Or, lambda a, b: bool(a) or bool(b)),
                (lambda a, b: Not(And(a, b)), lambda a, b: not (a and b)),
                (lambda a, b: Or(Not(Not(a)), Not(b)), lambda a, b: bool(a) or not b),
            ]
        ),
        children,
        children,
    ).map(lambda t: both(*t[0])(t[1], t[2]))
    three = st.tuples(
        st.sampled_from(
            [
                (If, lambda c, a, b: a if c else b),
                (Max, max),
                (Min, min),
                (lambda s, a, b: Select(Int(s != 0), a, b), lambda s, a, b: (a, b)[s != 0]),
            ]
        ),
        children,
        children,
        children,
    ).map(lambda t: both(*t[0])(*t[1:]))
    return st.one_of(two, above, divide, guarded, one, logic, three)


leaf = st.one_of(
    st.integers(-3, 5).map(lambda c: (c, lambda _: c)),
    st.sampled_from([0.5, 2.0]).map(lambda c: (c, lambda _: c)),
    st.sampled_from([A, B, FLAG, RATIO]).map(lambda p: (p, lambda v: v[p.id])),
    st.sampled_from(MODE.levels).map(lambda c: (c == MODE, lambda v: v["mode"] == c)),
    st.sampled_from("xyz").map(lambda c: (PICKS.contains(c), lambda v: c in v["picks"])),
)
assignment = st.fixed_dictionaries({p.id: st.sampled_from(p.levels) for p in ALL})


@settings(max_examples=150, deadline=None)
@given(st.recursive(leaf, trees, max_leaves=25), st.lists(assignment, min_size=1, max_size=6))
def test_python_scalar_and_population_evaluation_agree(tree, assignments):
    expression, reference = tree
    expected = [reference(values) for values in assignments]
    # As numbers: 0 and False are the same value.
    scalars = np.array([lazy(expression, values) for values in assignments], float)
    np.testing.assert_allclose(scalars, np.asarray(expected, float), rtol=1e-12)
    (result,) = Program([expression]).run(columns(assignments))
    np.testing.assert_allclose(
        np.broadcast_to(np.asarray(result, float), len(expected)), np.asarray(expected, float), rtol=1e-12
    )
    program = Program([3, expression, expression])
    for values, value in zip(assignments, expected, strict=True):
        levels = {k: v.item() for k, v in columns([values]).items()}
        np.testing.assert_allclose(np.array(program.run_one(levels), float), [3, value, value], rtol=1e-12)


def test_a_population_of_one_is_computed_like_any_other_however_often():
    total = If(A == 0, 7, B // A) + Select(A, 1, 2) + (MODE == "same") + Int(RATIO * B)
    program = Program([total, A // A])
    everyone = [dict(zip("ab", pair, strict=True)) for pair in [(0, 3), (1, 5), (2, 1), (-4, 9)] * 5]
    values = [{"flag": True, "ratio": 1.5, "mode": "valid", "picks": (), **v} for v in everyone]
    together, _ = program.run(columns(values))
    alone = [np.asarray(program.run(columns([v]))[0]).item() for v in values]
    assert alone == together.tolist()


def test_equal_nodes_are_one_object():
    assert (A + 1) is (A + 1)
    assert (A + B) * 2 is (A + B) * 2
    assert Max(A, B, 3) is Max(A, B, 3)
    assert (A + B) is not (B + A)
    assert (A + 1) is not (A + 1.0)
    assert (MODE == "same") is (MODE == "same")


def test_unused_nodes_are_freed():
    node = A * 12345 + 6
    known = weakref.ref(node)
    del node
    gc.collect()
    assert known() is None


def test_constants_and_neutral_elements_fold():
    assert Floor(2.5) == 2
    assert Ceil(2.5) == 3
    assert Int(-2.5) == -2
    assert (A + 0) is (0 + A) is (A * 1) is (A // 1) is A
    assert isinstance(A * 0, int)
    assert A - A == 0
    assert (A == A) is True
    assert (A < A) is False
    assert If(True, A, B) is A
    assert If(A < B, B, B) is B
    assert Select(1, A, B) is B
    assert Select(A, B, B) is B
    assert And() is True
    assert Or() is False
    assert And(A < B, True) is (A < B)
    assert And(A < B, False) is False
    assert Not(Not(A < B)) is (A < B)


def test_an_alternative_that_implies_the_other_is_left_out():
    p, q, r = A < 5, B > 1, A > 2
    assert Or(And(p, q), p) is p
    assert Or(p, And(And(p, q), r)) is p
    assert Or(Or(And(p, q), And(r, p)), p) is p
    assert Or(Or(p, q), q) is Or(p, q)
    assert Or(Or(p, q), r) is not Or(p, q)
    assert Or(And(p, q), q & r) is not q
    # Every value of both, and all three conditions either way.
    for a in A.levels:
        for b in B.levels:
            values = {A.id: a, B.id: b}
            x, y, z = (lazy(condition, values) for condition in (p, q, r))
            assert lazy(Or(Or(And(p, q), And(r, p)), q), values) == ((x and y) or (z and x) or y)
            assert lazy(Or(And(Or(p, q), r), Or(q, p)), values) == (((x or y) and z) or y or x)


def test_a_number_is_not_its_truth():
    assert lazy(And(True, A), {"a": 3}) is True
    assert lazy(Or(A, False), {"a": 0}) is False
    assert lazy(Not(Not(A)), {"a": 3}) is True


def test_conditions_count_as_numbers():
    total = (A < 1) + (B < 6) + (A == 0)
    assert lazy(total, {"a": 0, "b": 5}) == 3
    (result,) = Program([total]).run({"a": np.array([0, 2]), "b": np.array([5, 5])})
    assert result.tolist() == [3, 1]
    (scaled,) = Program([(A < 1) // (B < 6) * 1000]).run({"a": np.array([0]), "b": np.array([5])})
    assert scaled.tolist() == [1000]


def test_a_condition_has_no_truth_value():
    with pytest.raises(SpaceError, match="no truth value"):
        bool(A == B)
    with pytest.raises(SpaceError, match="no truth value"):
        _ = A in [B]
    with pytest.raises(SpaceError, match="no truth value"):
        max(A, B)
    assert A in [A]
    assert hash(A) != hash(B)


@pytest.mark.parametrize(
    "build", [lambda: MODE + 1, lambda: MODE < 2, lambda: Max(MODE, 1), lambda: 3 * PICKS]
)
def test_categories_are_no_numbers(build):
    with pytest.raises(SpaceError, match="supports only == and !="):
        build()


@pytest.mark.parametrize("other", ["3", None, (1, 2)])
def test_operands_must_be_numbers(other):
    with pytest.raises(SpaceError, match="neither a number nor an expression"):
        _ = A + other


def test_categories_and_subsets():
    assert lazy(MODE == "valid", {"mode": "valid"}) is True
    assert lazy("valid" == MODE, {"mode": "same"}) is False  # noqa: SIM300 (the reflected comparison is the test)
    assert lazy(MODE != None, {"mode": "same"}) is True  # noqa: E711 (a condition is built)
    assert lazy(PICKS.contains("y"), {"picks": ("x", "y")}) is True
    assert len(PICKS.levels) == 8
    levels = {"mode": np.array([0, 1, 2]), "picks": np.array([0, 1, 7])}
    is_none, has_x = Program([MODE == None, PICKS.contains("x")]).run(levels)  # noqa: E711
    assert is_none.tolist() == [False, False, True]
    assert has_x.tolist() == [False, True, True]


def test_deep_chains_need_no_recursion():
    expression = A
    for _ in range(5000):
        expression = expression * 1.0 + B
    assert lazy(expression, {"a": 2, "b": 3}) == 2 + 3 * 5000
    (result,) = Program([expression]).run({"a": np.array([2]), "b": np.array([3])})
    assert result[0] == 2 + 3 * 5000
    assert [p.id for p in leaves([expression])] == ["a", "b"]
    with pytest.raises(SpaceError):
        bool(expression)


def test_text_of_shared_sub_expressions_stays_short():
    expression = A
    for _ in range(200):
        expression = expression * expression + B
    assert len(repr(expression)) < 2000
    assert len(topological([expression])) == 402
    assert repr((A + 1) * B) == "((a + 1) * b)"
    assert repr(Floor(A / 2)) == "Floor((a / 2))"


def test_what_is_not_taken_may_be_undefined():
    assert lazy(If(A == 0, 1, 6 // A), {"a": 0}) == 1
    assert lazy(Select(FLAG, 5, Select(A, 1, 2)), {"flag": False, "a": -1}) == 5
    with np.errstate(all="raise"):
        (result,) = Program([If(A == 0, 1, 6 // A)]).run({"a": np.array([0, 2])})
    assert result.tolist() == [1, 3]


def test_undefined_values_say_so():
    with pytest.raises(SpaceError, match="has no value"):
        lazy(6 // A, {"a": 0})
    with pytest.raises(SpaceError, match="the switch is 3, but there are 2 options"):
        lazy(Select(A, B, 1), {"a": 3})
    for switch in (-1, 2, 0.5):
        with pytest.raises(SpaceError, match="the switch is"):
            Select(switch, A, B)


def test_lazy_evaluates_containers():
    assert lazy((A, [B, 3], {"k": A + 1}), {"a": 1, "b": 5}) == (1, [5, 3], {"k": 2})
    assert lazy("text") == "text"


def test_a_program_computes_each_node_once_and_keeps_columns():
    common = A * B
    column = np.array([1, 2])
    program = Program([common + 1, common + 2, 7, A])
    first, second, constant, same = program.run({"a": column, "b": np.array([3, 4])})
    assert (first.tolist(), second.tolist(), constant) == ([4, 9], [5, 10], 7)
    assert same.tolist() == [1, 2]
    assert [p.id for p in program.parameters] == ["a", "b"]
    assert column.tolist() == [1, 2]
