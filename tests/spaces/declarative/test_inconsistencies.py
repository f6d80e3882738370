"""What is inconsistent in documents like Vega's: an error or a warning where it is wrong, or what is derived.

Each case is a document of the guide (tests/fixtures/vega) with some texts replaced.
"""

import re
import warnings
from pathlib import Path

import pytest
import torch

from hannah_hw import load_space
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.masks import apply_masks
from hannah_hw.spaces.declarative.problems import SpaceWarning

FOLDER = Path(__file__).parents[2] / "fixtures" / "vega"


def edited(tmp_path, name, replacements):
    """A document of the guide in which some texts are replaced."""
    text = (FOLDER / f"{name}.yaml").read_text()
    for old, new in replacements.items():
        assert text.count(old) >= 1
        text = text.replace(old, new, 1)
    path = tmp_path / "net.yaml"
    path.write_text(text)
    return path


def loaded(path):
    """The space of a document, and what it warns of, without the file's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpaceWarning)
        space = load_space(str(path))
    return space, [str(warning).removeprefix(f"{path}:") for warning in space.warnings]


#: Document -> replacements, and the field and the message that they lead to.
ERRORS = {
    "variant_layer": [
        (
            {"out_plane: 512": "out_plane: 7"},
            "layer.out_plane: is 7, the layer ends with 512 channels [E_WIDTH]",
        ),
        ({"expansion: 1": "expansion: 4"}, "layer.expansion: is 4, the block's expansion is 1 [E_EXPANSION]"),
        (
            {"base_channel: 512": "base_channel: 256"},
            "head.base_channel: is 256, its input has 512 channels [E_WIDTH]",
        ),
        (
            {"in_plane: 32": "in_plane: 16"},
            "layer.in_plane: is 16, but its input has 32 channels [E_CHANNEL]",
        ),
        (
            {"downsample : [1, 1, ": "downsample : ["},
            "layer.downsample: has 6 entries, doublechannel has 8; give 8, or one for all [E_LENGTH]",
        ),
    ],
    "fine_resnet50": [
        (
            {"in_features: 2048": "in_features: 512"},
            "linear.in_features: is 512, its input has 2048 values [E_WIDTH]",
        ),
        (
            {"expansion: 4": "expansion: 1"},
            "bottlelayer.expansion: is 1, the block's expansion is 4 [E_EXPANSION]",
        ),
    ],
    "quant_resnet20": [
        (
            {"out_plane: 64": "out_plane: 32"},
            "resnet.out_plane: is 32, the last block has outchannel 64 [E_WIDTH]",
        ),
        (
            {"[1, 1, 1, 2, 1, 1, 2, 1, 1]": "[1, 2]"},
            "resnet.items.stride: has 2 entries, num_reps is 9; give 9, or one for all [E_LENGTH]",
        ),
        (
            {"num_reps: 9": "num_reps: 7"},
            "resnet.items.inchannel: has 9 entries, num_reps is 7; give 7, or one for all [E_LENGTH]",
        ),
        (
            {"outchannel: [16, 16, 16, 32": "outchannel: [16, 16, 16, 16"},
            "resnet.items.inchannel.4: is 32, but block 3 produces 16 [E_CHANNEL]",
        ),
        (
            {"init_plane: 16": "init_plane: 8"},
            "resnet.items.inchannel.0: is 16, but the layer's input has 8 channels [E_CHANNEL]",
        ),
        (
            {"depth: 20": "depth: 18", "num_reps: 9": ""},
            "resnet.items: is given, but the depth 18 is a preset with blocks of its own [E_CONFLICT]",
        ),
        (
            {"nbit_w_list: [8, ": "nbit_w_list: [", "nbit_a_list: [8, ": "nbit_a_list: ["},
            "process.nbit_w_list: has 19 entries, the network has 20 quantisable convolutions [E_BITS]",
        ),
        (
            {"nbit_a_list: [8, ": "nbit_a_list: ["},
            "process.nbit_a_list: has 19 entries, nbit_w_list has 20 [E_BITS]",
        ),
        (
            {"nbit_w_list: [8, 4": "nbit_w_list: [8, 17"},
            "process.nbit_w_list.1: can be 17; allowed are 1 to 16, and 32 for none [E_BITRANGE]",
        ),
        (
            {"init_plane: 16": "init_plane: on"},
            "resnet.init_plane: must be a number; on, off, yes, no, true and false are truth values in YAML",
        ),
    ],
    "coarse_resnet18": [
        (
            {"depth: 18": "depth: 20"},
            "resnet.depth: is 20, which is no preset (18, 34, 50, 101); give block, num_reps and items [E_DEPTH]",
        ),
        (
            {"num_class": "block: {type: BottleneckBlock}\n    num_class"},
            "resnet.block: is BottleneckBlock, but the depth 18 has BasicBlock [E_CONFLICT]",
        ),
        (
            {"num_class": "num_reps: [3, 4, 6, 3]\n    num_class"},
            "resnet.num_reps: is [3, 4, 6, 3], but the depth 18 has [2, 2, 2, 2] [E_CONFLICT]",
        ),
        ({"depth: 18": "dpeth: 18"}, "resnet.dpeth: unknown field 'dpeth' of ResNet [E_FIELD]"),
        (
            {"modules: ['resnet']": "modules: ['resent']"},
            "modules.0: resent is listed in modules but not defined [E_MODULE]",
        ),
    ],
    "searched_resnet18": [
        (
            {"base_depth: 18": "base_depth: 20"},
            "resnet18.base_depth: is 20, which is no preset (18, 34, 50, 101) [E_DEPTH]",
        ),
        (
            {"base_depth: 18": "base_depth: 50"},
            "hyper_parameters.resnet18.doublechannel: has 8 entries, base_depth 50 has 16 blocks; give 16",
        ),
        (
            {"resnet18.downsample: [0, 0": "resnet18.donwsample: [0, 0"},
            "hyper_parameters.resnet18.donwsample: ",
        ),
    ],
}


@pytest.mark.parametrize(
    ("name", "replacements", "message"), [(name, *case) for name, cases in ERRORS.items() for case in cases]
)
def test_an_inconsistent_document_is_refused_where_it_is_wrong(tmp_path, name, replacements, message):
    path = edited(tmp_path, name, replacements)
    with pytest.raises(SpaceError) as caught:
        loaded(path)
    text = str(caught.value)
    found = re.match(rf"{re.escape(str(path))}:(\d+):\d+ (.*)", text, re.DOTALL)
    assert found is not None, text
    assert message in found[2]
    assert caught.value.code.startswith("E_")
    # The line is that of the field, or of the list that holds the position.
    parts = message.partition(":")[0].split(".")
    key = next(part for part in reversed(parts) if not part.isdecimal())
    assert key in path.read_text().splitlines()[int(found[1]) - 1]


#: Document -> replacements, the warnings, and the number of trained values of the default network.
DERIVED = {
    "searched_resnet18": [
        # The classifier follows from the layers: 32 channels, doubled three times.
        ({"base_channel: 64": "base_channel: 32"}, [], 2_797_610),
    ],
    "variant_layer": [
        # Stated numbers that are left out follow from the others.
        (
            {"    out_plane: 512\n": "", "    expansion: 1\n": "", "    base_channel: 512\n": ""},
            [],
            7_579_114,
        ),
    ],
    "quant_resnet20": [
        (
            {"depth: 20": "depth: 26"},
            ["8:5 resnet.depth: is 26, but the network has 20 layers [W_DEPTH]"],
            274_394,
        ),
    ],
    "quant_resnet18": [
        (
            {},
            [
                f"{place}: has 1 trailing entry for 19 quantisable convolutions [W_BITS_UNUSED]"
                for place in ("14:13 process.nbit_w_list", "15:13 process.nbit_a_list")
            ],
            11_181_642,
        ),
    ],
    "coarse_resnet18": [
        # What a preset says already may be said again.
        (
            {"num_class": "block: {type: BasicBlock}\n    num_reps: [2, 2, 2, 2]\n    num_class"},
            [],
            11_181_642,
        ),
        (
            {"  modules": "  other: {type: View}\n  modules"},
            ["4:3 other: other is defined but not listed in modules [W_MODULE]"],
            11_181_642,
        ),
    ],
}


@pytest.mark.parametrize(
    ("name", "replacements", "expected", "parameters"),
    [(name, *case) for name, cases in DERIVED.items() for case in cases],
)
def test_what_follows_is_derived_and_what_is_odd_is_warned_of(
    tmp_path, name, replacements, expected, parameters
):
    space, found = loaded(edited(tmp_path, name, replacements))
    assert found == expected
    assert space.candidate(space.default()).parameters == parameters


def test_masks_that_keep_nothing(tmp_path):
    """Masks of the right widths for a network of one block, one of which keeps no channel."""
    path = tmp_path / "net.yaml"
    path.write_text(
        """
search_space:
  type: FineGrainedSpace
  modules: ['resnet', 'process']
  resnet: {type: ResNet, depth: 4, block: {type: BasicBlock}, init_plane: 2, num_reps: 1, items: {outchannel: [2]}}
  process:
    type: Prune
    search: true
    chn_node_mask: [[1, 1], [1, 1]]
    chn_mask: [[0, 0]]
    path: missing.pth
"""
    )
    space, found = loaded(path)
    assert [warning.rpartition(" ")[2] for warning in found] == ["[W_ALIAS]"]
    whole = {
        name: torch.ones(weight.shape())
        for name, weight in space.candidate(space.default()).plan.weights.items()
    }
    with pytest.raises(
        SpaceError, match=r"net.yaml:10:\d+ process.chn_mask.0: keeps no channel; .*E_MASK_EMPTY"
    ):
        apply_masks(space, whole)
    pruned = apply_masks(space, whole, repair=0)
    assert pruned.candidate.assignment["process.0.inner.0"] == 1
