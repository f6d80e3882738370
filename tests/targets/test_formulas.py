"""Formulas: the language computes what Python computes, in double precision, and refuses everything else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.errors import TargetError
from hannah_hw.targets.formulas import Formula

FORMULAS = [
    "ceil(a / b) * ceil(c / b) * d",
    "a + b * -c - 0.5",
    "max(a, b, c) + min(a, d)",
    "floor(a / 3) + a // b + c % b",
    "log2(a) * 2",
    "where(a > b and not c == d, a / b, where(a in [1, 2], c, 7))",
    "(a - b) * (c + 2.25)",
]


def where(condition, value, otherwise):
    return value if condition else otherwise


PYTHON = {"ceil": math.ceil, "floor": math.floor, "log2": math.log2, "min": min, "max": max, "where": where}


@given(st.sampled_from(FORMULAS), st.lists(st.integers(1, 10_000), min_size=4, max_size=4))
def test_formulas_mean_what_they_mean_in_python(text, values):
    scalars = dict(zip("abcd", values, strict=True))
    result = Formula.parse(text, "abcd")({name: np.full((2, 3), value) for name, value in scalars.items()})
    assert result.shape == (2, 3)
    assert result.dtype == np.float64
    assert (result == eval(text, {"__builtins__": {}}, {**PYTHON, **scalars})).all()  # noqa: S307 - ours


def test_whole_numbers_do_not_wrap_round():
    """Seven factors of 10,000 exceed 64 bits; a product in int64 would have become negative or small."""
    formula = Formula.parse("a * a * a * a * a * a * a", "a")
    assert formula({"a": np.array([10_000])})[0] == pytest.approx(1e28)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a >",
        "a > b",
        "a if b else c",
        "e + 1",
        "__import__('os')",
        "a.real",
        "a[0]",
        "(lambda: 1)()",
        "a ** 9",
        "sqrt(a)",
        "ceil(a, b)",
        "max(a)",
        "where(a, b, c)",
        "where(a > b, c)",
        "min(a, b, key=c)",
        "'a'",
        "True",
        "1e999",
        "[x for x in a]",
        "a & b",
        "a + 1 " * 100,
        "-" * 600 + "a",
    ],
)
def test_everything_else_is_refused(text):
    with pytest.raises(TargetError):
        Formula.parse(text, "abcd")


def test_an_unknown_name_is_named_with_the_nearest():
    with pytest.raises(TargetError, match="did you mean 'out_channels'"):
        Formula.parse("out_chanels * 2", ["out_channels", "pe"])


def test_a_wrong_number_of_arguments_says_how_many_it_takes():
    with pytest.raises(TargetError, match="where\\(\\) takes three arguments"):
        Formula.parse("where(a > b, c)", "abc")


def test_what_has_no_value_is_no_number():
    result = Formula.parse("a / b", "ab")({"a": np.array([1, 0]), "b": np.array([0, 0])})
    assert not np.isfinite(result).any()
