"""Sizes of inputs that a file leaves open."""

import pytest

from hannah_hw.errors import ModelError
from hannah_hw.lowering.open_shapes import closed_shapes


@pytest.mark.parametrize(
    ("inputs", "given", "expected"),
    [
        ({"x": (1, 3, 8)}, None, {"x": (1, 3, 8)}),
        ({"rate": ()}, None, {"rate": ()}),
        ({"x": (None, 3)}, None, {"x": (1, 3)}),
        ({"x": (-1, 3)}, None, {"x": (1, 3)}),
        ({"x": ("N", "T", 40)}, (2, 7, 40), {"x": (2, 7, 40)}),
        ({"x": ("N", "T"), "mask": ("N", "T")}, {"x": (2, 7)}, {"x": (2, 7), "mask": (2, 7)}),
        ({"x": ("N", 576), "state": (2, "N", 128)}, None, {"x": (1, 576), "state": (2, 1, 128)}),
        ({"state": (2, "N", 128), "x": ("N", 576)}, None, {"state": (2, 1, 128), "x": (1, 576)}),
        ({"a": ("N", 4), "b": ("N", 4)}, {"b": (3, 4)}, {"a": (3, 4), "b": (3, 4)}),
    ],
)
def test_sizes_follow_from_names_and_from_what_is_given(inputs, given, expected):
    assert closed_shapes(inputs, given, where="m.onnx") == expected


@pytest.mark.parametrize(
    ("inputs", "given", "message"),
    [
        ({"x": ("N", 3, "H", None)}, None, r"\(N, 3, H, \?\); give one with --shape, .* --shape 1,3,16,16$"),
        ({"x": ("T",), "y": ("N", "U")}, {"x": (5,)}, r"'y' has .* --shape y=1,16$"),
        ({"x": ("N", "T"), "y": ("N", "U")}, None, r"'x' has .* --shape x=1,16; 'y' too$"),
        # What exporters write where they know nothing is no name: these two sizes are not one.
        ({"x": ("?", "?"), "y": (1, "?")}, {"x": (4, 4)}, r"'y' has the dynamic shape \(1, \?\)"),
        ({"x": (1, 3), "y": (1, 3)}, (1, 3), "the model has the inputs x, y; give a shape for each by name"),
        ({"x": (1, 3)}, {"X": (1, 3)}, "no input 'X'; allowed: x"),
        ({"x": (1, 3)}, (1, 4), r"the shape \(1, 4\) does not fit the input 'x', which is \(1, 3\)"),
        ({"x": ("N", 3)}, (0, 3), "does not fit"),
        ({"x": ("N", 3)}, (1, 3, 1), r"the shape \(1, 3, 1\) does not fit the input 'x', which is \(N, 3\)"),
    ],
)
def test_what_is_left_open_or_does_not_fit(inputs, given, message):
    with pytest.raises(ModelError, match=r"^m\.onnx: .*" + message):
        closed_shapes(inputs, given, where="m.onnx")
