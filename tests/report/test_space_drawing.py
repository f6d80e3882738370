"""The picture of a space: a valid document with everything in it, the same every time, nothing on top of another."""

from xml.etree import ElementTree as ET

import pytest

from hannah_hw import CategoricalParameter, SearchSpace, Tensor, load_space
from hannah_hw.operators import MaxPooling
from hannah_hw.report.space_drawing import draw_space
from hannah_hw.report.space_layout import lay_out

SVG = "{http://www.w3.org/2000/svg}"
SPACES = ["ds_cnn", "tc_resnet", "resnet", "mcunet", "micronets_ds_cnn"]


def parsed(document):
    return ET.fromstring(document)  # noqa: S314 (the document is the test's own)


def texts(document):
    return ["".join(text.itertext()) for text in parsed(document).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", SPACES)
def test_every_operator_of_the_default_candidate_is_written(name):
    space = load_space(name)
    document = draw_space(space)
    shown = {text.rpartition("_")[0] for text in texts(document)}
    steps = space.candidate(space.default()).plan.steps
    assert {type(step.op).__name__ for step in steps} | {"ChoiceOp"} <= shown
    names = {parameter.rpartition(".")[2] for parameter in space.parameters}
    assert names <= {text.partition(":")[0] for text in texts(document)}


@pytest.mark.parametrize("name", SPACES)
def test_boxes_are_in_their_scope_and_beside_each_other(name):
    picture = lay_out(load_space(name))

    def inside(a, b):
        return (
            b.x <= a.x and b.y <= a.y and a.x + a.width <= b.x + b.width and a.y + a.height <= b.y + b.height
        )

    def apart(a, b):
        return a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y

    around = picture.boxes[0]
    assert (around.width, around.height) == (picture.width, picture.height)
    for index, box in enumerate(picture.boxes):
        assert inside(box, around)
        for other in picture.boxes[:index]:
            assert apart(box, other) or (
                other.kind == "scope" and other.depth < box.depth and inside(box, other)
            )


@pytest.mark.parametrize("name", SPACES)
def test_data_flows_down_to_the_one_output(name):
    picture = lay_out(load_space(name))
    arrows = [wire for wire in picture.wires if wire.arrow]
    tops = {(round(box.y, 3), box.kind) for box in picture.boxes if box.kind != "scope"}
    for wire in picture.wires:
        assert wire.start[1] <= wire.bend[0] <= wire.bend[1] <= wire.stop[1]
    for wire in arrows:
        assert any(abs(wire.stop[1] - y) < 0.01 and kind != "input" for y, kind in tops)
    # Every box of operators but the input is entered.
    entered = sum(box.kind in ("operators", "choice") for box in picture.boxes)
    assert len(arrows) >= entered
    assert [box.ids for box in picture.boxes if box.kind == "input"] == [(f"{name}_0.input",)]


def test_the_same_space_gives_the_same_file():
    assert draw_space(load_space("resnet")) == draw_space(load_space("resnet"))
    assert draw_space(load_space("resnet")) != draw_space(load_space("resnet", max_blocks=3))


def test_text_of_strangers_is_escaped():
    x = Tensor('<&">', (1, 3, 8, 8), axis=("N", "C", "H", "W"))
    size = CategoricalParameter([1, 2], name="</text><script>&\0\x1b\u202e")
    document = draw_space(SearchSpace(MaxPooling(size)(x), name="<b>&\0"))
    root = parsed(document)
    assert root.find(f"{SVG}title").text.startswith("<b>&\\x00")
    assert any(text.startswith(r"</text><script>&\x00\x1b\u202e: 1, 2") for text in texts(document))
    assert '<&">' in texts(document)
    assert not list(root.iter(f"{SVG}script"))


def test_the_default_candidate_is_told_apart():
    """Of a choice, what the default does not take is dashed."""
    space = load_space("tc_resnet")
    boxes = [box for box in lay_out(space).boxes if box.kind != "scope"]
    nodes = {step.op.id for step in space.candidate(space.default()).plan.steps}
    for box in boxes:
        if box.kind == "operators":
            assert box.present == any(name in nodes for name in box.ids)
    assert {box.present for box in boxes} == {True, False}


def test_alike_blocks_are_drawn_once():
    shallow, deep = (lay_out(load_space("mcunet", max_depth=depth)) for depth in (3, 8))
    assert len(shallow.boxes) == len(deep.boxes)
    assert any("(7x)" in box.title for box in deep.boxes)
