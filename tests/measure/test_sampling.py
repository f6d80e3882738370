"""Sampled shapes: of the class they are said to be of, with geometry that adds up, spread over the ranges."""

import numpy as np
import pytest

from hannah_hw.cost.libraries import LIBRARIES
from hannah_hw.errors import InputError
from hannah_hw.measure.sampling import MOST_MACS, MOST_READS, RECIPES, kernel_table, sample_shapes

LIBRARY = LIBRARIES["hannah_dsp"]
NAMES = {entry.name for entry in LIBRARY.classes}
WEIGHTED = [name for name in RECIPES if name in NAMES and name.startswith(("conv", "dw", "fc"))]


def sample(name, count=120, seed=0):
    return sample_shapes(name, count, seed=seed, library=LIBRARY)


@pytest.mark.parametrize("entry", LIBRARY.classes, ids=lambda entry: entry.name)
def test_every_class_of_the_library_is_sampled_in_full(entry):
    shapes = sample(entry.name, 60)
    assert len(shapes) == 60
    classes = LIBRARY.classify(kernel_table(shapes))[0]
    assert {LIBRARY.classes[index].name for index in classes} == {entry.name}


@pytest.mark.parametrize("name", ["conv", "conv_1xn", "dw", "dw_5x5_s2", "avg_pool", "max_pool"])
def test_outputs_are_as_large_as_windows_that_fit(name):
    for shape in sample(name):
        c = shape.columns
        for axis, (before, after) in {"h": ("pad_top", "pad_bottom"), "w": ("pad_left", "pad_right")}.items():
            padded = c[f"in_{axis}"] + c[before] + c[after]
            reach = (c[f"kernel_{axis}"] - 1) * c[f"dilation_{axis}"] + 1
            fits = [start for start in range(0, padded, c[f"stride_{axis}"]) if start + reach <= padded]
            assert c[f"out_{axis}"] == len(fits)


@pytest.mark.parametrize("name", WEIGHTED)
def test_work_is_counted_by_hand_and_limited(name):
    for shape in sample(name):
        c = shape.columns
        inputs = c["in_channels"] // c["groups"]
        assert c["in_channels"] % c["groups"] == c["out_channels"] % c["groups"] == 0
        assert c["weights"] == c["out_channels"] * c["kernel_h"] * c["kernel_w"] * inputs
        pixels = c["in_h"] * c["in_w"] if name == "conv_transpose" else c["out_h"] * c["out_w"]
        assert c["macs"] == c["weights"] * pixels <= MOST_MACS


def test_parts_of_concatenations_and_slices_lie_in_the_result():
    sides = ("h", "w", "channels")
    for shape in sample("concat"):
        axis = sides[shape.moves.axis]
        assert sum(shape.moves.parts) == shape.columns[f"out_{axis}"]
        assert shape.moves.parts[0] == shape.columns[f"in_{axis}"]
        assert len(shape.moves.parts) == shape.columns["operands"]
    for shape in sample("slice"):
        axis = sides[shape.moves.axis]
        assert shape.moves.begin + shape.columns[f"out_{axis}"] <= shape.columns[f"in_{axis}"]
    for shape in sample("permute"):
        assert shape.output_shape == tuple(shape.input_shape[axis] for axis in shape.moves.order)


def test_sizes_strides_and_paddings_that_networks_have_are_covered():
    columns = {
        name: np.array([s.columns[name] for s in sample("conv", 300)])
        for name in sample("conv", 1)[0].columns
    }
    kernels = set(zip(columns["kernel_h"].tolist(), columns["kernel_w"].tolist(), strict=True))
    assert {(3, 3), (5, 5), (7, 7), (10, 4), (1, 3)} <= kernels
    assert {1, 2} <= set(columns["stride_h"].tolist())
    assert (columns["in_channels"] % 4 != 0).any()
    assert (columns["in_channels"] % 8 == 0).any()
    assert columns["out_channels"].min() <= 4
    assert columns["out_channels"].max() >= 128
    assert columns["in_h"].min() <= 4
    assert columns["in_h"].max() >= 90
    assert (columns["pad_top"] != columns["pad_bottom"]).any()
    assert ((columns["pad_top"] == 0) & (columns["kernel_h"] > 1)).any()


def test_elementwise_operands_are_limited():
    assert max(np.prod(shape.output_shape) for shape in sample("concat")) <= MOST_READS


def test_the_same_seed_gives_the_same_shapes_and_another_seed_others():
    first = sample("conv")
    assert first == sample("conv")
    assert len(set(map(repr, first))) == len(first)
    assert not {repr(s) for s in first} & {repr(s) for s in sample("conv", seed=1)}


def test_a_class_without_a_recipe_is_named():
    with pytest.raises(InputError, match="dw_3x4"):
        sample("dw_3x4")
