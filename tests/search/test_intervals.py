"""Estimates with intervals: a bound rules out only what lies beyond them, and records say what is uncertain."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_toys import Priced, TableProblem, without_times

from hannah_hw.errors import RunError
from hannah_hw.search.loop import Search, make_goals
from hannah_hw.search.metrics import Constraint
from hannah_hw.search.protocols import half_widths


@dataclass
class Banded(Priced):
    bands: dict = field(default_factory=dict)


class BandedTable(TableProblem):
    """`TableProblem`, whose latency 1 + a + b / 10 is known to a relative half width."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def estimate(self, rows):
        priced = super().estimate(rows)
        return Banded(priced.columns, priced.supported, {"latency_s": np.full(len(rows), self.width)})


@pytest.mark.parametrize(
    ("sign", "value", "violation", "uncertain"),
    [
        ("<=", 8.9, 0.0, False),  # 8.01 to 9.79
        ("<=", 9.5, 0.0, True),  # 8.55 to 10.45
        ("<=", 11.0, 0.0, True),  # 9.9 to 12.1
        ("<=", 12.0, 0.08, False),  # 10.8 to 13.2: 0.8 of 10 beyond
        (">=", 12.0, 0.0, False),
        (">=", 9.5, 0.0, True),
        (">=", 8.0, 0.12, False),  # up to 8.8: 1.2 of 10 short
    ],
)
def test_the_nearer_end_of_an_interval_counts(sign, value, violation, uncertain):
    bound = Constraint("latency", sign, 10.0)
    assert bound.violation(np.array([value]), 0.1) == pytest.approx([violation], abs=1e-12)
    assert bound.within(np.array([value]), 0.1).tolist() == [uncertain]


POSITIVE = st.floats(1e-6, 1e6)


@given(POSITIVE, POSITIVE, st.floats(0.001, 0.9), st.sampled_from(["<=", ">="]))
def test_uncertain_means_that_one_end_meets_the_bound_and_the_other_does_not(value, bound, width, sign):
    constraint = Constraint("latency", sign, bound)
    ends = [
        bool(constraint.violation(np.array([value * (1 + side * width)]))[0] == 0) for side in (-1.0, 1.0)
    ]
    assert constraint.within(np.array([value]), width)[0] == (ends[0] != ends[1])
    assert (constraint.violation(np.array([value]), width)[0] == 0) == any(ends)


def test_without_an_interval_nothing_is_uncertain_and_nothing_changes():
    values = np.array([9.0, 10.0, 11.0])
    bound = Constraint("latency", "<=", 10.0)
    assert not bound.within(values, 0.0).any()
    assert bound.violation(values, 0.0).tolist() == bound.violation(values).tolist()
    plain = Search(TableProblem(), None, ["latency", "flash"], {"latency": "<= 3 s"}, population=6).fit(99)
    unknown = Search(
        BandedTable(np.nan), None, ["latency", "flash"], {"latency": "<= 3 s"}, population=6
    ).fit(99)
    assert without_times(unknown.history_) == without_times(plain.history_)
    assert half_widths(BandedTable(np.nan).estimate(np.zeros((2, 2))), "latency_s").tolist() == [0.0, 0.0]
    assert half_widths(TableProblem().estimate(np.zeros((2, 2))), "latency_s").tolist() == [0.0, 0.0]


def test_candidates_within_their_interval_are_searched_and_marked():
    bounds = {"latency": "<= 3 s"}
    search = Search(
        BandedTable(0.2), None, ["latency", "flash"], bounds, algorithm="nsga2", population=6
    ).fit(99)
    # Up to 3.75 s: the first three values of a with all seven of b.
    assert sum(record["status"] == "ok" for record in search.history_) == 21
    for record in search.history_:
        latency = record["metrics"]["latency_s"]
        assert record["status"] == ("ok" if 0.8 * latency <= 3 else "infeasible")
        assert record["uncertain"] == (["latency"] if 0.8 * latency <= 3 < 1.2 * latency else [])
        assert record["bands"] == {"latency_s": 0.2}
    assert any(r["status"] == "ok" and r["metrics"]["latency_s"] > 3 for r in search.history_)


def test_only_bounded_metrics_are_uncertain():
    search = Search(BandedTable(0.2), None, ["latency"], {"ram": "<= 600"}, population=6).fit(5)
    assert {tuple(record["uncertain"]) for record in search.history_} == {()}
    estimates = BandedTable(0.2).estimate(np.zeros((3, 2)))
    goals = make_goals(["latency"], {"ram": "<= 600", "latency": "<= 1.1 s"})
    assert {name: held.tolist() for name, held in goals.uncertain(estimates).items()} == {
        "latency": [True, True, True]
    }


def test_a_bound_within_reach_of_an_interval_is_not_called_out_of_reach():
    # The fastest candidate has 1 s, 0.8 s at best; none of those below 0.9 s has less than 5900 bytes of flash.
    bounds = {"latency": "<= 0.9 s", "flash": "<= 5000"}
    with pytest.raises(RunError, match=r"latency <= 900 ms: best value seen 1 s \(reachable alone\)"):
        Search(BandedTable(0.2), None, ["latency"], bounds, population=6).fit(10)
    with pytest.raises(RunError, match=r"latency <= 900 ms: best value seen 1 s \(out of reach\)"):
        Search(BandedTable(0.05), None, ["latency"], bounds, population=6).fit(10)
