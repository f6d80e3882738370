"""What a terminal shows of a front, against positions computed by hand."""

import io

import numpy as np
import pytest
from rich.console import Console
from test_progress import RUNNING

from hannah_hw.search.front_view import front_lines, plot, shown
from hannah_hw.search.observers import Front
from hannah_hw.search.scatter import PlotAxis, scatter

THREE = Front(
    {"error": "min", "latency": "min"},
    ("aaaa", "bbbb", "cccc"),
    np.array([[0.02, 0.010], [0.10, 0.002], [0.03, 0.004]]),
)


def test_points_lie_where_their_values_are():
    x, y = PlotAxis("x", [0.0, 10.0, 20.0], str), PlotAxis("y", [2.0, 1.0, 0.0], str)
    lines = scatter(x, y, 26, 6, {1: "K"}, plain=True)
    assert lines == [
        "y",
        "2.0 +o",
        f"    |{'':10}K",
        f"0.0 +{'':20}o",
        f"    +{'-' * 21}",
        f"    0.0{'x':^15}20.0",
    ]


def test_values_over_two_decades_have_a_logarithmic_axis():
    axis = PlotAxis("macs", [1.0, 10.0, 100.0], str)
    assert axis.cells(11) == [0, 5, 10]
    assert PlotAxis("macs", [1.0, 10.0, 40.0], str).cells(40) == [0, 9, 39]
    assert PlotAxis("one", [3.0], str).cells(11) == [5]


def test_nothing_is_drawn_where_nothing_could_be_told():
    x = PlotAxis("x", [0.0, 1.0], str)
    assert scatter(x, x, 23, 10, {}) == []
    assert scatter(x, x, 40, 3, {}) == []
    assert scatter(PlotAxis("x", [], str), PlotAxis("y", [], str), 40, 10, {}) == []


def test_the_table_is_sorted_by_the_first_objective_and_names_the_knee():
    lines = front_lines(THREE, 80, plain=True)
    assert [line.split("  ")[0].strip() for line in lines[:4]] == ["", "", "knee", ""]
    assert [line[6:].split()[0] for line in lines[1:4]] == ["aaaa", "cccc", "bbbb"]
    assert lines[2].split()[:6] == ["knee", "cccc", "3", "%", "4", "ms"]
    assert "".join(lines).isascii()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_it_fits_the_terminal(width):
    count = 40
    share = np.linspace(0, 1, count)
    front = Front(
        {"error": "min", "latency": "min"},
        tuple(f"{i:012x}" for i in range(count)),
        np.stack([0.01 + share, 0.1 - 0.09 * np.sqrt(share)], axis=1),
    )
    lines = front_lines(front, width)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 12
    assert ("◆" in "".join(lines)) == (width >= 80)


def test_of_a_large_front_both_ends_and_the_knee_are_listed():
    points = np.stack([np.arange(50.0), 50.0 - np.arange(50.0)], axis=1)
    places = shown(Front({"error": "min", "macs": "min"}, ("x",) * 50, points), 23)
    assert {0, 23, 49} <= set(places)
    assert places == sorted(places)
    assert len(places) <= 8


def test_one_objective_has_no_plot_and_a_maximised_one_its_own_sign():
    assert plot(Front({"error": "min"}, ("a",), np.array([[0.1]])), 60) == []
    front = Front({"error": "min", "macs": "max"}, ("a", "b"), np.array([[0.1, -2e6], [0.2, -3e6]]))
    assert front.values("macs") == [2e6, 3e6]
    assert "macs, max" in "\n".join(plot(front, 60))


def test_a_narrow_terminal_gets_whole_lines():
    from dataclasses import replace

    from hannah_hw.search.live import View

    for width in (40, 80, 120):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        console.print(View(replace(RUNNING, front=THREE)))
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        assert lines[0].endswith("50%")
        assert all(name in console.file.getvalue() for name in THREE.ids)
