"""Mode ``zigzag`` against zigzag-dse itself, run here on random layers, unrollings and orderings."""

import random

import numpy as np
import pytest

pytest.importorskip("zigzag")
pytest.importorskip("six")

import zigzag_peer
import zigzag_run

from hannah_hw.cost.loop_nest.evaluate import evaluate


def run(name, seed, layers, orders, dilated=False, usual=True):
    """Rows of ZigZag, of the orderings whose tiles fit."""
    generator = random.Random(seed)  # noqa: S311
    peer = zigzag_run.Peer(zigzag_peer.shipped(name))
    rows = []
    for _ in range(layers):
        layer = zigzag_run.random_layer(generator, dilated)
        unrolling = zigzag_peer.UNROLLINGS[name] if usual else peer.random_unrolling(generator)
        rows += peer.rows(layer, unrolling, generator, orders, generator.choice([4, 6]))
    return [row for row in rows if row["cycles"] is not None]


def assert_equal(name, rows):
    hierarchy = zigzag_peer.hierarchy_of(zigzag_peer.shipped(name))
    tables, cases, orders, positions = zigzag_peer.replayed(hierarchy, rows)
    ours = evaluate(tables, cases, orders, positions)
    for column, part in (
        ("cycles", "cycles"),
        ("stall_cycle", "stall"),
        ("onload_cycle", "onload"),
        ("offload_cycle", "offload"),
        ("systolic_drain", "drain"),
    ):
        assert getattr(ours, part).tolist() == [float(row[column]) for row in rows], column
    assert ours.energy_pj == pytest.approx(np.array([row["energy_pJ"] for row in rows]), rel=1e-12)
    return tables, cases, orders, positions


@pytest.mark.parametrize("name", list(zigzag_peer.UNROLLINGS))
def test_same_mapping_same_cycles_and_energy(name):
    rows = run(name, 1, layers=5, orders=3)
    tables, cases, orders, positions = assert_equal(name, rows)
    # Its allocation is ours, but for ties that its rounding decides.
    own = evaluate(tables, cases, orders)
    assert (own.positions == positions).all(axis=0).mean() > 0.8
    assert np.abs(own.cycles / [row["cycles"] for row in rows] - 1).max() < 0.05


@pytest.mark.parametrize("name", ["eyeriss_like", "edge_tpu_like", "ascend_like"])
def test_dilated_windows_and_any_unrolling(name):
    rows = run(name, 2, layers=5, orders=3, dilated=True, usual=False)
    assert_equal(name, rows)


def test_forced_double_buffering():
    """The one description of ZigZag's that forces it, on unrollings of its own."""
    rows = run("gemm_l1_l3", 3, layers=8, orders=3, usual=False)
    assert len(rows) > 10
    assert_equal("gemm_l1_l3", rows)


def test_every_part_of_the_cycles_occurs():
    """The rows above would say little if nothing ever stalled or had to be loaded."""
    rows = run("eyeriss_like", 1, 5, 3) + run("tpu_like", 1, 5, 3)
    for column in ("stall_cycle", "onload_cycle", "offload_cycle", "systolic_drain"):
        assert sum(float(row[column]) > 0 for row in rows) > 5


def test_equal_transfers_hide_in_the_order_of_the_port():
    """A row of zigzag-dse 3.9.1: outputs enter and leave one memory in 125 cycles each, and one of both can hide."""
    row = dict.fromkeys("BKC", 1) | {"G": 25, "OX": 10, "OY": 25, "FX": 2, "FY": 2, "sx": 2, "sy": 2}
    row |= {
        "IX": 20,
        "IY": 50,
        "spatial_mapping": '{"D1": {"OY": 14}, "D2": {"FY": 2}}',
        "temporal_mapping": """{
            "I": [[["FX", 2], ["OY", 2], ["OX", 10]], [["G", 25]], []],
            "W": [[["FX", 2], ["OY", 2], ["OX", 10], ["G", 25]], [], []],
            "O": [[["FX", 2], ["OY", 2]], [["OX", 10], ["G", 25]], [], []]}""",
        "cycles": 3793,
        "energy_pJ": 4278335.0,
        "stall_cycle": 248,
        "onload_cycle": 1792,
        "offload_cycle": 753,
        "systolic_drain": 0,
    }
    assert_equal("eyeriss_like", [row])


def test_a_loop_that_zigzag_runs_once_too_often():
    """400 channels over 7 are 58 iterations of 6.897, of which its floating point makes 59."""
    peer = zigzag_run.Peer(zigzag_peer.shipped("eyeriss_like"))
    layer = dict.fromkeys(["B", "K", "G", "OX", "OY", "C", "FX", "FY", "sx", "sy", "dx", "dy", "IX", "IY"], 1)
    layer |= {"K": 2, "C": 400, "macs": 800}
    rows = peer.rows(layer, {"D1": {"C": 7}, "D2": {"G": 1}}, random.Random(0), 2)  # noqa: S311
    assert ("C", 59) in rows[0]["ordering"]
    assert_equal("eyeriss_like", rows)
