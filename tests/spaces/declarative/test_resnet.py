"""Residual networks of the declarative form: counts and shapes by hand, outputs against plain torch networks."""

import itertools

import numpy as np
import pytest
import torch

from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.spaces.declarative.problems import SpaceWarning
from tests.spaces.declarative.networks import (
    PRUNED20,
    RESNET20,
    Basic,
    Bottle,
    plain_resnet,
    preset_rows,
    randomise,
    space_of,
    with_weights_of,
)

VARIANT = {
    "type": "ResNetVariant",
    "base_depth": 18,
    "base_channel": 64,
    "doublechannel": [0, 0, 1, 0, 1, 0, 1, 0],
    "downsample": [0, 0, 1, 0, 1, 0, 1, 0],
}
FINE = {
    "init": {"type": "InitialBlock", "init_plane": 64},
    "layer": {
        "type": "BasicLayer",
        "in_plane": 64,
        "expansion": 4,
        "block": {"type": "BottleneckBlock"},
        "layer_reps": [3, 4, 6, 3],
    },
    "pooling": {"type": "AdaptiveAvgPool2d", "output_size": [1, 1]},
    "view": {"type": "View"},
    "linear": {"type": "Linear", "in_features": 2048, "out_features": 10},
}
BACKBONE = {
    "init": {"type": "SmallInputInitialBlock", "init_plane": 32},
    "layer": {
        "type": "VariantLayer",
        "block": {"type": "BasicBlock"},
        "in_plane": 32,
        "out_plane": 512,
        "doublechannel": [0, 1, 1, 0, 1, 0, 0, 1],
        "downsample": [1, 1, 0, 1, 0, 0, 0, 1],
        "expansion": 1,
    },
    "head": {"type": "LinearClassificationHead", "base_channel": 512, "num_class": 10},
}


def stages(*rows):
    """(channels, size, count) of each stage as the shapes of its blocks."""
    return [(1, channels, size, size) for channels, size, count in rows for _ in range(count)]


def resnet(depth, **fields):
    return {"type": "ResNet", "depth": depth, **fields}


#: Description, parameters, MACs of a 32x32 image, shapes behind the blocks: counted by an independent
#: implementation, see also `test_the_counts_of_plain_torch_networks`.
TABLE = {
    "18": (resnet(18), 11_181_642, 37_016_576, stages((64, 8, 2), (128, 4, 2), (256, 2, 2), (512, 1, 2))),
    "34": (resnet(34), 21_289_802, 74_765_312, stages((64, 8, 3), (128, 4, 4), (256, 2, 6), (512, 1, 3))),
    "50": (resnet(50), 23_528_522, 83_431_424, stages((256, 8, 3), (512, 4, 4), (1024, 2, 6), (2048, 1, 3))),
    "101": (
        resnet(101),
        42_520_650,
        159_191_040,
        stages((256, 8, 3), (512, 4, 4), (1024, 2, 23), (2048, 1, 3)),
    ),
    "fine": (FINE, 23_528_522, 83_431_424, stages((256, 8, 3), (512, 4, 4), (1024, 2, 6), (2048, 1, 3))),
    "variant": (
        VARIANT,
        11_173_962,
        555_422_720,
        stages((64, 32, 2), (128, 16, 2), (256, 8, 2), (512, 4, 2)),
    ),
    "20": (RESNET20, 274_394, 3_125_888, stages((16, 8, 3), (32, 4, 3), (64, 2, 3))),
    "pruned": (PRUNED20, 243_651, 2_845_488, stages((15, 8, 3), (29, 4, 3), (60, 2, 3))),
    "backbone": (
        BACKBONE,
        7_579_114,
        96_310_272,
        stages((32, 16, 1), (64, 8, 1), (128, 8, 1), (128, 4, 1), (256, 4, 3), (512, 2, 1)),
    ),
}


def sums(candidate):
    """Shapes behind the blocks."""
    return [step.shape for step in candidate.plan.steps if type(step.op).__name__ == "Add"]


@pytest.mark.parametrize("name", TABLE)
def test_parameters_macs_and_shapes(name):
    description, parameters, macs, shapes = TABLE[name]
    candidate = space_of(description).candidate({})
    assert (candidate.parameters, candidate.macs) == (parameters, macs)
    assert sums(candidate) == shapes
    assert candidate.plan.steps[-1].shape == (1, 10)


@pytest.mark.parametrize(
    ("depth", "macs"), [(18, 1_813_566_464), (34, 3_663_254_528), (50, 4_087_156_736), (101, 7_799_377_920)]
)
def test_macs_of_a_large_image(depth, macs):
    assert space_of(resnet(depth), 224).candidate({}).macs == macs


