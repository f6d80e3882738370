"""GAP9: the phases of its engine by hand, and published measurements within the error that the target states."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hannah_hw import load_target
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form

ROOT = Path(__file__).parents[3]
TARGET = load_target("gap9")


def parts(kind, **columns):
    costs = price_closed_form(Layers.of(kind, **columns), TARGET)
    assert costs.cycles[0] == sum(part[0] for part in costs.cycle_parts.values())
    return {name: part[0] for name, part in costs.cycle_parts.items()}


def test_the_phases_of_a_3x3_convolution_by_hand():
    """4 x 4 pixels are four tiles; 40 filters are 32 and 8; 20 channels are two jobs; weights have 8 bits."""
    found = parts(
        "conv",
        in_channels=20,
        out_channels=40,
        in_h=4,
        in_w=4,
        out_h=4,
        out_w=4,
        kernel_h=3,
        kernel_w=3,
        macs=115200,
    )

    def tile(filters):
        job = (6 + 25) + 6 + (6 + 8 * filters) + 2
        return 2 * job + (9 + filters) + (8 + -(-filters // 8)) + 13

    assert found["ne16"] == 4 * (tile(32) + tile(8))
    assert found["cores"] == 0
    assert found["transfer"] == (20 + 40) * 16 / 8
    assert found["layer"] == 2730


def test_the_phases_of_a_single_pixel_and_of_a_filter_a_channel_by_hand():
    point = parts("conv", in_channels=16, out_channels=32, in_h=3, in_w=3, out_h=3, out_w=3, macs=4608)
    assert point["ne16"] == (10 + 9) + 6 + (6 + 32) + 2 + (9 + 32) + (8 + 4) + 13
    depthwise = parts(
        "conv", groups=16, in_channels=16, out_channels=16, in_h=3, in_w=3, out_h=3, out_w=3, kernel_h=3, kernel_w=3,
        weight_bits=4, macs=1296,
    )  # fmt: skip
    assert depthwise["ne16"] == (6 + 25) + (6 + 16) + (6 + 4 * 16) + 2 + (9 + 16) + (8 + 2) + 13


def test_other_windows_run_on_the_cores():
    found = parts("conv", in_channels=1, out_channels=64, in_w=49, out_w=40, kernel_w=10, macs=25600)
    assert found["ne16"] == 0
    assert found["cores"] == -(-25600 // 15.5)


def test_groups_of_several_channels_are_as_many_convolutions():
    sizes = {"in_h": 6, "in_w": 6, "out_h": 6, "out_w": 6, "kernel_h": 3, "kernel_w": 3}
    one = parts("conv", in_channels=8, out_channels=16, macs=1, **sizes)
    four = parts("conv", groups=4, in_channels=32, out_channels=64, macs=1, **sizes)
    assert four["ne16"] == 4 * one["ne16"]


def test_fewer_bits_of_weights_take_fewer_cycles():
    sizes = {"in_channels": 16, "out_channels": 32, "out_h": 3, "out_w": 3, "kernel_h": 3, "kernel_w": 3}
    eight, two = (parts("conv", weight_bits=bits, **sizes)["ne16"] for bits in (8, 2))
    assert eight - two == 6 * 32


def test_published_networks_are_within_the_error_that_the_target_states():
    """MLPerf Tiny v1.0, closed, GreenWaves, gap9_800_370: throughputs and energies of four networks."""
    run = subprocess.run(
        [sys.executable, "benchmarks/fit_gap9.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(run.stdout)
    settings = TARGET.model.settings
    assert found["layer_cycles"] == pytest.approx(settings["layer_cycles"].value, abs=0.5)
    assert found["busy_pj_and_mac_pj"] == pytest.approx(
        [settings["busy_pj"].value, settings["mac_pj"].value], rel=1e-3
    )
    stated = TARGET.error.value
    assert found["cycles"]["max_absolute_error"] < stated
    left_out = [abs(error) for error in found["cycles_left_out"].values()]
    assert stated / 3 < max(left_out) < stated
    assert max(abs(error) for error in found["energy_left_out"].values()) < 0.08
