"""The page that compares with peers is what its script writes, and its figures are those of the tables."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_script_writes() -> None:
    script = ROOT / "benchmarks" / "comparison_page.py"
    written = subprocess.run(
        [sys.executable, str(script), "--stdout"], capture_output=True, text=True, timeout=60
    )
    assert written.returncode == 0, written.stderr
    assert written.stdout == PAGE, "run python benchmarks/comparison_page.py"


def test_the_best_peer_is_the_best_of_the_table() -> None:
    with (RESULTS / "search_quality.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["problem"], row["mode"]) == ("D", "free")]
    peers = [r for r in rows if r["evaluations"] == "50" and not r["engine"].startswith("own")]
    best = max(float(row["median"]) for row in peers)
    line = next(line for line in PAGE.splitlines() if line.startswith("| D:") and "| 50 |" in line)
    assert float(line.split("|")[5].split()[0]) == round(best, 3)


def test_every_script_that_a_figure_names_is_there() -> None:
    with (RESULTS / "agreement.csv").open(newline="") as file:
        scripts = {row["script"] for row in csv.DictReader(file)}
    named = {name for name in scripts if name.endswith(".py")}
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / "benchmarks" / name).is_file()] == []
    readme = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in RESULTS.glob("*.csv") if not re.search(rf"`{path.name}`", readme)] == []
