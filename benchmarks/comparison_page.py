"""The page of the documentation that compares this project with its peers, from the tables in benchmarks/results.

    python benchmarks/comparison_page.py            # writes docs/comparison.md
    python benchmarks/comparison_page.py --stdout

No figure is typed into the page: each comes from a row of a table, and each table says which script printed it.
A test compares the page with what this script writes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "comparison.md"

Row = dict[str, str]

#: What the problems of search_quality.csv are; see benchmarks/search/problems.py.
PROBLEMS = {
    "A": "30 columns, 3 objectives, 2 limits",
    "B": "C2-DTLZ2, mixed columns",
    "C": "52 conditional columns, 99 % infeasible",
    "D": "NAS-Bench-201, one device",
    "E": "NAS-Bench-201, another device",
}
OURS = "own-"


def rows(name: str) -> list[Row]:
    """A table of benchmarks/results."""
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(headers: Sequence[str], body: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text, the others figures."""
    rule = ["---"] * left + ["--:"] * (len(headers) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headers, rule, *body))


def percent(value: str) -> str:
    """A share as a percentage, and nothing where it is not known."""
    if value == "":
        return ""
    number = 100 * float(value)
    return "0" if number == 0 else f"{number:.1f} %" if number >= 0.05 else f"{number:.0e} %"


def agreement() -> str:
    """How far our figures are from those of others for the same thing."""
    body = [
        (
            f"{row['peer']}: {row['quantity']}",
            f"{int(row['compared']):,}",
            f"{int(row['equal']):,}" if row["equal"] else "",
            percent(row["mean_error"]),
            percent(row["max_error"]),
            f"`{row['script']}`",
        )
        for row in rows("agreement.csv")
    ]
    return table(("compared with", "rows", "equal", "mean", "largest", "by"), body)


def kernels() -> str:
    """Cycles of our kernels and of CMSIS-NN's."""
    body = [
        (
            row["kernel"],
            row["unit"],
            row["ours"],
            row["cmsis_nn"],
            f"{float(row['cmsis_nn']) / float(row['ours']):.1f}",
        )
        for row in rows("kernels.csv")
    ]
    return table(("kernel", "cycles per", "ours", "CMSIS-NN", "times"), body, left=2)


def networks() -> str:
    """Whole networks: cycles and arenas."""
    body = [
        (
            row["network"],
            row["ours_mcycles"],
            row["cmsis_nn_mcycles"],
            f"{float(row['cmsis_nn_mcycles']) / float(row['ours_mcycles']):.2f}",
            f"{int(row['ours_arena_bytes']):,}",
            f"{int(row['tflite_micro_arena_bytes']):,}",
        )
        for row in rows("networks.csv")
    ]
    headers = ("network", "Mcycles, ours", "CMSIS-NN", "times", "arena in bytes, ours", "TFLite Micro")
    return table(headers, body)


def hosts() -> str:
    """Latency on a host, of networks that the calibration did not see."""
    body = [
        (
            f"{row['precision']}, seed {row['seed']}",
            row["networks"],
            *(
                percent(row[key])
                for key in ("within_10", "within_5", "mean_error", "max_error", "interval_holds")
            ),
        )
        for row in rows("host_latency.csv")
    ]
    headers = ("", "networks", "within 10 %", "within 5 %", "mean", "largest", "90 % interval holds")
    return table(headers, body)


def transfer() -> str:
    """Rank correlation of predicted latencies on a device of which few were measured."""
    body = [(row["method"], row["samples"], row["spearman"]) for row in rows("transfer.csv")]
    return table(("method", "measured on the device", "mean Spearman"), body)


def speed() -> str:
    """How many times as fast a mapping is priced as by zigzag-dse."""
    body = [
        (row["architecture"], f"{int(row['times_as_fast_low']):,} to {int(row['times_as_fast_high']):,}")
        for row in rows("mapping_speed.csv")
    ]
    return table(("architecture", "times as fast a mapping"), body)


def search_quality(mode: str) -> str:
    """Median hypervolume over best known: our best algorithm beside the best peer, at each budget."""
    found = [row for row in rows("search_quality.csv") if row["mode"] == mode]
    body = []
    for problem in sorted({row["problem"] for row in found}):
        here = [row for row in found if row["problem"] == problem]
        for budget in sorted({int(row["evaluations"]) for row in here}):
            group = [row for row in here if int(row["evaluations"]) == budget]
            ours = _best(row for row in group if row["engine"].startswith(OURS))
            peer = _best(row for row in group if not row["engine"].startswith(OURS))
            cells = (_cell(ours), ours["seeds"], _cell(peer), peer["seeds"])
            body.append((f"{problem}: {PROBLEMS[problem]}", f"{budget:,}", *cells))
    return table(("problem", "evaluations", "ours", "seeds", "best peer", "seeds"), body)


def _best(found: Iterable[Row]) -> Row:
    return max(found, key=lambda row: float(row["median"]))


def _cell(row: Row) -> str:
    return f"{float(row['median']):.3f} {row['engine'].removeprefix(OURS)}"


def page() -> str:
    """The whole page as Markdown."""
    return f"""# Beside other tools

Written by `benchmarks/comparison_page.py` from the tables in `benchmarks/results`, whose README says how each
figure was taken. Run the script that a row names to take it again.

## The same figure, computed by others

Relative differences. `equal` counts rows without any; an empty cell is a figure that the script does not
state.

{agreement()}

Where Timeloop counts other accesses, `vs_timeloop.py` names the rule of counting that explains the difference
to the last one. A Cortex-M4 was emulated, not measured: figures of boards are the published rows. A candidate
with more than 2,000 values under a window may take the plain kernel, which the estimate cannot see: that is
the largest difference of random candidates. How well trained weights compress on an Ethos-U only those know
who have them: that is the largest one there.

## How fast mappings are priced

Beside zigzag-dse in the same run:

{speed()}

## Kernels on a Cortex-M4

Our own int8 kernels and CMSIS-NN's on the same emulated core, by its documented timing, without wait cycles:

{kernels()}

Whole networks of MLPerf Tiny. Our arena holds scratch memory too:

{networks()}

## Latency on this kind of host

Random networks of three spaces, priced by `calibrate host` from some 200 kernels and 24 other whole networks,
beside ONNX Runtime. The laws were fixed before the networks of seed 7411 were drawn, but the timing was
improved after a first look at their errors; nobody had looked at those of seed 20261122.

{hosts()}

## Latency of a device from ten measurements

NAS-Bench-201, each device left out in turn:

{transfer()}

## Searches

Median hypervolume as a share of the best known, at a number of evaluations; the better of our algorithms
beside the best of random search, NSGA-II, aging evolution and TPE. With so few seeds no difference is
significant after Holm's correction. Best known is the true front's of B, D and E; of A and C that of all runs
together, which flatters all alike.

What breaks a known limit costs nothing, as in a search of this project:

{search_quality("free")}

Every candidate is charged, as where nothing is known before it is tried:

{search_quality("all")}
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stdout", action="store_true", help="print the page instead")
    if parser.parse_args().stdout:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
