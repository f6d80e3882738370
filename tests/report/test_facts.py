"""The table of a target's figures: what is nested, and in lists, has rows with its own source."""

from __future__ import annotations

from hannah_hw.report.facts import recorded, target_table
from tests.report.test_page import Page


def rows(table: str) -> list[list[str]]:
    """The text of the cells of each row."""
    for end in ("</td>", "</th>"):
        table = table.replace(end, f"|{end}")
    page = Page(table.replace("<tr>", "<tr>\n"))
    assert page.open == []
    return [line.strip("|").split("|") for line in page.text.splitlines() if line]


def test_memories_in_a_list_are_rows_by_their_names() -> None:
    read = {"value": 2.5, "source": "fitted", "reference": "CACTI", "error": 0.14}
    target = {
        "clock_hz": 250e3,
        "limits": [],
        "memories": [{"name": "wmem", "size": 64, "holds": ["W", "I"], "read_pj": read}, {"size": 8}],
        "power": {"active_w": {"value": 0.02, "source": "measured", "note": "board"}},
    }
    assert rows(target_table(target)) == [
        ["Figure", "Value", "Source"],
        ["clock_hz", "250 kHz"],
        ["memories.wmem.size", "64 B"],
        ["memories.wmem.holds", "W, I"],
        ["memories.wmem.read_pj", "2.5 pJ ± 14 %", "fitted: CACTI"],
        ["memories.1.size", "8 B"],
        ["power.active_w", "20 mW", "measured: board"],
    ]


def test_nothing_recorded_is_said() -> None:
    assert target_table(None) == recorded(None) == "<p>Nothing was recorded.</p>"
    assert recorded({"a": {"b": 1}, "c": None}) == "<dl><dt>a.b</dt><dd>1</dd></dl>"