def test_the_counts_of_torchvision():
    """torchvision's documentation: resnet18, resnet50 and resnext50_32x4d with 1000 classes at 224x224."""
    for fields, parameters, macs in (
        ({"depth": 18}, 11_689_512, 1_814_073_344),
        ({"depth": 50}, 25_557_032, 4_089_184_256),
        ({"depth": 50, "groups": 32, "base_width": 4}, 25_028_904, 4_230_479_872),
    ):
        candidate = space_of({"type": "ResNet", "num_class": 1000, **fields}, 224).candidate({})
        assert (candidate.parameters, candidate.macs) == (parameters, macs)


def listed(description):
    """Arguments of the blocks of a description with ``items``."""
    items = description["items"]
    inner = items.get("inner_plane", [None] * 9)
    return list(zip(items["outchannel"], items["stride"], inner, strict=True))


PLAIN = {
    "18": lambda: plain_resnet(Basic, 64, preset_rows([2, 2, 2, 2])),
    "50": lambda: plain_resnet(Bottle, 64, preset_rows([3, 4, 6, 3])),
    "fine": lambda: plain_resnet(Bottle, 64, preset_rows([3, 4, 6, 3])),
    "20": lambda: plain_resnet(Basic, 16, listed(RESNET20)),
    "pruned": lambda: plain_resnet(Basic, 16, listed(PRUNED20)),
    "backbone": lambda: plain_resnet(
        Basic,
        32,
        [(32, 2), (64, 2), (128, 1), (128, 2), (256, 1), (256, 1), (256, 1), (512, 2)],
        small=True,
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_outputs_of_plain_torch_networks(name):
    reference = randomise(PLAIN[name]())
    candidate = space_of(TABLE[name][0]).candidate({})
    assert sum(p.numel() for p in reference.parameters()) == candidate.parameters
    module = with_weights_of(candidate, reference)
    x = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, computed = reference(x), module(x)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def code(default, **options):
    return {"code": {"default": default, "choices": [0, 1], **options}}


def test_searched_positions_give_the_network_of_their_literals():
    doubles, halves = [0, 0, 1, 0, 1, 0, 1, 0], [0, 1, 0, 0, 1, 0, 1, 0]
    searched = space_of({**VARIANT, "doublechannel": code(doubles), "downsample": code(halves)}, 16)
    assert len(searched.parameters) == 16
    rng = np.random.default_rng(0)
    for _ in range(6):
        doubles, halves = rng.integers(0, 2, (2, 8)).tolist()
        doubles[rng.integers(8)] = 0
        assignment = {f"net.doublechannel.{i}": d for i, d in enumerate(doubles)}
        assignment |= {f"net.downsample.{i}": h for i, h in enumerate(halves)}
        one = searched.candidate(assignment)
        two = space_of({**VARIANT, "doublechannel": doubles, "downsample": halves}, 16).candidate({})
        assert (one.parameters, one.macs) == (two.parameters, two.macs)
        assert sums(one) == sums(two)


def test_every_candidate_of_searched_positions_runs():
    modules = {
        "init": {"type": "SmallInputInitialBlock", "init_plane": {"choice": [8, 12]}},
        "layer": {
            "type": "VariantLayer",
            "block": {"choice": [{"type": "BasicBlock"}, {"type": "BottleneckBlock"}]},
            "doublechannel": code([0, 1, 0]),
            "downsample": code([1, 0, 1]),
        },
        "head": {"type": "LinearClassificationHead", "num_class": 5},
    }
    space = space_of(modules, 16)
    for row in space.sample_population(12, seed=2):
        candidate = space.candidate(space.encoding.assignment(row))
        module = BasicExecutor(candidate).eval()
        assert module(torch.zeros(1, 3, 16, 16)).shape == (1, 5)
        assert sum(p.numel() for p in module.parameters()) == candidate.parameters
    # Basic or bottleneck, two stems, two codes: what is common to all candidates has one parameter.
    assert sorted(space.parameters) == sorted(
        [
            "init.init_plane",
            "layer.block",
            *(f"layer.{c}.{i}" for c in ("doublechannel", "downsample") for i in range(3)),
        ]
    )


def test_a_shortcut_is_a_convolution_only_where_something_changes():
    block = {"type": "BasicBlock", "outchannel": {"choice": [3, 5]}, "stride": {"choice": [1, 2]}}
    space = space_of(block, 8)
    for width, stride in itertools.product([3, 5], [1, 2]):
        candidate = space.candidate({"net.outchannel": width, "net.stride": stride})
        convolutions = [s for s in candidate.plan.steps if type(s.op).__name__ == "Conv2d"]
        assert len(convolutions) == (2 if (width, stride) == (3, 1) else 3)
    # 3*3*3*3 twice and two normalisations of 3 channels.
    assert space.candidate({"net.outchannel": 3, "net.stride": 1}).parameters == 2 * 81 + 2 * 6


@pytest.mark.parametrize(
    ("block", "channels", "parameters"),
    [
        ({"type": "BasicBlock", "outchannel": 16}, 16, 4_672),
        ({"type": "BasicBlock", "outchannel": 32, "stride": 2}, 16, 14_528),
        ({"type": "BasicBlock", "outchannel": 64}, 64, 73_984),
        ({"type": "BasicBlock", "outchannel": 15, "inner_plane": 14}, 16, 4_234),
        ({"type": "BottleneckBlock", "outchannel": 64}, 64, 75_008),
        ({"type": "BottleneckBlock", "outchannel": 128, "stride": 2}, 256, 379_392),
    ],
)
def test_parameters_of_single_blocks(block, channels, parameters):
    stem = {"type": "SmallInputInitialBlock", "init_plane": channels}
    alone = space_of({"stem": stem}, 8).candidate({}).parameters
    both = space_of({"stem": stem, "block": block}, 8).candidate({})
    assert alone == 27 * channels + 2 * channels
    assert both.parameters - alone == parameters
    assert block.get("stride", 1) * both.plan.steps[-1].shape[2] == 8


def test_stems():
    for kind, channels, parameters, size in (
        ("InitialBlock", 64, 9_536, 8),
        ("InitialBlock", 16, 2_384, 8),
        ("SmallInputInitialBlock", 32, 928, 32),
    ):
        candidate = space_of({"type": kind, "init_plane": channels}).candidate({})
        assert candidate.parameters == parameters
        assert candidate.plan.steps[-1].shape == (1, channels, size, size)


def test_searched_depth():
    space = space_of(resnet({"choice": [18, 34]}), 32)
    for depth in (18, 34):
        assert space.candidate({"net.depth": depth}).parameters == TABLE[str(depth)][1]
    mixed = space_of(resnet({"choice": [18, 50]}), 32)
    for depth in (18, 50):
        assert mixed.candidate({"net.depth": depth}).parameters == TABLE[str(depth)][1]
        assert mixed.candidate({"net.depth": depth}).macs == TABLE[str(depth)][2]


def test_searched_numbers_of_blocks():
    layer = {"type": "BasicLayer", "block": {"type": "BasicBlock"}, "base_channel": 4}
    space = space_of({**layer, "layer_reps": [{"int": {"min": 1, "max": 3}}, {"choice": [1, 4]}]}, 8)
    for one, two in itertools.product([1, 2, 3], [1, 4]):
        searched = space.candidate({"net.layer_reps.0": one, "net.layer_reps.1": two})
        literal = space_of({**layer, "layer_reps": [one, two]}, 8).candidate({})
        assert (searched.parameters, searched.macs) == (literal.parameters, literal.macs)
    both = space_of({**layer, "layer_reps": {"choice": [[1, 1], [3, 2]]}}, 8)
    assert (
        both.candidate({"net.layer_reps": (3, 2)}).parameters
        == space.candidate({"net.layer_reps.0": 3, "net.layer_reps.1": 1}).parameters
        + 4 * (8 * 8 * 9 + 16) // 2
    )


def test_searched_repetitions_with_lists():
    items = {"outchannel": [4, 4, 8], "stride": [1, 2, 1]}
    repeat = {"type": "Repeat", "ref": {"type": "BasicBlock"}, "items": items}
    space = space_of({**repeat, "num_reps": {"int": {"min": 1, "max": 3}}}, 8)
    shapes = [space.candidate({"net.num_reps": n}).plan.steps[-1].shape for n in (1, 2, 3)]
    assert shapes == [(1, 4, 8, 8), (1, 4, 4, 4), (1, 8, 4, 4)]


def test_in_features_follow_what_is_searched():
    searched = {
        **VARIANT,
        "base_channel": {"choice": [64, 32]},
        "doublechannel": code(VARIANT["doublechannel"]),
    }
    candidate = space_of(searched).candidate({"net.base_channel": 32})
    assert candidate.parameters == 2_797_610
    assert candidate.plan.weights[f"{candidate.plan.steps[-1].op.id}.weight"].shape() == (256, 10)


def changed(description, **fields):
    return {**description, **fields}


def changed_items(**lists):
    return {**RESNET20, "items": {**RESNET20["items"], **lists}}


WRONG = {
    "E_WIDTH net.out_plane is 7, ": [
        changed(BACKBONE["layer"], out_plane=7, in_plane=3),
        changed(RESNET20, out_plane=7),
    ],
    "E_WIDTH net.in_features is 5, its input has 3072 values": [
        {"type": "Linear", "out_features": 3, "in_features": 5}
    ],
    "E_WIDTH net.base_channel is 4, its input has 3 channels": [
        {"type": "LinearClassificationHead", "base_channel": 4, "num_class": 3}
    ],
    "E_EXPANSION net.expansion is 1, the block's expansion is 4": [
        {"type": "BasicLayer", "expansion": 1, "block": {"type": "BottleneckBlock"}, "layer_reps": [1]}
    ],
    "E_CHANNEL net.in_plane is 32, but its input has 3 channels": [BACKBONE["layer"]],
    "E_CHANNEL net.items.inchannel.4 is 32, but block 3 produces 16": [
        changed_items(outchannel=[16, 16, 16, 16, 32, 32, 64, 64, 64])
    ],
    "E_CHANNEL net.items.inchannel.0 is 8, but the layer's input has 16 channels": [
        changed_items(inchannel=[8, *RESNET20["items"]["inchannel"][1:]])
    ],
    "E_LENGTH net.items.stride has 2 entries, num_reps is 9": [changed_items(stride=[1, 2])],
    "E_LENGTH net.downsample has 2 entries, doublechannel has 8": [
        changed(BACKBONE["layer"], in_plane=3, out_plane=48, downsample=[1, 1])
    ],
    "E_LENGTH net.doublechannel has 8 entries, base_depth 50 has 16 blocks": [
        changed(VARIANT, base_depth=50)
    ],
    "E_LENGTH net.doublechannel is empty; give at least one entry": [
        {"type": "VariantLayer", "block": {"type": "BasicBlock"}, "doublechannel": [], "downsample": []}
    ],
    "E_LENGTH net.layer_reps is empty; give at least one entry": [
        {"type": "BasicLayer", "block": {"type": "BasicBlock"}, "layer_reps": []}
    ],
    "E_BLOCK net.block.groups is net.groups; a BasicBlock has 1": [
        {
            "type": "BasicLayer",
            "block": {"type": "BasicBlock"},
            "layer_reps": [1],
            "groups": {"choice": [1, 2]},
        }
    ],
    "E_DEPTH net.base_depth is 20, ": [changed(VARIANT, base_depth=20)],
    "E_DEPTH net.depth is 20, which is no preset (18, 34, 50, 101); give block, num_reps and items": [
        resnet(20),
        resnet(20, block={"type": "BasicBlock"}),
        resnet(20, block={"type": "BasicBlock"}, num_reps=9),
    ],
    "E_DEPTH net.depth can be 20, ": [resnet({"choice": [18, 20]})],
    "E_CONFLICT net.block is BottleneckBlock, but the depth 18 has BasicBlock": [
        resnet(18, block={"type": "BottleneckBlock"})
    ],
    "E_CONFLICT net.num_reps is [3, 4, 6, 3], but the depth 18 has [2, 2, 2, 2]": [
        resnet(18, num_reps=[3, 4, 6, 3])
    ],
    "E_CONFLICT net.num_reps is given, but the depth is a preset that determines it; leave it out": [
        resnet(18, num_reps=[2, {"choice": [2, 3]}, 2, 2]),
        resnet({"choice": [18, 34]}, num_reps=[2, 2, 2, 2]),
    ],
    "E_BLOCK net.block View has no field 'outchannel', which the outer block gives its blocks": [
        {"type": "BasicLayer", "block": {"type": "View"}, "layer_reps": [1]}
    ],
    "E_CONFLICT net.items ": [resnet(18, items={"outchannel": [4]})],
    "E_BLOCK net.groups is 2; a BasicBlock has 1": [{"type": "BasicBlock", "outchannel": 3, "groups": 2}],
    "E_FIELD net.items.strid ": [
        {"type": "Repeat", "num_reps": 1, "ref": {"type": "BasicBlock"}, "items": {"strid": 1}}
    ],
}


@pytest.mark.parametrize(("message", "description"), [(m, d) for m, ds in WRONG.items() for d in ds])
def test_inconsistent_descriptions(message, description):
    with pytest.raises(SpaceError) as caught:
        space_of(description, 32)
    error_code, field, *_ = message.split()
    text = str(caught.value).replace(f"{field}: ", f"{field} ")
    assert caught.value.code == error_code
    assert message.removeprefix(f"{error_code} ") in text


def test_what_a_preset_repeats_is_accepted():
    plain = space_of(resnet(18)).candidate({})
    full = space_of(resnet(18, block={"type": "BasicBlock"}, num_reps=[2, 2, 2, 2], out_plane=512)).candidate(
        {}
    )
    assert full.id == plain.id
    assert full.parameters == plain.parameters


def test_a_depth_that_is_no_sum_of_layers_warns():
    with pytest.warns(SpaceWarning, match="net.depth: is 26, but the network has 20 layers"):
        space_of(changed(RESNET20, depth=26))
