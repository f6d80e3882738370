"""Parameters: levels, defaults, samples, copies, and what they refuse."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import (
    Assignment,
    CategoricalParameter,
    FloatScalarParameter,
    IntScalarParameter,
    SearchSpace,
    SubsetParameter,
    Tensor,
    lazy,
)
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Int
from hannah_hw.graph import Op
from hannah_hw.operators import Relu


def test_defaults_are_the_first_values():
    assert lazy(IntScalarParameter(min=8, max=64, name="c")) == 8
    assert lazy(FloatScalarParameter(0.5, 2.0)) == 0.5
    assert lazy(CategoricalParameter([3, 1])) == 3
    assert lazy(SubsetParameter(["a", "b"], 1, 2)) == ("a",)
    assert lazy(IntScalarParameter(8, 64, default=32)) == 32
    assert lazy(CategoricalParameter([3, 1], default=1)) == 1


def test_repr_reads_like_the_seed_document():
    parameter = IntScalarParameter(min=8, max=64, name="out_channels")
    parameter.id = "Conv2d_0.weight.out_channels"
    assert repr(parameter) == (
        "IntScalarParameter(rng = Generator(PCG64), name = out_channels, id = Conv2d_0.weight.out_channels, "
        "min = 8, max = 64, step_size = 1, current_value = 8)"
    )
    assert repr(CategoricalParameter(name="stride", choices=[1, 2])) == (
        "CategoricalParameter(rng = Generator(PCG64), name = stride, id = None, choices = [1, 2], current_value = 1)"
    )


@pytest.mark.parametrize("rng", [None, 7, np.random.default_rng(7)])
def test_samples_are_uniform_over_levels(rng):
    parameter = IntScalarParameter(0, 27, 3, rng=rng)
    counts = Counter(parameter.sample() for _ in range(2000))
    assert set(counts) == set(range(0, 28, 3))
    # 200 expected each; 5 standard deviations of a binomial count are 67.
    assert all(133 < count < 267 for count in counts.values())


def test_float_samples_fill_the_range():
    values = [FloatScalarParameter(1, 3).sample(np.random.default_rng(i)) for i in range(200)]
    assert all(1 <= value <= 3 for value in values)
    assert max(values) - min(values) > 1.5


def test_the_same_seed_samples_the_same():
    one, two = (SubsetParameter(range(6), 2, 4, rng=5) for _ in range(2))
    assert [one.sample() for _ in range(20)] == [two.sample() for _ in range(20)]


@pytest.mark.parametrize(
    "parameter",
    [
        IntScalarParameter(4, 32, 4, name="p", default=12),
        IntScalarParameter(4, 32, 4, name="p", default=12, log=True),
        FloatScalarParameter(0.01, 1, name="p", default=0.1, log=True),
        FloatScalarParameter(0, 1, name="p", default=0.25),
        CategoricalParameter(["x", None], name="p", default="x"),
        SubsetParameter("abc", 1, 2, name="p", default=("a", "c")),
    ],
)
def test_new_is_independent_and_equal(parameter):
    parameter.id = "taken"
    other = parameter.new()
    assert other is not parameter
    assert (other.id, other.name, other.levels, other.default) == (
        "",
        "p",
        parameter.levels,
        parameter.default,
    )
    parameter.id = ""
    assert repr(other) == repr(parameter)


def test_logarithmic_integers_are_as_likely_in_every_octave():
    """An octave's share is the sum of 1/n over it against that over all."""
    parameter = IntScalarParameter(1, 255, log=True)
    counts = np.bincount([parameter.sample() for _ in range(4000)], minlength=256)
    harmonic = sum(1 / n for n in range(1, 256))
    for low in (1, 8, 64, 128):
        expected = 4000 * sum(1 / n for n in range(low, 2 * low)) / harmonic
        assert abs(counts[low : 2 * low].sum() - expected) < 5 * expected**0.5
    assert parameter.weights.sum() == pytest.approx(1)


def test_logarithmic_reals_are_uniform_in_their_logarithm():
    parameter = FloatScalarParameter(1e-4, 1, log=True)
    decades = Counter(int(np.floor(np.log10(parameter.sample()))) for _ in range(2000))
    assert set(decades) == {-4, -3, -2, -1}
    assert all(400 < count < 600 for count in decades.values())
    np.testing.assert_allclose(parameter.at(np.array([0, 0.25, 0.5, 1])), [1e-4, 1e-3, 1e-2, 1])
    assert parameter.positions(np.array([1e-3])) == pytest.approx([0.25])
    assert FloatScalarParameter(2, 2, log=True).positions(np.array([2.0])) == [0]


class Uses(Op):
    """Has parameters of any kind as an attribute."""

    def __init__(self, *values):
        super().__init__()
        self.values = values


def space_of(*parameters):
    return SearchSpace(Uses(*parameters)(Tensor("x", (1, 3))))


def test_a_space_samples_logarithmic_parameters_by_their_weights():
    space = space_of(
        IntScalarParameter(8, 512, 8, name="width", log=True),
        FloatScalarParameter(1e-4, 1, name="rate", log=True),
    )
    X = space.sample_population(4000, seed=1)
    values = space.encoding.values(X)
    weights = 1 / np.arange(8, 513, 8)
    expected = 4000 * weights[:8].sum() / weights.sum()
    assert abs((values["Uses_0.width"] <= 64).sum() - expected) < 5 * expected**0.5
    rates = np.log10(values["Uses_0.rate"])
    assert np.histogram(rates, bins=4, range=(-4, 0))[0] == pytest.approx([1000] * 4, abs=150)
    candidate = space.candidate({"Uses_0.rate": 0.01})
    assert candidate.assignment["Uses_0.rate"] == pytest.approx(0.01)


