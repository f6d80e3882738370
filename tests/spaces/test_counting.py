"""How many candidates a space has, by hand and by listing them all."""

import itertools
import math

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    FloatScalarParameter,
    IntScalarParameter,
    SearchSpace,
    dynamic_depth,
    load_space,
    search_space,
)
from hannah_hw.expressions import Int
from hannah_hw.operators import Relu, Relu6
from hannah_hw.spaces.counting import Count, assignments, distinct, every_candidate
from tests.blocks import conv, data


@search_space
def small():
    """Up to three convolutions of 2 kernels each, and one of two activations after the first."""
    x = conv(data(3, 8, 8), 4, IntScalarParameter(1, 3, step_size=2, name="kernel"))
    x = ChoiceOp(Relu(), Relu6())(x)
    exits = [x]
    for _ in range(2):
        x = conv(x, 4, IntScalarParameter(1, 3, step_size=2, name="kernel"))
        exits.append(x)
    return dynamic_depth(*exits, switch=IntScalarParameter(0, 2, name="depth"))


#: Depth 0 has 2 kernels and 2 activations; every further convolution doubles that.
OF_SMALL = 4 + 8 + 16


def listed(space):
    """Distinct candidates among all assignments, one by one."""
    values = [[(name, level) for level in p.levels] for name, p in space.parameters.items()]
    return {space.candidate(dict(chosen)).id for chosen in itertools.product(*values)}


def test_a_small_space_is_counted_by_looking_at_all_of_it():
    space = SearchSpace(small())
    assert assignments(space) == 2 * 2 * 2 * 2 * 3
    assert distinct(space) == Count(OF_SMALL, 0.0)
    rows = every_candidate(space)
    ids = [space.candidate(space.encoding.assignment(row)).id for row in rows]
    assert len(set(ids)) == len(ids) == OF_SMALL
    assert set(ids) == listed(space)


def test_a_large_space_is_counted_by_what_decides():
    """The same number without looking at all 48 assignments: the depth has three levels."""
    space = SearchSpace(small())
    assert every_candidate(space, limit=47) is None
    assert distinct(space, limit=47) == distinct(space, limit=3) == Count(OF_SMALL, 0.0)


def test_ready_spaces_by_hand():
    # Stem: 4 widths, 2 kernels; a block: 6 widths, 4 kernels, 2 strides; one to four blocks.
    assert distinct(load_space("tc_resnet")) == Count(8 * sum(48**n for n in range(1, 5)), 0.0)
    # Stem: 68 widths; a block: 68 widths, 2 strides; one to seven blocks.
    assert distinct(load_space("micronets_ds_cnn")) == Count(68 * sum(136**n for n in range(1, 8)), 0.0)


def test_an_estimate_is_as_good_as_it_says():
    # Two resolutions, stem 7 widths, 3 kernels; a stage of one to four blocks of 9 (3 kernels, 3 expansions) and of
    # 5, 7, 11, 13 and 21 widths.
    exact = 2 * 7 * 3 * sum(9**n for n in range(1, 5)) ** 5 * 5 * 7 * 11 * 13 * 21
    space = load_space("mcunet")
    count = distinct(space)
    assert 0 < count.error < 0.1
    assert abs(count.value - exact) < 4 * count.error * exact
    assert distinct(space) == count


def test_what_has_no_number():
    x = data(3, 8, 8)
    continuous = SearchSpace(conv(x, Int(FloatScalarParameter(4, 8, name="width"))))
    assert assignments(continuous) is None
    assert distinct(continuous) is None
    assert every_candidate(continuous) is None


def test_a_space_without_parameters_has_one_candidate():
    space = load_space("mlperf_tiny:resnet8")
    assert assignments(space) == 1
    assert distinct(space) == Count(1, 0.0)
    assert every_candidate(space).shape == (1, 0)


def test_conditions_leave_fewer():
    first = CategoricalParameter([8, 16, 32], name="first")
    second = CategoricalParameter([8, 16, 32], name="second")
    last = conv(conv(data(3, 8, 8), first), second)
    space = SearchSpace(last.cond(first * second <= 256, "few channels"))
    assert assignments(space) == 9
    # The products are 64, 128 twice, 256 three times, 512 twice and 1024.
    assert distinct(space) == Count(6, 0.0)
    estimated = distinct(space, limit=8)
    assert (estimated.value, 0 < estimated.error < 0.01) == (6, True)


def test_assignments_of_a_large_space_are_counted_exactly():
    space = load_space("resnet")
    assert assignments(space) == math.prod(len(p.levels) for p in space.parameters.values())
    assert assignments(space) > 2**64
