"""The spaces that are shipped: what they hold, and that they scale to other data."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hannah_hw import estimate_population, legalize, load_space, load_target, to_torch
from hannah_hw.errors import SpaceError
from tests.blocks import kernels_of
from tests.search_spaces.agreement import compare

#: Space -> shapes of data, and the option that says how deep it is.
SPACES = {
    "ds_cnn": ([(1, 28, 28), (3, 17, 9)], "max_blocks"),
    "tc_resnet": ([(40, 101), (3, 37)], "max_blocks"),
    "mcunet": ([(3, 48, 48), (1, 37, 23)], "max_depth"),
    "micronets_ds_cnn": ([(1, 49, 10), (3, 20, 33)], "max_blocks"),
    "nas_bench_201": ([(3, 16, 16), (1, 11, 6)], "cells"),
    "resnet": ([(3, 32, 32), (1, 65, 70)], "max_blocks"),
    "pooled_cnn": ([(1, 28, 28), (3, 33, 21)], "max_pools"),
}
#: Options with which every construct of a space is there, and little more.
SMALL = {"nas_bench_201": {"cells": 1}, "mcunet": {"max_depth": 2}}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("depth", [1, 2])
def test_any_data_and_depth(name, which, depth):
    shapes, option = SPACES[name]
    space = load_space(name, input_shape=shapes[which], classes=7, **{option: depth})
    for row in space.sample_population(2, seed=depth):
        module = to_torch(space.candidate(space.encoding.assignment(row))).eval()
        assert module(torch.zeros(2, *shapes[which])).shape == (2, 7)


@pytest.mark.parametrize("name", SPACES)
def test_every_block_and_option_occurs(name):
    space = load_space(name, **SMALL.get(name, {}))
    X = space.sample_population(400, seed=0)
    table = space.workload(X)
    # An activation may find a producer that applies it in every candidate.
    absent = np.flatnonzero(~table.kernels.active.any(axis=0))
    assert {table.kernels.kinds[n] for n in absent} <= {"activation"}
    assert space.encoding.active(X).any(axis=0).all()
    assert table.exists.all()
    assert table.macs.max() > 3 * table.macs.min()
    assert (table.macs > 0).all()
    assert (space.parameter_counts(X) > 0).all()


@pytest.mark.parametrize("name", SPACES)
def test_candidates_are_what_their_exported_files_are_and_compute(name):
    space = load_space(name, **SMALL.get(name, {}))
    names, mismatches, deviations = compare(space, 15, seed=1)
    assert len(set(names)) == 15
    assert mismatches == []
    assert max(deviations) < 1e-4


@pytest.mark.parametrize("name", SPACES)
def test_torch_counts_the_same_operations(name):
    shapes, _ = SPACES[name]
    space = load_space(name, input_shape=shapes[1], **SMALL.get(name, {}))
    for row in space.sample_population(3, seed=2):
        candidate = space.candidate(space.encoding.assignment(row))
        module = to_torch(candidate).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.zeros(1, *shapes[1]))
        assert counter.get_total_flops() == 2 * candidate.macs
        assert sum(p.numel() for p in module.parameters()) == candidate.parameters


def test_a_searched_resolution_is_the_space_of_smaller_images():
    """Pooled by two, images of 96 pixels make the network that images of 48 make."""
    large, small = load_space("mcunet"), load_space("mcunet", input_shape=(3, 48, 48))
    resolution = large.encoding.ids.index("mcunet_0.ChoiceOp_0.reduction")
    X = large.sample_population(200, seed=3)
    halved, full = X.copy(), X.copy()
    halved[:, resolution], full[:, resolution] = 1, 0
    np.testing.assert_array_equal(large.workload(halved).macs, small.workload(full).macs)
    assert (large.workload(full).macs > 2.5 * large.workload(halved).macs).all()


def test_a_connection_of_mcunet_is_there_where_the_width_stays():
    """All blocks of a stage but the first have one; that of a stage of stride 1 has, if the stage keeps the width."""
    space = load_space("mcunet")
    X = space.sample_population(60, seed=4)
    kernels = space.workload(X).kernels
    additions = kernels.active[:, [kind == "add" for kind in kernels.kinds]].sum(axis=1)
    values = space.encoding.values(X)

    def of(suffix):
        (name,) = [p for p in space.parameters if p.endswith(suffix)]
        return values[name]

    depths = sum(of(f"stage_{i}.ChoiceOp_0.depth") for i in range(5))
    first, last = (
        of(f"stage_{i}.inverted_residual_0.Conv2d_2.weight.out_channels").astype(int) for i in (2, 3)
    )
    stem = of("mcunet_0.Conv2d_0.weight.out_channels")
    expected = depths - 5 + (first == last) + (stem == 8)
    np.testing.assert_array_equal(additions, expected)


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


def test_pooled_cnn_by_hand_at_its_smallest():
    space = load_space("pooled_cnn")
    named = {k: 0 for k in space.parameters if k.endswith(".depth")}
    named |= {k: 8 for k in space.parameters if k.endswith("out_channels")}
    named |= {k: 3 for k in space.parameters if k.endswith("_size")}
    # 3x3 to 8 channels, pooling of 3x3 by steps of 2 to 13 x 13, 3x3 to 8, global pooling, 8 to 10.
    rows = kernels_of(space.candidate(named).workload())
    assert [(r["kind"], r["out_h"], r["macs"]) for r in rows] == [
        ("conv", 28, 8 * 9 * 28 * 28),
        ("max_pool", 13, 0),
        ("conv", 13, 8 * 8 * 9 * 13 * 13),
        ("avg_pool", 1, 0),
        ("linear", 1, 80),
    ]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_max78000_prices_every_pooled_cnn(shape):
    """The chip has neither strides nor depthwise convolution, so it can run none of the other spaces of images."""
    target = load_target("max78000")
    legal = legalize(load_space("pooled_cnn", input_shape=shape), target).space
    X = legal.sample_population(100, seed=5)
    assert len(np.unique(X, axis=0)) > 90
    costs = estimate_population(legal, X, target)
    assert np.isfinite(costs.latency_s).all()
    assert (costs.latency_s > 0).all()
    assert costs.supported.all()


@pytest.mark.parametrize("name", ["ds_cnn", "resnet", "mcunet"])
def test_max78000_runs_no_space_of_strides(name):
    with pytest.raises(SpaceError, match="can run no network"):
        legalize(load_space(name), load_target("max78000"))


def test_population_columns_do_not_depend_on_the_company():
    space = load_space("ds_cnn")
    X = space.sample_population(20, seed=6)
    together, alone = space.workload(X), space.workload(X[7:8])
    for name in together.kernels.columns:
        active = together.kernels.active[7]
        np.testing.assert_array_equal(together.kernels[name][7, active], alone.kernels[name][0, active])
    np.testing.assert_array_equal(together.buffers.bytes[7], alone.buffers.bytes[0])
