"""Any value of a document may be a parameter; what is none says so where it stands."""

import itertools
from pathlib import Path

import pytest

from hannah_hw import SearchSpace
from hannah_hw.errors import SpaceError
from hannah_hw.graph import resolve
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import parse_space
from hannah_hw.spaces.declarative.lookup import Lookup

LOOKUP = Lookup(Path(__file__).parent / "fixtures", allow_code=True)


def load(fields, block="convolutions"):
    """A space of one block of fixtures/blocks.py; its fields begin in line 6."""
    text = f"format: hannah-space/1\ninput: [2, 4, 4]\nmodules:\n  net:\n    type: blocks.py:{block}\n    "
    document = parse_space(text + fields.replace(" | ", "\n    "), "f.yaml", lookup=LOOKUP)
    return SearchSpace(build(document).output)


def macs(space, **values):
    """Of 1x1 convolutions over 4x4 values: 16 times the products of neighbouring widths, of which the first is 2."""
    return space.candidate({f"net.{name}".replace("__", "."): value for name, value in values.items()}).macs


def test_plain_values():
    space = load("widths: [3, 5]")
    assert space.parameters == {}
    assert macs(space) == 16 * (2 * 3 + 3 * 5)


def test_a_choice_is_a_categorical_parameter_with_the_path_as_its_id():
    space = load("widths: {choice: [3, 5, 4], default: 5}")
    assert list(space.parameters) == ["net.widths"]
    assert space.default() == {"net.widths": 5}
    assert [macs(space, widths=w) for w in (3, 5, 4)] == [96, 160, 128]


def test_positions_of_a_list_have_paths_too():
    space = load("widths: [3, {choice: [5, 7]}]")
    assert list(space.parameters) == ["net.widths.1"]
    assert macs(space, widths__1=7) == 16 * (2 * 3 + 3 * 7)


def test_integers_with_steps():
    space = load("widths: {int: {min: 2, max: 9, step: 3, default: 5}}")
    assert space.parameters["net.widths"].levels == (2, 5, 8)
    assert space.default() == {"net.widths": 5}
    assert load("widths: {int: {min: 2, max: 9}}").default() == {"net.widths": 2}


def test_integers_on_a_logarithmic_scale_keep_their_levels():
    assert load("widths: {int: {min: 1, max: 4, log: true}}").parameters["net.widths"].levels == (1, 2, 3, 4)


def test_a_code_has_a_parameter_for_each_position():
    space = load("widths: {code: {default: [1, 3], choices: [1, 2, 3]}}")
    assert list(space.parameters) == ["net.widths.0", "net.widths.1"]
    assert space.default() == {"net.widths.0": 1, "net.widths.1": 3}
    assert macs(space, widths__0=2) == 16 * (2 * 2 + 2 * 3)
    assert load("widths: {code: {length: 2, choices: [4, 2]}}").default() == {
        "net.widths.0": 4,
        "net.widths.1": 4,
    }


def test_a_choice_of_lists_is_one_parameter():
    space = load("widths: {choice: [[1, 2], [5, 1], [3, 3]], default: [5, 1]}")
    assert list(space.parameters) == ["net.widths"]
    assert macs(space) == 16 * (2 * 5 + 5 * 1)
    assert macs(space, widths=(1, 2)) == 16 * (2 * 1 + 1 * 2)
    assert macs(space, widths=[3, 3]) == 16 * (2 * 3 + 3 * 3)


@pytest.mark.parametrize(
    ("code", "ones"),
    [
        ("default: [0, 1, 1, 0, 0], choices: [0, 1], ones: keep", 2),
        ("length: 5, choices: [0, 1], ones: 3", 3),
        ("length: 5, choices: [1, 0], ones: 0", 0),
    ],
)
def test_a_fixed_number_of_ones_holds_for_all_candidates(code, ones):
    space = load(f"bits: {{code: {{{code}}}}}", "switched")
    names = [f"net.bits.{index}" for index in range(5)]
    assert sum(space.default().get(name, 0) for name in names) == ones
    columns = space.encoding.values(space.sample_population(300, seed=1))
    found = set(zip(*(columns[name].tolist() for name in names), strict=True))
    # All codes with that many ones, and no others.
    assert found == {code for code in itertools.product([0, 1], repeat=5) if sum(code) == ones}
    with pytest.raises(SpaceError, match=f"net.bits has {ones} ones"):
        resolve(space.order, space.outputs, dict.fromkeys(names, 1))


