"""Fits of energies and areas: against the runs they come from, published figures, and exact values by hand."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.errors import TargetError
from hannah_hw.targets import load_target, parse_target
from hannah_hw.targets.area import area_mm2, area_parts
from hannah_hw.targets.technology import MEMORIES, memory_figure

RUNS = Path(__file__).parent / "data" / "cacti_sram.csv"
CHIP = """\
format: hannah-target/2
name: chip
title: A chip
document: none
clock_hz: 100 MHz
params:
  pe: {choice: [4, 8], default: 4}
  buffer: {choice: [32 KiB, 64 KiB], default: 32 KiB}
array:
  dims:
    D1: ${pe}
    D2: 2
  partial_sum_bits: 32
  mac_pj: {fit: mac_45nm}
  mac_mm2: {fit: mac_45nm}
memories:
  - name: registers
    size: 4 B
    holds: [O]
    served: [D2]
    ports:
      - {name: out, kind: read, max_bits: 32}
      - {name: in, kind: write, max_bits: 32}
    read_pj: {fit: register_45nm}
    write_pj: {fit: register_45nm}
    area_mm2: {fit: register_45nm}
  - name: sram
    size: ${buffer}
    holds: [I, W, O]
    served: [D1]
    ports:
      - {name: out, kind: read, max_bits: 64}
      - {name: in, kind: write, max_bits: 128}
    read_pj: {fit: sram_45nm}
    write_pj: {fit: sram_45nm}
    area_mm2: {fit: sram_45nm}
  - name: dram
    holds: [I, W, O]
    ports:
      - {name: bus, kind: read_write, max_bits: 64}
    read_pj: {fit: dram_ddr3}
    write_pj: {fit: dram_ddr3}
model: {kind: loop_nest}
ops:
  - {match: conv}
