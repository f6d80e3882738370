"""The search of all orderings against zigzag-dse's own, run here."""

import random

import pytest

pytest.importorskip("zigzag")
pytest.importorskip("six")

import zigzag_peer
import zigzag_run
import zigzag_search

from hannah_hw.cost.loop_nest.search import search
from hannah_hw.cost.loop_nest.spatial import wanted
from hannah_hw.cost.loop_nest.tables import Tables


@pytest.mark.parametrize(("name", "seed"), [("tpu_like", 4), ("eyeriss_like", 5), ("edge_tpu_like", 6)])
def test_the_same_best_and_never_worse(name, seed):
    peer = zigzag_run.Peer(zigzag_peer.shipped(name))
    generator = random.Random(seed)  # noqa: S311
    layers, theirs = [], []
    while len(layers) < 3:
        layer = zigzag_run.random_layer(generator)
        # Few loops, so that the peer is done in seconds.
        if sum(layer[loop] > 1 for loop in ("K", "G", "OX", "OY", "C", "FX", "FY")) < 5:
            best = zigzag_search.best(peer, layer, zigzag_peer.UNROLLINGS[name], 4)
            if best is not None:
                layers.append(layer)
                theirs.append(best)
    hierarchy = zigzag_peer.hierarchy_of(zigzag_peer.shipped(name))
    asked = wanted(hierarchy.array, zigzag_peer.UNROLLINGS[name])
    tables = Tables(hierarchy, zigzag_peer.nests_of(layers), asked, 4, "zigzag")
    full = search(tables, allocations=())
    assert full.cycles.tolist() == [cycles for cycles, _ in theirs]
    assert full.energy_pj == pytest.approx([energy for _, energy in theirs], rel=1e-9)
    assert (search(tables).cycles <= full.cycles).all()
