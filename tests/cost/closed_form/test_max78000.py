"""The MAX78000 form against cycles that the vendor states, and the limits of the chip."""

import numpy as np
import pytest

import hannah_hw as hw
from hannah_hw import load_target
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form
from hannah_hw.targets.load import legality
from hannah_hw.workload import KERNEL_COLUMNS

TARGET = load_target("max78000")

#: Networks of one layer whose cycles ai8x-synthesis (commit ab4f4c0, izer/test/test_cycles.py) asserts; its total
#: starts at 1. Name, kind, columns, cycles.
VENDOR = [
    ("cifar-3x32x32 p1m64", "conv", {"c": 3, "k": 64, "n": 32, "f": 3, "p": 1}, 67981),
    ("cifar-3x32x32 p0m64", "conv", {"c": 3, "k": 64, "n": 32, "f": 3, "p": 0}, 59773),
    ("widein-128x8x8 p1m16", "conv", {"c": 128, "k": 16, "n": 8, "f": 3, "p": 1}, 2485),
    ("widein-128x8x8 p0m16", "conv", {"c": 128, "k": 16, "n": 8, "f": 3, "p": 0}, 1437),
    ("mnist-extrasmall-1x28x28 p1m8", "conv", {"c": 1, "k": 8, "n": 28, "f": 3, "p": 1}, 8189),
    ("widein-q4-79x11x11 p0m1", "conv", {"c": 79, "k": 1, "n": 11, "f": 3, "p": 0}, 687),
    ("singlebyte-hwc-1x1x1 p1m1", "conv", {"c": 1, "k": 1, "n": 1, "f": 3, "p": 1}, 29),
    ("mlpflatten12to17-12x1x1", "linear", {"c": 12, "k": 17, "n": 1, "f": 1, "p": 0}, 20),
    ("eltwise-add-4x12x12", "add", {"c": 4, "k": 4, "n": 12, "f": 1, "p": 0, "operands": 2}, 721),
]


def layer(kind, c, k, n, f, p, operands=1):
    out = n - f + 2 * p + 1
    pads = dict.fromkeys(("pad_top", "pad_left", "pad_bottom", "pad_right"), p)
    return Layers.of(
        kind,
        in_channels=c,
        out_channels=k,
        in_h=n,
        in_w=n,
        out_h=out,
        out_w=out,
        kernel_h=f,
        kernel_w=f,
        operands=operands,
        **pads,
    )


@pytest.mark.parametrize(("name", "kind", "sizes", "cycles"), VENDOR)
def test_cycles_are_those_that_the_vendor_states(name, kind, sizes, cycles):
    assert 1 + price_closed_form(layer(kind, **sizes), TARGET).cycles[0] == cycles


def test_a_transposed_convolution_has_the_cycles_that_the_vendor_states():
    """ai85-upscale-3x7x9 m64: twice as many rows and columns, zeros between the pixels."""
    found = Layers.of(
        "conv_transpose", in_channels=3, out_channels=64, in_h=7, in_w=9, out_h=14, out_w=18, kernel_h=3, kernel_w=3,
        stride_h=2, stride_w=2,
    )  # fmt: skip
    assert 1 + price_closed_form(found, TARGET).cycles[0] == 16837


def test_by_hand_a_pixel_is_read_pooled_stored_and_written():
    """2 x 2 pooling of 8 channels: four reads and a store for each of 64 pixels, then two words of four channels."""
    pool = Layers.of(
        "max_pool", in_channels=8, out_channels=8, in_h=16, in_w=16, out_h=8, out_w=8, kernel_h=2, kernel_w=2,
        stride_h=2, stride_w=2,
    )  # fmt: skip
    assert price_closed_form(pool, TARGET).cycles[0] == 64 * (4 + 1 + 2)


