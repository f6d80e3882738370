"""The process Quant: which convolution gets which bits, and what that costs, by hand."""

import pytest
import torch

from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.operators import Quantize
from hannah_hw.spaces.declarative.problems import SpaceWarning
from hannah_hw.spaces.declarative.quant import quantised_convolutions
from tests.blocks import kernels_of
from tests.spaces.declarative.networks import RESNET20, processed, randomise, space_of

WEIGHTS = [8, 4, 8, 4, 4, 8, 8, 8, 8, 4, 4, 8, 4, 4, 4, 4, 8, 4, 8, 8]
ACTIVATIONS = [8, 4, 4, 8, 8, 4, 8, 8, 8, 8, 4, 8, 8, 4, 8, 4, 8, 4, 8, 8]
QUANT = {"type": "Quant", "nbit_w_list": WEIGHTS, "nbit_a_list": ACTIVATIONS}

#: Of the 20 convolutions behind the stem of RESNET20, in order: inputs, outputs, kernel, output size. The first block
#: of the second and of the third stage has a shortcut behind its two convolutions.
CONVOLUTIONS = [
    *[(16, 16, 3, 8)] * 6,
    (16, 32, 3, 4),
    (32, 32, 3, 4),
    (16, 32, 1, 4),
    *[(32, 32, 3, 4)] * 4,
    (32, 64, 3, 2),
    (64, 64, 3, 2),
    (32, 64, 1, 2),
    *[(64, 64, 3, 2)] * 4,
]
MACS = [i * o * k * k * s * s for i, o, k, s in CONVOLUTIONS]
COUNTS = [i * o * k * k for i, o, k, s in CONVOLUTIONS]
STEM = 3 * 16 * 49


def pairs(space):
    return [(widths.weight, widths.activation) for widths in quantised_convolutions(space.order).values()]


def test_resnet20_has_the_listed_bits():
    space = processed(RESNET20, QUANT)
    assert pairs(space) == list(zip(WEIGHTS, ACTIVATIONS, strict=True))
    candidate = space.candidate({})
    assert candidate.parameters == 274_394
    workload = candidate.workload()
    bits = sum(m * w * a for m, w, a in zip(MACS, WEIGHTS, ACTIVATIONS, strict=True))
    assert workload.bops[0] == bits + (STEM * 256 + 640) * 8 * 8
    size = sum((n * w + 7) // 8 for n, w in zip(COUNTS, WEIGHTS, strict=True))
    assert workload.weight_bytes.sum() == size + STEM + 640
    of_kernels = [
        (r["macs"], r["weight_bits"], r["activation_bits"]) for r in kernels_of(workload) if r["macs"]
    ]
    expected = [*zip(MACS, WEIGHTS, ACTIVATIONS, strict=True)]
    assert of_kernels == [(STEM * 256, 8, 8), *expected, (640, 8, 8)]


def test_data_behind_a_relu_has_no_sign():
    space = processed(RESNET20, QUANT)
    quantisers = [node for node in space.order if isinstance(node, Quantize)]
    # In two blocks the first convolution and the shortcut read the same data with 8 bits and with 4 bits.
    assert len(quantisers) == 20 - 2
    assert not any(node.signed for node in quantisers)
    with pytest.warns(SpaceWarning, match="W_BITS_UNUSED"):
        first = processed(
            RESNET20, {**QUANT, "nbit_w_list": [8] * 22, "nbit_a_list": 8, "skip_1st_layer": False}
        )
    signed = [node.signed for node in first.order if isinstance(node, Quantize)]
    assert signed == [True] + [False] * (len(signed) - 1)
    assert len(quantised_convolutions(first.order)) == 21


def test_data_behind_a_sum_has_a_sign():
    # A shortcut alone ends with a normalisation.
    modules = {
        "init": {"type": "SmallInputInitialBlock", "init_plane": 4},
        "skip": {"type": "ShortCut", "outchannel": 6},
        "block": {"type": "BasicBlock", "outchannel": 6},
    }
    signed = [
        n.signed for n in processed(modules, {"type": "Quant"}, size=8).order if isinstance(n, Quantize)
    ]
    assert signed == [False, True, False]


def test_32_bits_change_no_value():
    reference = space_of(RESNET20).candidate({})
    candidate = processed(RESNET20, {"type": "Quant", "nbit_w_list": 32, "nbit_a_list": 32}).candidate({})
    plain, quantised = randomise(BasicExecutor(reference)), BasicExecutor(candidate).eval()
    missing = quantised.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("running_max") for name in missing.missing_keys)
    x = torch.randn((1, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(quantised(x), plain(x))


def test_two_bits_leave_four_values():
    """Behind a ReLU the grid of two bits is 0, 1, 2 and 3 times a scale."""
    space = processed(RESNET20, {"type": "Quant", "nbit_w_list": 8, "nbit_a_list": 2})
    module = randomise(BasicExecutor(space.candidate({})))
    seen = {}
    step = next(step for step in module.plan.steps if isinstance(step.op, Quantize))
    original = step.op._forward_implementation
    step.op._forward_implementation = lambda *args: seen.setdefault("value", original(*args))
    module(torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0)))
    assert seen["value"].unique().numel() == 4


