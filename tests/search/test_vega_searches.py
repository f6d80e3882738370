"""Vega's evolutionary searches: what their operators keep, on rows and on the spaces of their documents."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw import load_space
from hannah_hw.search.algorithms import ALGORITHMS
from hannah_hw.search.algorithms.codes import find_codes, move_ones, random_segments, resample

sys.path.insert(0, str(Path(__file__).parent))
from search_toys import ToyEncoding


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(1, 20), st.integers(0, 1000))
def test_moved_codes_keep_their_ones(code, reach, seed):
    codes = np.tile(np.array(code, float), (16, 1))
    moved = move_ones(codes, reach, np.random.default_rng(seed))
    assert set(np.unique(moved)) <= {0.0, 1.0}
    np.testing.assert_array_equal(moved.sum(axis=1), codes.sum(axis=1))


def test_every_code_of_as_many_ones_is_reached():
    every = {tuple(map(float, bits)) for bits in itertools.product((0, 1), repeat=8) if sum(bits) == 3}
    rng, reached = np.random.default_rng(0), np.array([sorted(every)[0]])
    for _ in range(8):
        reached = np.unique(np.concatenate([reached, move_ones(np.repeat(reached, 30, 0), 2, rng)]), axis=0)
    assert {tuple(code) for code in reached} == every


def test_segments_are_runs_and_resampled_values_are_others():
    rng = np.random.default_rng(1)
    inside = random_segments(2000, 5, rng)
    assert inside.any(axis=1).all()
    assert (np.abs(np.diff(np.pad(inside.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1) == 2).all()
    # Two uniform ends in five places: 5 runs of one entry and 20 pairs that make the others.
    assert inside.sum(axis=1).mean() == pytest.approx(
        (5 * 1 + 2 * (4 * 2 + 3 * 3 + 2 * 4 + 1 * 5)) / 25, rel=0.05
    )
    levels = np.array([2, 3, 7])
    rows = np.floor(rng.random((3000, 3)) * levels)
    other = resample(rows, levels, rng)
    assert ((other != rows) & (other >= 0) & (other < levels)).all()
    assert set(other[rows[:, 1] == 1, 1]) == {0.0, 2.0}


def test_codes_are_numbered_entries_of_equally_many_levels():
    encoding = ToyEncoding(
        {
            "net.depth": ("int", 4),
            "layer.mask.0": ("int", 2),
            "layer.mask.1": ("int", 2),
            "layer.mask.2": ("int", 2),
            "quant.bits.1": ("cat", 3),
            "quant.bits.0": ("cat", 3),
            "alone.0": ("int", 2),
            "layer.share.0": ("float",),
            "layer.share.1": ("float",),
        }
    )
    assert [code.tolist() for code in find_codes(encoding)] == [[1, 2, 3], [5, 4]]


def breed(name, encoding, count=60, **options):
    """The first generations of an algorithm that likes low rows; all rows asked."""
    algorithm = ALGORITHMS[name](encoding, 2, population=10, seed=5, **options)
    asked = []
    while sum(map(len, asked)) < count:
        rows = algorithm.ask(10)
        values = np.stack([rows.sum(axis=1), (rows * np.arange(rows.shape[1])).sum(axis=1)], 1)
        algorithm.tell(rows, values, np.zeros(len(rows)))
        asked.append(rows)
    return algorithm, np.concatenate(asked)


def test_backbone_nas_keeps_doublings_and_strides_of_the_resnet_variant():
    space = load_space("resnet_variant")
    codes = [space.encoding.levels[code] for code in find_codes(space.encoding)]
    assert codes, "the space has codes"
    algorithm, _ = breed("BackboneNas", space.encoding, random_ratio=0.0)
    children = algorithm._offspring(50)
    parents = algorithm.rows
    for code in algorithm.codes:
        assert set(children[:, code].sum(axis=1)) <= set(parents[:, code].sum(axis=1))
    assert len(np.unique(children, axis=0)) > 10


def test_quant_ea_changes_one_run_of_bit_widths():
    encoding = ToyEncoding({f"process.0.nbit_w_list.{i}": ("cat", 2) for i in range(20)})
    algorithm, _ = breed("QuantEA", encoding, random_ratio=0.0)
    algorithm.select(slice(0, 2))
    children = algorithm._offspring(200)
    assert all(
        is_by_segment(child, mother, father)
        or is_by_segment(child, father, mother)
        or is_by_segment(child, mother, mother)
        for child in children
        for mother, father in [algorithm.rows[:2]]
    )


def is_by_segment(child, mother, father):
    """Whether a child is its mother but for one run, where it is its father or differs from its mother throughout."""
    changed = np.flatnonzero(child != mother)
    if not len(changed):
        return True
    run = slice(changed[0], changed[-1] + 1)
    return bool((child[run] == father[run]).all() or (child[run] != mother[run]).all())


@pytest.mark.parametrize(
    ("name", "options"), [("QuantEA", {"random_ratio": 1.0}), ("BackboneNas", {"num_mutate": 1})]
)
def test_options_out_of_range_are_named(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ALGORITHMS[name](ToyEncoding({"a": ("int", 3)}), 1, population=4, seed=0, **options)