def test_more_than_64_channels_take_passes():
    cycles = [
        price_closed_form(layer("conv", c=c, k=32, n=8, f=1, p=0), TARGET).cycles[0]
        for c in (64, 65, 128, 129)
    ]
    # A pass reads and stores a pixel, 2 cycles, and adds to each of 32 output channels.
    assert cycles == [64 * (2 + 32), 64 * 2 * (2 + 32), 64 * 2 * (2 + 32), 64 * 3 * (2 + 32)]


def test_one_dimension_is_the_same_along_either_axis():
    along_w = Layers.of("conv", in_channels=5, out_channels=11, in_w=60, out_w=56, kernel_w=5)
    along_h = Layers.of("conv", in_channels=5, out_channels=11, in_h=60, out_h=56, kernel_h=5)
    first, second = (price_closed_form(x, TARGET).cycles[0] for x in (along_w, along_h))
    assert first == second
    # Four rows fill the window; each of 56 results takes the pixel that enters, 2 cycles, and 11 outputs.
    assert first == 4 * 3 + 56 * (2 + 11)


@pytest.mark.parametrize(
    ("kind", "columns", "rule"),
    [
        (
            "conv",
            {"groups": 8, "in_channels": 8, "out_channels": 8, "kernel_h": 3, "kernel_w": 3},
            "groups == 1",
        ),
        ("conv", {"kernel_h": 5, "kernel_w": 5}, "kernel_w in [1, 3]"),
        (
            "conv",
            {"kernel_h": 3, "kernel_w": 3, "stride_h": 2, "stride_w": 2},
            "stride_w == 1 or kernel_w == 1",
        ),
        ("conv", {"kernel_h": 3, "kernel_w": 3, "in_channels": 1025}, "in_channels <= 1024"),
        ("conv", {"in_h": 1, "kernel_w": 10}, "kernel_w <= 9"),
        ("conv", {"in_h": 1, "kernel_w": 9, "pad_left": 4, "pad_right": 4}, "pad_left == pad_right <= 2"),
        ("conv", {"weight_bits": 6}, "weight_bits in [1, 2, 4, 8]"),
        ("max_pool", {"kernel_h": 17, "kernel_w": 2}, "kernel_h <= 16"),
        ("max_pool", {"kernel_h": 3, "kernel_w": 3, "pad_top": 1}, "pad_top == 0"),
        ("linear", {"out_channels": 1025}, "out_channels <= 1024"),
        ("add", {"operands": 17}, "2 <= operands <= 16"),
    ],
)
def test_what_the_chip_cannot_run_names_the_rule(kind, columns, rule):
    table = {name: np.array([default]) for name, default in KERNEL_COLUMNS.items()}
    table |= {"in_h": np.array([8]), "in_w": np.array([8])}
    table |= {name: np.array([value]) for name, value in columns.items()}
    compiled = legality(TARGET.ops)
    failed = compiled.failed(kind, table)
    assert compiled.rules[failed[0]].startswith(f"{kind}: {rule}")


def test_energy_is_not_made_up():
    costs = price_closed_form(layer("conv", c=3, k=64, n=32, f=3, p=1), TARGET)
    assert np.isnan(costs.energy_pj).all()


def test_more_than_32_convolutions_are_refused_and_additions_between_them_are_not(tmp_path):
    """Pooling and additions do not count where a convolution follows."""
    source = """
from hannah_hw import Tensor, search_space
from hannah_hw.blocks import conv2d
from hannah_hw.operators import Add


@search_space
def deep(layers):
    x = Tensor("input", (1, 4, 8, 8), axis=("N", "C", "H", "W"))
    for _ in range(layers):
        x = Add()(conv2d(x, 4, 3, padding="same"), x)
    return x
"""
    names = {}
    for layers in (32, 33):
        path = tmp_path / f"deep_{layers}.py"
        path.write_text(source.replace("deep(layers)", f"deep(layers={layers})"))
        space = hw.load_space(str(path))
        names[layers] = {
            row.rule for row in hw.estimate(space.candidate(space.default()), TARGET).unsupported
        }
    assert names == {32: set(), 33: {"limits: mac_layers <= 32"}}
