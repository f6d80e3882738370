"""The exact front of a space, against every candidate compared with every other one."""

from itertools import product

import numpy as np
import pytest
from search_toys import TableProblem, ToyEncoding

from hannah_hw.errors import ConfigError
from hannah_hw.search.algorithms import exact
from hannah_hw.search.algorithms.exact import Exact, refusal
from hannah_hw.search.loop import Search
from hannah_hw.search.protocols import Known


class Table:
    """An outlook that knows everything: objectives and violation by a function of a row."""

    def __init__(self, values, violation=lambda rows: np.zeros(len(rows))):
        self.values, self.violation = values, violation

    def known(self, rows):
        return Known(self.values(rows), self.violation(rows), np.zeros((len(rows), 0)))

    def expected(self, rows):
        return None


def conditional():
    return ToyEncoding(
        {"kind": ("cat", 3), "width": ("int", 5), "depth": ("int", 4)}, {"depth": ("kind", [0, 1])}
    )


def coarse(rows):
    """Two objectives with many ties."""
    return np.stack([(rows[:, 0] + rows[:, 1]) // 2, (7 - rows[:, 1] - rows[:, 2]) // 2], 1)


def asked(algorithm, n=3):
    rows = []
    while len(new := algorithm.ask(n)):
        algorithm.tell(new, np.ones((len(new), algorithm.objectives.shape[1])), np.zeros(len(new)))
        rows += new.tolist()
    return rows


def by_comparison(encoding, outlook):
    """Every distinct candidate that keeps the constraints and that no other such candidate dominates."""
    grid = np.array(list(product(*map(range, encoding.levels))), float)
    rows = np.unique(encoding.canonical(grid), axis=0)
    known = outlook.known(rows)
    keep = known.violation == 0
    rows, values = rows[keep], known.objectives[keep].tolist()
    return sorted(
        row.tolist()
        for row, mine in zip(rows, values, strict=True)
        if not any(all(map(lambda o, m: o <= m, other, mine)) and other != mine for other in values)
    )


@pytest.mark.parametrize("chunk", [7, 1 << 13])
@pytest.mark.parametrize("limit", [2.0, 99.0])
def test_front_is_that_of_comparing_all_pairs(monkeypatch, chunk, limit):
    monkeypatch.setattr(exact, "CHUNK", chunk)
    encoding = conditional()
    outlook = Table(coarse, lambda rows: np.maximum(rows[:, 1] - limit, 0))
    algorithm = Exact(encoding, 2, population=8, seed=0, outlook=outlook)
    rows = asked(algorithm)
    assert sorted(rows) == by_comparison(encoding, outlook)
    # Kinds 0 and 1 have 5 widths of 4 depths, kind 2 has 5 widths; ties are counted by hand.
    assert algorithm.priced == 2 * 5 * 4 + 5
    assert algorithm.feasible == 9 * min(5, int(limit) + 1)
    values = [tuple(v) for v in coarse(np.array(rows))]
    assert algorithm.ties == sum(values.count(v) > 1 for v in values)


def test_state_continues_where_the_front_was_left():
    outlook = Table(coarse)
    whole, part, copy = (Exact(conditional(), 2, population=8, seed=0, outlook=outlook) for _ in range(3))
    first = part.ask(2)
    copy.load_state_dict(part.state_dict())
    assert first.tolist() + copy.ask(1000).tolist() == asked(whole)


def test_without_feasible_rows_the_least_violating_ones_are_handed_out():
    outlook = Table(coarse, lambda rows: 1 + np.abs(rows[:, 1] - 3))
    rows = Exact(conditional(), 2, population=8, seed=0, outlook=outlook).ask(100)
    assert set(rows[:, 1]) == {3.0}
    assert len(rows) == 9


@pytest.mark.parametrize(
    ("encoding", "outlook", "reason"),
    [
        (conditional(), None, "nothing is known"),
        (ToyEncoding({"x": ("float",)}), Table(coarse), "inf combinations"),
        (ToyEncoding({f"p{i}": ("int", 9) for i in range(9)}), Table(coarse), "3.87e\\+08 combinations"),
        (
            conditional(),
            Table(lambda rows: np.where([True, False], coarse(rows), np.nan)),
            "only known after an evaluation",
        ),
    ],
)
def test_what_cannot_be_enumerated_is_refused_with_the_reason(encoding, outlook, reason):
    with pytest.raises(ConfigError, match=reason):
        Exact(encoding, 2, population=8, seed=0, outlook=outlook).ask(1)


def test_seconds_of_pricing_are_bounded(monkeypatch):
    monkeypatch.setattr(exact, "MOST_SECONDS", 0.0)
    assert "would take" in refusal(conditional(), Table(coarse))


def test_a_search_records_the_front_of_a_large_table_and_no_more():
    # Latency falls with a, flash rises with it, b costs both: the front is b = 0. 62,500 rows are priced.
    search = Search(
        TableProblem((250, 250)), None, ["latency", "flash"], {"ram": "<= 15000"}, algorithm="exact"
    )
    search.fit(1000)
    assert [r["assignment"] for r in search.history_] == [{"p0": a, "p1": 0} for a in range(151)]
    assert search.front_ == search.history_
