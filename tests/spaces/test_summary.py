"""The summary of a space: figures by hand, ranges of the candidates they say they are of, the graph as a tree."""

import numpy as np
import pytest

from hannah_hw import (
    CategoricalParameter,
    FloatScalarParameter,
    IntScalarParameter,
    SearchSpace,
    SubsetParameter,
    load_space,
)
from hannah_hw.spaces.counting import Count
from hannah_hw.spaces.summary import Spread, describe_values, graph_rows, parameter_name, summarise
from tests.blocks import conv, data


def pair():
    """A convolution of 1x1 to 2, 4 or 8 channels of 3, and one of 3x3 to 5, of 6x6 pixels."""
    width = CategoricalParameter([2, 4, 8], name="width", default=4)
    return SearchSpace(conv(conv(data(3, 6, 6), width, 1), 5).cond(width != 8, "narrow"), name="pair")


def test_figures_by_hand():
    summary = summarise(pair())
    assert (summary.space, summary.nodes, summary.assignments) == ("pair", 5, 3)
    assert (summary.candidates, summary.sampled, summary.exhaustive) == (Count(2, 0.0), 2, True)
    # The condition leaves widths of 2 and 4.
    macs, weights = {w: 36 * (3 * w + 45 * w) for w in (2, 4)}, {w: 48 * w for w in (2, 4)}
    assert summary.macs == Spread(macs[4], macs[2], (macs[2] + macs[4]) / 2, macs[4])
    assert summary.weights == Spread(weights[4], weights[2], 144.0, weights[4])
    assert list(summary.conditions) == ["narrow"]
    (parameter,) = summary.parameters
    assert (parameter.kind, parameter.levels, parameter.values) == ("choice", 3, "2, 4, 8")
    assert (parameter.ordered, parameter.default) == (False, 4)


def test_ranges_are_those_of_random_candidates():
    space = load_space("ds_cnn")
    summary = summarise(space, samples=300, seed=7)
    macs = space.workload(space.sample_population(300, 7)).macs
    assert (summary.sampled, summary.exhaustive) == (300, False)
    assert (summary.macs.least, summary.macs.most) == (macs.min(), macs.max())
    assert summary.macs.median == np.median(macs)
    assert summary.macs.default == space.candidate(space.default()).macs
    assert summarise(space, samples=300, seed=7) == summary


@pytest.mark.parametrize(
    ("parameter", "kind", "text"),
    [
        (IntScalarParameter(8, 64, step_size=8), "integer", "8, 16, ..., 64"),
        (IntScalarParameter(1, 6), "integer", "1, 2, 3, 4, 5, 6"),
        (IntScalarParameter(8, 256, log=True), "integer, log scale", "8, 9, ..., 256"),
        (FloatScalarParameter(0.5, 2), "real", "0.5 to 2"),
        (CategoricalParameter(["relu", "none"]), "choice", "relu, none"),
        (SubsetParameter(["a", "b"], 0, 2), "subset", "{}, {a}, {b}, {a, b}"),
    ],
)
def test_values_and_kinds_of_parameters(parameter, kind, text):
    assert describe_values(parameter) == text
    parameter.name = "p"
    node = conv(data(3, 6, 6), 4)
    node.kernel = parameter
    node.register()
    (found,) = summarise(SearchSpace(node)).parameters
    assert (found.kind, found.levels) == (kind, len(parameter.levels) or None)


def test_names_of_parameters():
    assert parameter_name("net_0.Conv2d_0.weight.out_channels") == "out_channels"
    assert parameter_name("layer.doublechannel.2") == "doublechannel.2"
    assert parameter_name("7") == "7"


def test_the_tree_has_scopes_choices_and_shapes():
    rows = graph_rows(summarise(load_space("tc_resnet")).graph)
    assert rows == [
        ("tc_resnet_0", "Input, Conv1d, BatchNorm, Relu, AdaptiveAvgPooling, Linear", (1, 12)),
        (
            "  residual_block_0 ... 3",
            "2 Conv1d, 2 BatchNorm, 2 Relu, Identity, Add",
            (1, 24, 51),
        ),
        ("    shortcut_0", "Conv1d, BatchNorm, Relu", (1, 24, 51)),
        ("    ChoiceOp_0", "one of 2: Identity_0, shortcut_0", (1, 24, 51)),
        ("  ChoiceOp_0", "one of 4: residual_block_0 by depth", (1, 24, 13)),
    ]
