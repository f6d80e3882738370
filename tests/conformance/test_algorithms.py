"""Every algorithm must keep the contract in the docstring of `Algorithm`.

Those of other packages are checked as well if they are named, separated by blanks, in the environment variable
``HANNAH_HW_ALGORITHMS``: ``HANNAH_HW_ALGORITHMS=package.module:Class pytest tests/conformance/test_algorithms.py``.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.errors import ConfigError
from hannah_hw.search.algorithms import ALGORITHMS, check_options, find_algorithm
from hannah_hw.search.hypervolume import hypervolume
from hannah_hw.search.protocols import Known

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))
from search_toys import ToyEncoding, nas_like, nas_like_values

NAMES = [name for name, kind in sorted(ALGORITHMS.items()) if not kind.enumerates]
NAMES += os.environ.get("HANNAH_HW_ALGORITHMS", "").split()
pytestmark = pytest.mark.parametrize("name", NAMES)


def violation_of(rows):
    return np.maximum(nas_like_values(rows)[1], 0).sum(axis=1)


class Constraints:
    """An outlook that knows the constraints but no objective."""

    def __init__(self, violation, objectives):
        self.violation, self.objectives = violation, objectives

    def known(self, rows):
        return Known(
            np.full((len(rows), self.objectives), np.nan), self.violation(rows), np.zeros((len(rows), 0))
        )

    def expected(self, rows):
        return None


def make(name, encoding=None, seed=0, violation=None, population=20, objectives=3):
    outlook = Constraints(violation, objectives) if violation else None
    return find_algorithm(name)(
        encoding or nas_like(conditional=True), objectives, population=population, seed=seed, outlook=outlook
    )


#: Algorithms that think for milliseconds about a row get a share of the evaluations, and must do as well.
FEWER = {"surrogate": 10}


def rows_for(name, count):
    return count // FEWER.get(name, 1)


def advance(algorithm, count, batch=None):
    """Ask and tell until `count` rows are asked; all rows, objectives and violations."""
    asked = []
    while sum(map(len, asked)) < count:
        rows = algorithm.ask(batch or algorithm.batch)
        assert len(rows)
        algorithm.tell(rows, nas_like_values(rows)[0], violation_of(rows))
        asked.append(rows)
    return np.concatenate(asked)


def test_rows_are_canonical_and_never_repeated(name):
    algorithm = make(name)
    rows = advance(algorithm, rows_for(name, 400))
    np.testing.assert_array_equal(rows, algorithm.encoding.canonical(rows))
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_the_declared_default_comes_first(name):
    algorithm = make(name)
    encoding = algorithm.encoding
    np.testing.assert_array_equal(algorithm.ask(3)[0], encoding.canonical(encoding.default[None])[0])


def test_seed_fixes_the_sequence(name):
    first, again, other = (advance(make(name, seed=s), rows_for(name, 120)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[: len(other)], other[: len(first)])


def test_telling_in_pieces_changes_nothing(name):
    whole, pieces = make(name), make(name)
    for _ in range(8):
        rows = whole.ask(10)
        np.testing.assert_array_equal(rows, pieces.ask(10))
        values, violation = nas_like_values(rows)[0], violation_of(rows)
        whole.tell(rows, values, violation)
        for part in (slice(0, 1), slice(1, 7), slice(7, None)):
            pieces.tell(rows[part], values[part], violation[part])
    assert whole.state_dict() == pieces.state_dict()


def test_rows_are_told_in_any_order_and_once(name):
    algorithm = make(name)
    first, second = algorithm.ask(5), algorithm.ask(5)
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 10
    algorithm.tell(second[::-1], nas_like_values(second[::-1])[0], np.zeros(5))
    before = json.dumps(algorithm.state_dict())
    for wrong in (second[:1], first[[0, 1, 0]], np.concatenate([first[:1], second[:1]]), first[:1] + 0.5):
        with pytest.raises(ValueError, match="each of them once"):
            algorithm.tell(wrong, np.zeros((len(wrong), 3)), np.zeros(len(wrong)))
    # A refused call changes nothing.
    assert json.dumps(algorithm.state_dict()) == before
    algorithm.tell(first[[2]], nas_like_values(first[[2]])[0], np.zeros(1))
    copy = make(name, seed=9)
    copy.load_state_dict(json.loads(json.dumps(algorithm.state_dict())))
    for one in (algorithm, copy):
        one.tell(first[[4, 0, 1, 3]], nas_like_values(first[[4, 0, 1, 3]])[0], np.zeros(4))
    np.testing.assert_array_equal(algorithm.ask(5), copy.ask(5))


def test_state_continues_the_sequence_exactly(name):
    original = make(name)
    advance(original, rows_for(name, 90))
    pending = original.ask(7)
    state = json.loads(json.dumps(original.state_dict()))
    copy = make(name, seed=99)
    copy.load_state_dict(state)
    for algorithm in (original, copy):
        algorithm.tell(pending, nas_like_values(pending)[0], violation_of(pending))
    more = rows_for(name, 100)
    np.testing.assert_array_equal(advance(original, more), advance(copy, more))
    assert original.state_dict() == copy.state_dict()
    with pytest.raises(ValueError, match="state of 'other'"):
        copy.load_state_dict({**state, "algorithm": "other"})


def test_failures_and_infeasible_rows_rank_behind(name):
    algorithm = make(name, population=8)
    rows = algorithm.ask(8)
    values = nas_like_values(rows)[0]
    values[:4] = np.nan
    algorithm.tell(rows, values, np.array([0, 0, 0, 0, 1, 1, 0, 0], float))
    assert np.isinf(algorithm.violation).sum() == 4
    assert (algorithm.violation == 0).sum() == 2
    more = advance(algorithm, 40)
    assert np.isfinite(more).all()


def test_only_active_parameters_tell_candidates_apart(name):
    # Two values of the switch turn everything else off: 2 + 2 * 5 candidates behind 4 * 5 rows.
    encoding = ToyEncoding({"switch": ("cat", 4), "x": ("int", 5)}, {"x": ("switch", [0, 1])})
    algorithm = make(name, encoding, objectives=1, population=4)
    seen = []
    for _ in range(40):
        rows = algorithm.ask(3)
        algorithm.tell(rows, rows[:, :1] + rows[:, 1:], np.zeros(len(rows)))
        seen += rows.tolist()
    assert sorted(seen) == sorted([[s, x] for s in (0.0, 1.0) for x in range(5)] + [[2.0, 2.0], [3.0, 2.0]])


def test_an_exhausted_space_gives_fewer_rows_and_then_none(name):
    encoding = ToyEncoding({"a": ("int", 3), "b": ("cat", 3)})
    algorithm = make(name, encoding, objectives=2, population=4)
    sizes = []
    for _ in range(6):
        rows = algorithm.ask(4)
        algorithm.tell(rows, rows, np.zeros(len(rows)))
        sizes.append(len(rows))
    assert sum(sizes) == 9
    assert sizes[-1] == 0


def test_a_space_of_one_candidate(name):
    algorithm = make(name, ToyEncoding({"a": ("cat", 1)}), objectives=1)
    assert len(algorithm.ask(5)) == 1
    assert len(algorithm.ask(5)) == 0


def test_screened_offspring_are_feasible(name):
    algorithm = make(name, violation=violation_of)
    first = algorithm.ask(algorithm.batch)
    algorithm.tell(first, nas_like_values(first)[0], violation_of(first))
    later = advance(algorithm, rows_for(name, 200))
    assert (violation_of(first) > 0).any()  # the first batch shows the space as it is
    assert (violation_of(later) == 0).all()


def test_a_needle_of_feasible_rows_is_found_by_descent(name):
    encoding = ToyEncoding({f"p{i}": ("int", 16) for i in range(8)})
    needle = np.array([3, 9, 12, 1, 7, 7, 2, 14])

    def screen(rows):
        return np.maximum(np.abs(rows - needle).sum(axis=1) - 4, 0) / 4

    algorithm = make(name, encoding, objectives=1, violation=screen, population=8)
    feasible = 0
    for _ in range(12):
        rows = algorithm.ask(8)
        algorithm.tell(rows, rows[:, :1], screen(rows))
        feasible += (screen(rows) == 0).sum()
    assert feasible >= 8


def test_every_feasible_row_of_a_small_space_is_found(name):
    encoding = ToyEncoding({"a": ("int", 12), "b": ("int", 12)})

    def screen(rows):
        return np.maximum(rows.sum(axis=1) - 3, 0)

    algorithm = make(name, encoding, objectives=2, violation=screen, population=4)
    found = set()
    for _ in range(30):
        rows = algorithm.ask(4)
        algorithm.tell(rows, rows, screen(rows))
        found |= {tuple(r) for r in rows[screen(rows) == 0]}
    assert len(found) == 10
    assert len(algorithm.ask(4)) == 0


def test_a_known_front_is_found(name):
    # Error falls with depth, cost rises with it, every other parameter only hurts: 16 points are optimal.
    encoding = ToyEncoding({"depth": ("int", 16), **{f"p{i}": ("cat", 4) for i in range(5)}})
    algorithm = make(name, encoding, objectives=2, population=24)
    asked = []
    while sum(map(len, asked)) < rows_for(name, 1500):
        rows = algorithm.ask(algorithm.batch)
        waste = (rows[:, 1:] != 2).sum(axis=1)
        values = np.stack([15 - rows[:, 0] + waste, rows[:, 0] + waste], 1)
        algorithm.tell(rows, values, np.zeros(len(rows)))
        asked.append(values)
    optimal = {tuple(v) for v in np.concatenate(asked) if v.sum() == 15}
    assert len(optimal) >= 8  # random search finds one or two


def test_beats_random_search(name):
    encoding = nas_like()
    algorithm = make(name, encoding, seed=1, population=32)
    count = rows_for(name, 600)
    rows = advance(algorithm, count)[:count]
    random = encoding.sample(count, np.random.default_rng(1))
    volume = [hypervolume(nas_like_values(r)[0][violation_of(r) == 0], np.ones(3)) for r in (rows, random)]
    assert volume[0] > 1.2 * volume[1]


def test_an_unknown_name_is_an_error_with_the_nearest(name):
    reason = f"did you mean '{name}'" if name in ALGORITHMS else "cannot be imported"
    with pytest.raises(ConfigError, match=reason):
        find_algorithm(name + "x")


def test_options_are_named_arguments_beyond_those_of_every_algorithm(name):
    for option in ("args", "kwargs", "seed"):
        with pytest.raises(ConfigError, match=f"no option '{option}'"):
            check_options(name, {option: 1})


def test_six_objectives_with_constraints_that_only_evaluations_show(name):
    encoding = ToyEncoding({f"p{i}": ("int", 8) for i in range(6)})
    original = make(name, encoding, objectives=6, population=8)
    copy = make(name, encoding, objectives=6, population=8, seed=1)

    def told(algorithm):
        rows = algorithm.ask(8)
        excess = np.stack([rows[:, 0] - 5, 2 - rows[:, 1]], 1)
        values = np.abs(rows - np.arange(6))
        values[0] = excess[0] = np.nan  # a failed evaluation
        algorithm.tell(rows, values, np.maximum(np.nan_to_num(excess), 0).sum(axis=1), excess=excess)
        return rows

    seen = np.concatenate([told(original) for _ in range(12)])
    assert len(np.unique(seen, axis=0)) == len(seen) == 96
    copy.load_state_dict(json.loads(json.dumps(original.state_dict())))
    np.testing.assert_array_equal(told(original), told(copy))


class Oracle(Constraints):
    """An outlook that also foresees every objective, once it was asked `patience` times."""

    def __init__(self, values, objectives, patience):
        super().__init__(lambda rows: np.zeros(len(rows)), objectives)
        self.values, self.patience = values, patience

    def expected(self, rows):
        self.patience -= 1
        return self.values(rows) if self.patience < 0 else None


def test_a_predictor_that_comes_late_disturbs_nothing(name):
    encoding = nas_like(conditional=True)
    outlook = Oracle(lambda rows: nas_like_values(rows)[0], 3, patience=2)
    algorithm = find_algorithm(name)(encoding, 3, population=12, seed=0, outlook=outlook)
    rows = advance(algorithm, 80, batch=8)
    assert len(np.unique(rows, axis=0)) == len(rows) >= 80
    np.testing.assert_array_equal(rows, encoding.canonical(rows))