def test_searched_bits():
    process = {
        "type": "Quant",
        "nbit_w_list": {"code": {"default": WEIGHTS, "choices": [4, 8]}},
        "nbit_a_list": {"choice": [4, 8]},
    }
    space = processed(RESNET20, process)
    assert set(space.parameters) == {"process.nbit_a_list", *(f"process.nbit_w_list.{i}" for i in range(20))}
    default = space.candidate({}).workload()
    flipped = space.candidate({"process.nbit_w_list.3": 8}).workload()
    assert WEIGHTS[3] == 4
    assert flipped.bops[0] - default.bops[0] == MACS[3] * 4 * 4
    assert flipped.weight_bytes.sum() - default.weight_bytes.sum() == COUNTS[3] // 2
    wide = space.candidate({"process.nbit_a_list": 8}).workload()
    assert wide.bops[0] - default.bops[0] == sum(m * w * 4 for m, w in zip(MACS, WEIGHTS, strict=True))


def test_convolutions_that_only_some_candidates_have():
    block = {"type": "BasicBlock", "outchannel": {"choice": [3, 5]}}
    two = processed(
        block, {"type": "Quant", "nbit_w_list": [4, 6], "nbit_a_list": 8, "skip_1st_layer": False}, size=8
    )
    # By default the shortcut is the identity; where it is not, it has the bits of the convolution before it.
    assert pairs(two) == [(4, 8), (6, 8), (6, 8)]
    three = processed(
        block, {"type": "Quant", "nbit_w_list": [4, 6, 7], "nbit_a_list": 8, "skip_1st_layer": False}, size=8
    )
    assert pairs(three) == [(4, 8), (6, 8), (7, 8)]


RESNET18 = {"type": "ResNet", "depth": 18}


def test_a_surplus_entry_warns():
    with pytest.warns(SpaceWarning, match="has 1 trailing entry for 19") as caught:
        space = processed(RESNET18, QUANT)
    assert [w.message.code for w in caught] == ["W_BITS_UNUSED"] * 2
    assert pairs(space) == list(zip(WEIGHTS[:19], ACTIVATIONS[:19], strict=True))


def test_one_process_gives_bits():
    with pytest.raises(SpaceError, match="another process gives convolutions their bits already") as caught:
        processed(RESNET20, QUANT, QUANT)
    assert caught.value.code == "E_CONFLICT"


@pytest.mark.parametrize(
    ("code", "text", "fields"),
    [
        ("E_BITS", "nbit_w_list: has 19 entries, the network has 20", {"nbit_w_list": [8] * 19}),
        (
            "E_BITS",
            "nbit_a_list: has 3 entries, nbit_w_list has 20",
            {"nbit_w_list": [8] * 20, "nbit_a_list": [8] * 3},
        ),
        ("E_BITRANGE", "nbit_a_list.1: can be 17", {"nbit_a_list": [8, 17, *[8] * 18]}),
        (
            "E_BITRANGE",
            "process.nbit_a_list: can be 1, but input can be negative",
            {"nbit_a_list": {"choice": [8, 1]}, "skip_1st_layer": False},
        ),
        ("E_BITRANGE", "nbit_w_list: can be 0", {"nbit_w_list": {"choice": [8, 0]}}),
    ],
)
def test_lists_that_do_not_fit(code, text, fields):
    with pytest.raises(SpaceError, match=text) as caught:
        processed(RESNET20, {"type": "Quant", **fields})
    assert caught.value.code == code