categories = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.floats(-2, 2),
    lambda parts: st.lists(parts, max_size=3).map(tuple),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(categories, min_size=1, max_size=5, unique_by=lambda v: (v, ())),
    st.integers(0, 2**32 - 1),
)
def test_assignments_go_through_json(choices, seed):
    space = space_of(
        IntScalarParameter(1, 64, name="a"),
        IntScalarParameter(1, 64, name="b", log=True),
        FloatScalarParameter(-1, 3, name="c"),
        FloatScalarParameter(1e-5, 3, name="d", log=True),
        CategoricalParameter(choices, name="e"),
        SubsetParameter([*choices, "else", ("x", (1, 2))], 0, 2, name="f"),
        CategoricalParameter([[3, [1, 1]], [5, [2, 2]]], name="g"),
    )
    assignment = space.sample(seed)
    again = Assignment.from_dict(json.loads(json.dumps(assignment.to_dict())))
    assert again == assignment
    assert hash(again) == hash(assignment)
    assert space.candidate(again).id == space.candidate(assignment).id
    assert space.candidate(assignment.to_dict()).assignment == assignment


def test_subsets_are_all_combinations_of_the_allowed_sizes():
    assert SubsetParameter("abc", 1, 2).levels == (
        *[("a",), ("b",), ("c",)],
        *[("a", "b"), ("a", "c"), ("b", "c")],
    )
    with pytest.raises(SpaceError, match="more than 65536 subsets"):
        SubsetParameter(range(64), 0, 64)


def test_choices_become_plain_values():
    assert CategoricalParameter(np.arange(3)).numeric
    assert CategoricalParameter([[3, 3], [1, 5]]).levels == ((3, 3), (1, 5))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: IntScalarParameter(5, 4), "are none"),
        (lambda: IntScalarParameter(0, 4, 0), "are none"),
        (lambda: IntScalarParameter(0.5, 4), "must be integers"),
        (lambda: IntScalarParameter(0, 8, 4, default=2), "2, not one of 0, 4, 8"),
        (lambda: FloatScalarParameter(2, 1), "no number from 2 to 1"),
        (
            lambda: FloatScalarParameter(0, 1, name="rate", log=True),
            "min of the parameter 'rate' is 0; .* above 0",
        ),
        (lambda: IntScalarParameter(-2, 1, log=True), "on a logarithmic scale it must be above 0"),
        (lambda: FloatScalarParameter(float("nan"), 1), "no number"),
        (lambda: FloatScalarParameter(0, 1, default="a"), "not a number from"),
        (lambda: CategoricalParameter([]), "no choices"),
        (lambda: CategoricalParameter([1, 2, 1]), "choice 1 twice"),
        (lambda: CategoricalParameter([1, 2], default=3), "3, not one of 1, 2"),
        (lambda: SubsetParameter("ab", 1, 3), "1 to 3 of 2 choices"),
        (lambda: SubsetParameter("aa", 0, 1), "choice 'a' twice"),
    ],
)
def test_impossible_parameters_are_refused(build, message):
    with pytest.raises(SpaceError, match=message):
        build()


def test_checks_name_the_parameter_and_shorten_long_lists():
    parameter = IntScalarParameter(8, 512, 8, name="width")
    with pytest.raises(SpaceError, match=r"width is 13, not one of 8, 16, 24, 32, \.\.\., 512 \(64 values\)"):
        parameter.check(13)


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e9),
    st.booleans(),
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
def test_candidates_have_short_values_that_stay_what_they_are(low, span, log, positions):
    low = abs(low) + 1e-6 if log else low
    parameter = FloatScalarParameter(low, low + span, log=log)
    snapped = parameter.snapped(np.array(positions))
    values = parameter.at(snapped)
    np.testing.assert_array_equal(parameter.snapped(snapped), snapped)
    np.testing.assert_array_equal(parameter.at(np.array(positions)), values)
    for value in values.tolist():
        parameter.check(value)
        if low < value < low + span:
            # About as many digits as five behind the first one of the range, or of the value.
            tens = 10.0 ** (np.floor(np.log10(value if log else span)) - 5)
            assert value / tens == pytest.approx(round(value / tens), abs=1e-5 + 1e-10 * abs(value / tens))


def test_round_numbers_stay_round():
    ratio = FloatScalarParameter(0.5, 2.0, name="multiplier", default=1.0)
    rate = FloatScalarParameter(1e-5, 0.3, name="rate", default=1e-3, log=True)
    tensor = Tensor("x", (1, Int(ratio * 8), Int(rate * 1000) + 1))
    space = SearchSpace(Relu()(tensor))
    assert set(space.default().values()) == {1.0, 1e-3}
    assert space.candidate({}).shapes["x"] == (1, 8, 2)
    for value in (0.5, 0.7, 0.75, 1.1, 1.5, 2.0):
        assert space.candidate({"x.multiplier": value}).assignment["x.multiplier"] == value
    for value in (1e-5, 3e-4, 0.02, 0.3):
        assert space.candidate({"x.rate": value}).assignment["x.rate"] == value
