"""Operator rules: the grammar computes what Python computes, and refuses everything else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.errors import TargetError
from hannah_hw.targets import Predicate, compile_legality
from hannah_hw.workload import KERNEL_COLUMNS

CONDITIONS = [
    "kernel_h <= 9",
    "groups in [1, in_channels]",
    "groups == 1 or groups == in_channels == out_channels",
    "stride_h not in [3, 4] and not stride_w > 2",
    "1 <= kernel_h < kernel_w + 2",
    "in_channels % 4 == 0",
    "(in_channels // 2) * 3 - 1 != out_channels",
    "-groups + 4 > 0",
]


@given(st.sampled_from(CONDITIONS), st.lists(st.integers(1, 9), min_size=8, max_size=8))
def test_conditions_mean_what_they_mean_in_python(condition, values):
    names = ("kernel_h", "kernel_w", "groups", "in_channels", "out_channels", "stride_h", "stride_w", "in_w")
    scalars = dict(zip(names, values, strict=True))
    columns = {name: np.full((2, 3), value) for name, value in scalars.items()}
    result = Predicate.parse(condition)(columns)
    assert result.shape == (2, 3)
    assert (result == eval(condition, {}, dict(scalars))).all()  # noqa: S307 - the condition is ours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kernel_h",
        "kernel_h <=",
        "kernal_h <= 9",
        "__import__('os').system('true') == 0",
        "kernel_h.real == 1",
        "kernel_h[0] == 1",
        "(lambda: 1)() == kernel_h",
        "kernel_h == 1.5",
        "kernel_h == True",
        "kernel_h in in_channels",
        "kernel_h in []",
        "kernel_h ** 9 == 1",
        "kernel_h / 2 == 1",
        "kernel_h is 1",
        "1 == 1",
        "kernel_h == 99999999999999999999",
        "kernel_h == 1 " + "and kernel_h == 1 " * 50,
    ],
)
def test_everything_else_is_refused(text):
    with pytest.raises(TargetError):
        Predicate.parse(text)


def test_a_misspelt_column_is_named_with_the_nearest():
    with pytest.raises(TargetError, match="did you mean 'kernel_h'"):
        Predicate.parse("kernal_h <= 9")


def columns(**given):
    count = max(len(values) for values in given.values())
    table = {name: np.full(count, default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    return table | {name: np.array(values) for name, values in given.items()}


def test_the_first_failed_condition_is_named_and_alternatives_help():
    legality = compile_legality(
        [(("conv",), ("kernel_h <= 3", "stride_h == 1")), (("conv",), ("kernel_h == 7",)), (("add",), ())]
    )
    failed = legality.failed("conv", columns(kernel_h=[3, 5, 7, 3], stride_h=[1, 2, 2, 2]))
    reasons = [None if i < 0 else legality.rules[i] for i in failed]
    assert reasons == [None, "conv: kernel_h <= 3", None, "conv: stride_h == 1"]


def test_none_when_all_can_run_and_unknown_kinds_are_not_covered():
    legality = compile_legality([(("conv", "add"), ("kernel_h <= 3",))])
    assert legality.failed("add", columns(kernel_h=[1, 3])) is None
    assert legality.covers("conv")
    assert not legality.covers("gelu")


def test_of_alternatives_the_one_that_comes_furthest_is_reported():
    rules = [
        (("conv",), ("in_h > 1", "kernel_h == 3")),
        (("conv",), ("in_h == 1", "kernel_w <= 9", "stride_w == 1")),
    ]
    legality = compile_legality(rules)
    given = columns(
        in_h=[8, 8, 1, 1, 1], kernel_h=[3, 5, 1, 1, 1], kernel_w=[3, 5, 9, 11, 9], stride_w=[2, 2, 1, 1, 2]
    )
    failed = legality.failed("conv", given)
    reasons = [None if i < 0 else legality.rules[i] for i in failed]
    assert reasons == [None, "conv: kernel_h == 3", None, "conv: kernel_w <= 9", "conv: stride_w == 1"]
