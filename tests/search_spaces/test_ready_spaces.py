"""The spaces that are shipped: what they hold, and that they scale to other data."""

import numpy as np
import pytest
import torch

from hannah_hw import load_space, to_torch
from tests.blocks import kernels_of

SHAPES = {"ds_cnn": [(1, 28, 28), (3, 17, 9)], "tc_resnet": [(40, 101), (3, 37)]}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("blocks", [1, 3])
def test_any_data_and_depth(name, which, blocks):
    shape = SHAPES[name][which]
    space = load_space(name, input_shape=shape, classes=7, max_blocks=blocks)
    for row in space.sample_population(4, seed=blocks):
        module = to_torch(space.candidate(space.encoding.assignment(row))).eval()
        assert module(torch.zeros(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", SHAPES)
def test_every_block_and_option_occurs(name):
    space = load_space(name)
    X = space.sample_population(400, seed=0)
    table = space.workload(X)
    assert table.kernels.active.any(axis=0).all()
    assert space.encoding.active(X).any(axis=0).all()
    assert table.macs.max() > 20 * table.macs.min()
    assert (table.macs > 0).all()
    assert (space.parameter_counts(X) > 0).all()


def test_ds_cnn_of_depth_one_by_hand():
    space = load_space("ds_cnn")
    depth = next(k for k in space.parameters if k.endswith(".depth"))
    candidate = space.candidate({depth: 0})
    # Stem 3x3, 8 channels, stride 2; depthwise 3x3; pointwise to 8; global pooling; 8 to 10.
    rows = kernels_of(candidate.workload())
    assert [(r["kind"], r["groups"], r["macs"]) for r in rows] == [
        ("conv", 1, 8 * 9 * 14 * 14),
        ("conv", 8, 8 * 9 * 14 * 14),
        ("conv", 1, 8 * 8 * 14 * 14),
        ("avg_pool", 8, 0),
        ("linear", 1, 80),
    ]
    # Weights, scale and offset of three batch normalisations, and the classifier.
    assert candidate.parameters == 72 + 72 + 64 + 3 * 16 + 90
    assert candidate.workload().buffers.bytes.tolist() == [[784, 1568, 1568, 1568, 8, 10]]


def test_tc_resnet_takes_the_identity_only_where_it_fits():
    space = load_space("tc_resnet")
    short = {k.partition(".residual_block_0.")[2]: k for k in space.parameters}
    width = space.parameters["tc_resnet_0.Conv1d_0.weight.out_channels"].id

    def convolutions(channels, stride):
        names = [k for k in short.values() if "residual_block_0" in k]
        out = next(k for k in names if k.endswith("out_channels"))
        step = next(k for k in names if k.endswith("stride"))
        depth = next(k for k in space.parameters if k.endswith(".depth"))
        candidate = space.candidate({width: 16, out: channels, step: stride, depth: 0})
        return sum(row["kind"] == "conv" for row in kernels_of(candidate.workload()))

    assert convolutions(16, 1) == 3
    assert convolutions(16, 2) == convolutions(24, 1) == convolutions(24, 2) == 4


def test_population_columns_do_not_depend_on_the_company():
    space = load_space("ds_cnn")
    X = space.sample_population(20, seed=6)
    together, alone = space.workload(X), space.workload(X[7:8])
    for name in together.kernels.columns:
        active = together.kernels.active[7]
        np.testing.assert_array_equal(together.kernels[name][7, active], alone.kernels[name][0, active])
    np.testing.assert_array_equal(together.buffers.bytes[7], alone.buffers.bytes[0])