def test_numbers_that_yaml_takes_for_text_are_numbers_where_numbers_are_wanted():
    # The value itself is of no effect here; that it is accepted is the point, in all forms.
    for slope in (
        "1e-4",
        "{choice: [1e-4, 1E+2]}",
        "{float: {min: 0, max: 1.5}}",
        "{float: {min: 1e-4, max: 1e-2, default: 1e-3, log: true}}",
        "{int: {min: 0, max: 2}}",
    ):
        load(f"widths: 3 | slope: {slope}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("widths: on", "f.yaml:6:5 net.widths: must be a number; on, off, yes, no, true and false are truth"),
        ("widths: [1, no]", "f.yaml:6:17 net.widths.1: must be a number"),
        ("widths: {choice: [1, yes]}", "f.yaml:6:26 net.widths.choice.1: must be a number"),
        ("widths: 1e3", "net.widths: .*whole number .given: '1e3'"),
        ("widths: 2.0", "net.widths: .*whole number"),
        ("widths: 0", r"net.widths: must be at least 1 \(given: 0\)"),
        ("widths: [0]", "net.widths.0: must be at least 1"),
        ("widths: {int: {min: 0, max: 3}}", "net.widths.int.min: must be at least 1"),
        ("widths: 1 | slope: x", "net.slope: .*must be a number"),
        ("widths: 1 | slope: .nan", "net.slope: .*finite number"),
        ("widths: 1 | same: 1", "net.same: .*must be true or false"),
        ("widths: {chioce: [1, 2]}", "f.yaml:6:5 net.widths: must be one of: a plain value, {choice: "),
        ("widths: {float: {min: 1, max: 2}}", "net.widths: must be one of: .*{int: {min"),
        ("widths: 1 | slope: [1]", "net.slope: must be one of: a plain value, .*{float: "),
        ("widths: 1 | slope: {code: {length: 2, choices: [1]}}", "net.slope: must be one of: "),
        ("widths: {choice: []}", "net.widths.choice: has 0 entries; it needs 1 or more"),
        ("widths: {choice: [1, 2, 1]}", "net.widths: 1 is there twice"),
        ("widths: {choice: [1, 2], default: 3}", "net.widths: the default 3 is none of 1, 2"),
        ("widths: {choise: [1, 2]}", "net.widths: must be one of: .*; did you mean 'choice'"),
        (
            "widths: {choice: [{int: {min: 1, max: 2}}, 3]}",
            "net.widths.choice.0: is a parameter inside of another",
        ),
        ("widths: {choice: [1, x]}", "net.widths.choice.1: .*whole number"),
        ("widths: {choice: [1], defualt: 1}", "net.widths.defualt: unknown field.*did you mean 'default'"),
        ("widths: {choice: [[1, 2], [1]]}", r"the lists have the lengths 1, 2; give"),
        ("widths: {choice: [[1, 2], 1]}", "net.widths.choice.1: must be a list"),
        ("widths: {int: {min: 5, max: 1}}", "net.widths.int: there is no integer from 5 to 1"),
        ("widths: {int: {min: 1}}", "net.widths.int: the field 'max' is missing"),
        ("widths: {int: {min: 1, max: 3, step: 0}}", "net.widths.int.step: must be at least 1"),
        ("widths: {int: {min: 1, max: 5, step: 2, default: 4}}", "the default 4 is not one of 1, 1 . 2"),
        (
            "widths: 1 | slope: {float: {min: 2, max: 1}}",
            "net.slope.float: there is no number from 2.0 to 1.0",
        ),
        ("widths: 1 | slope: {float: {min: 0, max: 1, log: true}}", "log: true needs a min above 0"),
        (
            "widths: 1 | slope: {float: {min: 0, max: 1, default: 2}}",
            "the default 2.0 is not from 0.0 to 1.0",
        ),
        ("widths: {code: {choices: [1, 2]}}", "net.widths.code: give 'default', or 'length'"),
        (
            "widths: {code: {default: [1], length: 2, choices: [1]}}",
            "the default has 1 positions, length is 2",
        ),
        ("widths: {code: {default: [3], choices: [1]}}", "the default 3 is none of 1"),
        (
            "widths: {code: {length: 2, choices: [1, 2], ones: keep}}",
            r"ones: keep needs the choices \[0, 1\]",
        ),
        ("widths: {code: {length: 2, choices: [1], ones: kept}}", "net.widths.code.ones"),
    ],
)
def test_what_is_no_value_says_so_where_it_stands(fields, message):
    with pytest.raises(SpaceError, match=message):
        load(fields)
