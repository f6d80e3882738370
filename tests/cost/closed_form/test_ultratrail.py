"""UltraTrail: the form against counted loops, the target against what is published and under its params."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hannah_hw as hw
from hannah_hw import load_target
from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.closed_form import price_closed_form

ROOT = Path(__file__).parents[3]


def counted(groups, channels, filters, taps, pixels, side):
    """Cycles, words of inputs and additions, by walking through the loops of the array."""
    cycles = words = additions = 0
    tiles = itertools.product(
        range(groups), range(0, filters, side), range(0, channels, side), range(taps), range(pixels)
    )
    for _, k, c, _, _ in tiles:
        cycles += 1
        words += min(side, channels - c)
        additions += min(side, filters - k)
    return cycles, words, additions


small = st.integers(1, 11)
#: Reading a target takes far longer than pricing a layer.
SIDES = {side: load_target("ultratrail").with_params({"pe": side}) for side in (2, 4, 8)}


@given(st.integers(1, 3), small, small, st.integers(1, 5), st.integers(1, 6), st.sampled_from(sorted(SIDES)))
def test_the_form_counts_the_loops_of_the_array(groups, channels, filters, taps, pixels, side):
    layer = Layers.of(
        "conv",
        groups=groups,
        in_channels=groups * channels,
        out_channels=groups * filters,
        kernel_w=taps,
        in_w=pixels,
        out_w=pixels,
        weights=groups * channels * filters * taps,
        macs=groups * channels * filters * taps * pixels,
    )
    target = SIDES[side]
    costs = price_closed_form(layer, target)
    cycles, words, additions = counted(groups, channels, filters, taps, pixels, side)
    assert costs.cycles[0] == cycles
    assert costs.utilisation[0] == pytest.approx(layer["macs"][0] / (cycles * side**2))
    lmem, fmem, _ = target.memories
    outputs = groups * filters * pixels
    # Sums of 24 bits wait; the last addition of each goes on as 8 bits.
    waiting = 24 * (additions - outputs) / (24 * side)
    stored = 8 * outputs
    expected = (
        waiting * (lmem.read_pj.value + lmem.write_pj.value) + stored / (24 * side) * lmem.read_pj.value
    )
    assert costs.energy_parts["lmem O"][0] == pytest.approx(expected)
    assert costs.energy_parts["fmem I"][0] == pytest.approx(8 * words / (16 * side) * fmem.read_pj.value)
    assert costs.energy_parts["fmem O"][0] == pytest.approx(stored / (8 * side) * fmem.write_pj.value)


def test_tc_resnet8_agrees_with_what_is_published():
    """8.2 microwatts and at most 100 ms an inference: Palomero Bernardo et al., IEEE TCAD 39(11), 2020, abstract."""
    run = subprocess.run(
        [sys.executable, "benchmarks/vs_ultratrail.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(run.stdout)
    # 1 x 5 tiles x 3 x 101 + ... of the eleven layers, counted by hand.
    by_hand = 2 * 5 * 3 * 101
    for c, k, before, after in ((16, 24, 101, 51), (24, 32, 51, 26), (32, 48, 26, 13)):
        assert after == math.ceil(before / 2)
        by_hand += (c // 8) * (k // 8) * 10 * after + (k // 8) ** 2 * 9 * after
    by_hand += 2 * 6
    assert found["estimated"]["cycles"] == by_hand == 24_429
    assert found["estimated"]["latency_s"] <= 0.1
    assert found["estimated"]["power_w"] == pytest.approx(8.2e-6, rel=1e-3)


def figures(**params):
    space = hw.load_space("tc_resnet")
    target = load_target("ultratrail").with_params(params)
    return hw.estimate(space.candidate(space.default()), target)


def test_a_larger_array_is_faster_and_a_larger_memory_costs_energy():
    slow, fast = figures(pe=4), figures(pe=16)
    assert fast.latency_s < slow.latency_s / 3
    small, large = figures(wmem="64 KiB"), figures(wmem="256 KiB")
    assert large.latency_s == small.latency_s
    assert large.energy_j > 1.5 * small.energy_j


def test_weights_that_do_not_fit_exceed_the_capacity_that_the_params_give():
    report = figures(wmem="32 KiB")
    assert (
        report.flash_bytes
        > load_target("ultratrail").with_params({"wmem": "32 KiB"}).capacities["flash_bytes"]
    )
    assert report.flash_bytes < load_target("ultratrail").capacities["flash_bytes"] == 64 * 1024


def test_sums_that_do_not_fit_take_more_readings_of_the_weights():
    """101 pixels x 8 channels x 24 bits are 2,424 bytes: two pieces at 2 KiB, three at 1 KiB."""
    sizes = {"in_channels": 8, "out_channels": 8, "kernel_w": 9, "in_w": 101, "out_w": 101}
    layer = Layers.of("conv", weights=576, macs=576 * 101, **sizes)
    for lmem, pieces in (("4 KiB", 1), ("2 KiB", 2), ("1 KiB", 3)):
        target = load_target("ultratrail").with_params({"lmem": lmem})
        costs = price_closed_form(layer, target)
        assert costs.cycles[0] == 9 * 101
        # A word has the weights of all multipliers, and there are nine of them.
        assert costs.energy_parts["wmem W"][0] == pytest.approx(9 * pieces * target.memories[2].read_pj.value)


def test_wider_weights_than_the_chip_has_are_refused_by_name():
    report = figures(weight_bits=6)
    assert {row.rule for row in report.unsupported} == {"conv: weight_bits <= 6", "linear: weight_bits <= 6"}


def test_two_dimensions_are_refused_by_name():
    space = hw.load_space("mlperf_tiny:resnet8")
    report = hw.estimate(space.candidate(space.default()), load_target("ultratrail"))
    assert "conv: in_h == 1 and kernel_h == 1" in {row.rule for row in report.unsupported}
    assert np.isnan(report.latency_s or np.nan)
