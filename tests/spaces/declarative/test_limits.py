"""Documents that describe too much end with a message, before anything large is made."""

import time

import pytest

from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import parse_space

HEAD = "format: hannah-space/1\ninput: [3, 16, 16]\nmodules:\n"
STEM = "  stem: {type: SmallInputInitialBlock, init_plane: %s}\n"
VARIANT = (
    "  net: {type: VariantLayer, block: {type: BasicBlock}, downsample: 0, doublechannel: {code: {%s}}}\n"
)
REPEAT = "{type: Repeat, num_reps: 100, items: {}, ref: %s}"


def nested(depth):
    text = "{type: View}"
    for _ in range(depth):
        text = REPEAT % text
    return f"  net: {text}\n"


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (STEM % "{int: {min: 1, max: 1000000000000}}", "stem.init_plane.int.max: must be at most 2147483647"),
        (STEM % "{int: {min: 1, max: 1000000000}}", "there are 1000000000 values; .* give a larger step"),
        (
            STEM % "10000000000",
            r"f.yaml:4:40 stem.init_plane: must be at most 2147483647 \(given: 10000000000\)",
        ),
        (VARIANT % "length: 1000000000, choices: [0, 1]", "doublechannel.code.length: must be at most 1000"),
        (VARIANT % f"default: [{'0, ' * 1001}], choices: [0, 1]", "default: has 1001 entries; .* up to 1000"),
        (
            "  net: {type: Repeat, num_reps: 1000000, items: {}, ref: {type: View}}\n",
            "f.yaml:4:23 net.num_reps: must be at most 1000",
        ),
        (nested(6), "f.yaml:4:.* net.ref.ref.* the network has more than 1000 blocks; repeat fewer .E_SIZE."),
        (
            "".join(f"  m{i}: {{type: View}}\n" for i in range(1001)),
            "f.yaml:1004:3 m1000: the network has more than 1000 blocks",
        ),
        (
            "  net: {type: Repeat, num_reps: 1, ref: {type: View}, items: {a: [%s]}}\n"
            % ("{choice: [2, 3]}, " * 2001),
            "f.yaml:4:.* net.items.a.2000: the document has more than 2000 parameters",
        ),
    ],
)
def test_what_is_too_large_is_refused_at_once(modules, message):
    start = time.process_time()
    with pytest.raises(SpaceError, match=message):
        build(parse_space(HEAD + modules, "f.yaml"))
    assert time.process_time() - start < 20


def test_a_choice_of_many_values_is_read_in_linear_time():
    values = ", ".join(map(str, range(1, 15_001)))
    start = time.process_time()
    document = parse_space(HEAD + STEM % f"{{choice: [{values}]}}", "f.yaml")
    assert time.process_time() - start < 10
    assert len(document.modules["stem"].fields["init_plane"].choice) == 15_000
    with pytest.raises(SpaceError, match=r"stem\.init_plane: 7 is there twice"):
        parse_space(HEAD + STEM % f"{{choice: [{values}, 7]}}", "f.yaml")


def test_a_network_may_have_the_largest_number_of_blocks():
    assert build(parse_space(HEAD + "".join(f"  m{i}: {{type: View}}\n" for i in range(1000)), "f.yaml"))
