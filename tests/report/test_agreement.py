"""The plot of estimates against emulation: everything is there, where it belongs, and safe to open."""

import re
import xml.etree.ElementTree as ET

import pytest

from hannah_hw.measure.comparison import (
    Compared,
    KernelComparison,
    NetworkComparison,
    by_class,
    largest_errors,
)
from hannah_hw.report.agreement import agreement_page, draw_agreement

SVG = "{http://www.w3.org/2000/svg}"


def kernel(name, kind, emulated, error):
    return KernelComparison(name, kind, f"hn_{kind}", 1000, emulated * (1 + error), emulated, error)


def network(name, *kernels, reason=None):
    if reason is not None:
        return NetworkComparison(name, {}, (), 0, 0, reason)
    total = sum(k.measured_cycles for k in kernels)
    estimated = sum(k.estimated_cycles for k in kernels)
    figures = {
        "latency_s": Compared(estimated / 1e8, total / 1e8, estimated / total - 1),
        "ram_bytes": Compared(1010.0, 1000.0, 0.01),
        "flash_bytes": Compared(1960.0, 2000.0, -0.02),
    }
    return NetworkComparison(name, figures, tuple(kernels), 2000, 2)


NETWORKS = [
    network(
        "a", kernel("x<1>", "conv", 1e4, 0.02), kernel("x2", "conv", 1e6, -0.04), kernel("y", "fc", 1e5, 0.0)
    ),
    network("b & c", kernel("z", "conv", 1e5, 0.06)),
    network("none", reason="softmax: no kernel"),
]


def circles(text):
    root = ET.fromstring(text)  # noqa: S314 (the document is the test's own)
    found = {}
    for circle in root.iter(f"{SVG}circle"):
        title = circle.find(f"{SVG}title")
        if title is not None:
            found[title.text.split("\n")[0]] = (
                float(circle.get("cx")),
                float(circle.get("cy")),
                circle.get("fill"),
            )
    return found


def test_every_kernel_is_a_point_at_its_cycles_and_its_error():
    found = circles(draw_agreement("title <>", NETWORKS))
    assert set(found) == {"a: x<1>", "a: x2", "a: y", "b & c: z"}
    (x1, y1, first), (x2, y2, second), (x3, y3, third), (x4, y4, _) = found.values()
    assert x1 < x3 == x4 < x2
    assert x3 - x1 == pytest.approx(x2 - x3, abs=0.2)
    # Up is above: 6 %, 2 %, 0, -4 %, evenly spaced.
    assert y4 < y1 < y3 < y2
    assert (y1 - y4) / 4 == pytest.approx((y2 - y3) / 4, abs=0.1)
    assert first == second != third


def test_names_of_networks_with_nearly_the_same_cycles_are_apart():
    near = [
        network(name, kernel("k", "conv", cycles, 0.0))
        for name, cycles in (("p", 1e6), ("q", 1.01e6), ("r", 1e4))
    ]
    root = ET.fromstring(draw_agreement("title", near))  # noqa: S314 (the document is the test's own)
    at = {text.text: float(text.get("y")) for text in root.iter(f"{SVG}text") if text.text in ("p", "q", "r")}
    assert abs(at["p"] - at["q"]) >= 20
    assert at["p"] == at["r"]


def test_networks_without_figures_are_in_the_page_with_their_reason_and_not_in_the_plot():
    page = agreement_page("title", NETWORKS, ["a note & more"])
    assert "softmax: no kernel" in page
    assert "a note &amp; more" in page
    assert "none" not in draw_agreement("title", NETWORKS).replace('fill="none"', "").replace(
        "fill: none", ""
    )
    for cell in ("+1.0%", "-2.0%", "+2.0%", "-4.0%", "x&lt;1&gt;"):
        assert cell in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)


def test_nothing_to_draw_is_still_a_picture():
    assert circles(draw_agreement("empty", [NETWORKS[2]])) == {}


def test_summaries():
    rows = {row.kernel_class: row for row in by_class(NETWORKS)}
    assert (rows["conv"].kernels, rows["fc"].kernels) == (3, 1)
    assert rows["conv"].mean == pytest.approx(0.04)
    assert rows["conv"].largest == pytest.approx(0.06)
    largest = largest_errors(NETWORKS)
    assert largest["flash_bytes"] == pytest.approx(0.02)
    assert largest["latency_s"] == pytest.approx(0.06)