unsupported: error
"""


@pytest.fixture(scope="module")
def runs():
    with RUNS.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("node", [22, 45, 65])
@pytest.mark.parametrize("quantity", ["read_pj", "write_pj", "area_mm2"])
def test_laws_are_the_least_squares_of_the_runs_and_state_their_error(runs, node, quantity):
    rows = [row for row in runs if row["node_nm"] == node]
    assert len(rows) == 55
    size, bits, value = (np.array([row[name] for row in rows]) for name in ("bytes", "bits", quantity))
    terms = np.stack([np.ones(len(rows)), np.log(size), np.log(bits)], axis=1)
    best = np.linalg.lstsq(terms, np.log(value), rcond=None)[0]
    law = MEMORIES[f"sram_{node}nm"].laws[quantity]
    assert law.of_bytes == pytest.approx(best[1], abs=6e-4)
    assert law.of_bits == pytest.approx(best[2], abs=6e-4)
    off = np.abs(np.array([law(s, b) for s, b in zip(size, bits, strict=True)]) / value - 1)
    assert off.mean() == pytest.approx(law.mean_error, abs=1e-3)
    assert law.error - 0.02 < np.quantile(off, 0.95) <= law.error


def test_the_law_of_45_nm_is_near_published_energies():
    # Horowitz, ISSCC 2014: 64 bits from a cache.
    law = MEMORIES["sram_45nm"].laws["read_pj"]
    for size, published in ((8 << 10, 10), (32 << 10, 20), (1 << 20, 100)):
        assert abs(law(size, 64) / published - 1) < 0.35


def test_figures_say_where_they_come_from():
    target = parse_target(CHIP)
    read = target.memories[1].read_pj
    assert read.value == pytest.approx(0.002637 * 32768**0.565 * 64**0.658)
    assert (read.source, read.error) == ("fitted", 0.45)
    assert read.reference == (
        "CACTI 7.0, own runs at 45 nm, ITRS LSTP, one read-write port; 0.002637 x bytes^0.565 x bits^0.658, "
        "mean error 17 %"
    )
    # Writes take the width of the port that writes.
    assert target.memories[1].write_pj.value == pytest.approx(0.00396 * 32768**0.462 * 128**0.844)
    assert target.memories[0].read_pj.value == pytest.approx(0.288)
    assert target.memories[2].read_pj.value == pytest.approx(1950)
    # Products of 8 bits and sums of 32 bits are published as they are.
    assert target.array.mac_pj.value == pytest.approx(0.2 + 0.1)
    assert target.array.mac_mm2.value == pytest.approx((282 + 137) * 1e-6)


def test_figures_follow_params():
    target = parse_target(CHIP)
    larger = target.with_params({"buffer": "64 KiB"})
    ratio = larger.memories[1].read_pj.value / target.memories[1].read_pj.value
    assert ratio == pytest.approx(2**0.565)
    assert larger.memories[0] == target.memories[0]
    assert larger.fingerprint != target.fingerprint


def test_widths_of_factors_move_the_multiplier():
    narrow = parse_target(CHIP.replace("mac_pj: {fit: mac_45nm}", "mac_pj: {fit: mac_45nm, weight_bits: 4}"))
    wide = parse_target(
        CHIP.replace(
            "mac_pj: {fit: mac_45nm}", "mac_pj: {fit: mac_45nm, weight_bits: 32, activation_bits: 32}"
        )
    )
    assert wide.array.mac_pj.value == pytest.approx(3.1 + 0.1)
    # Energies of products grow nearly with the product of the widths.
    assert narrow.array.mac_pj.value - 0.1 == pytest.approx(0.2 / 2, rel=0.02)
    assert narrow.array.mac_pj.reference.endswith("product of 4 by 8 bits, sum of 32")


def test_outside_of_the_points_the_error_is_not_known():
    inside = memory_figure({"fit": "sram_45nm"}, "read_pj", 1024, 32)
    outside = memory_figure({"fit": "sram_45nm"}, "read_pj", 512, 32)
    assert (inside.error, outside.error) == (0.45, None)
    assert outside.reference.endswith("; extrapolated")


def test_the_area_is_that_of_all_instances():
    target = parse_target(CHIP)
    parts = {part.name: part for part in area_parts(target)}
    # 4 x 2 multipliers; D2 shares registers; the sram is shared by D1, and by D2 as the registers are.
    assert {name: part.number for name, part in parts.items()} == {"array": 8, "registers": 4, "sram": 1}
    assert parts["registers"].mm2 == pytest.approx(4 * 32 * 5.98e-6)
    area, notes = area_mm2(target)
    sram = 3.233e-06 * 32768**0.961 * 128**0.108
    assert area == pytest.approx(8 * 419e-6 + 4 * 32 * 5.98e-6 + sram)
    assert notes == (
        "the area leaves out dram, which has no size and is taken to be another chip",
        "the area leaves out wires, control",
    )
    assert area_mm2(target.with_params({"pe": 8}))[0] > area


def test_an_unknown_part_leaves_no_area():
    area, notes = area_mm2(load_target("tpu_like"))
    assert math.isnan(area)
    assert notes == (
        "no area: not known are array.mac_mm2, area_mm2 of rf_128B, area_mm2 of rf_2B, area_mm2 of sram_2MB",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "read_pj: {fit: sram_45nm}",
            "read_pj: {fit: sram_28nm}",
            (
                "chip.yaml:34:15 memories.1.read_pj.fit: must be 'sram_22nm', 'sram_45nm', 'sram_65nm', "
                "'register_45nm' or 'dram_ddr3' (given: 'sram_28nm')"
            ),
        ),
        (
            "area_mm2: {fit: sram_45nm}",
            "area_mm2: {fit: dram_ddr3}",
            "memories.1.area_mm2: the fit 'dram_ddr3' knows no area_mm2; it knows read_pj, write_pj",
        ),
        (
            "    read_pj: {fit: dram_ddr3}",
            "    read_pj: {fit: sram_45nm}",
            (
                "memories.2.read_pj: the fit 'sram_45nm' follows the size, and the memory has none; "
                "give 'size: 64 KiB'"
            ),
        ),
        ("    size: ${buffer}", "    size: ${buffer / pe / 1 B}", "memories.1.size: 8192 has no unit"),
        ("mac_pj: {fit: mac_45nm}", "mac_pj: {fit: sram_45nm}", "array.mac_pj.fit: must be 'mac_45nm'"),
        (
            "mac_pj: {fit: mac_45nm}",
            "mac_pj: {fit: mac_45nm, weight_bits: 0}",
            "array.mac_pj.weight_bits: must be at least 1 (given: 0)",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(old, new, message):
    assert CHIP.count(old) == 1
    with pytest.raises(TargetError) as failure:
        parse_target(CHIP.replace(old, new), "chip.yaml")
    assert message in str(failure.value)
