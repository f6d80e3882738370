"""Few-shot transfer between the devices of latency tables: one JSON document.

    python benchmarks/fewshot.py TABLE.csv.gz [TABLE ...] --devices A,B [--known C,D] [--samples 10] [--seeds 10]

Each device of --devices is predicted from --samples latencies of it; what is known of other devices is that of
--known, or of every device that is not among --devices. `--devices all` leaves out one device after the other.
Several tables are joined by architecture. Isomorphic cells count once. Every figure is a mean over seeds and
stands beside those of operation counts, a line over MACs and a random forest with the same samples, and the ceiling
that noise of the table sets: of duplicate cells, and among the cells that are predicted. What operation counts reach
that are fitted to every latency says how much of the rest a sum of operations could explain. Devices whose latencies
are sums by construction are no measurement: say so with --estimates.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from hannah_hw.errors import InputError
from hannah_hw.transfer import DeviceResult, Evaluation, join, read_table
from hannah_hw.transfer.evaluation import TRANSFER, Score
from hannah_hw.transfer.table import parse_minima


def rounded(value: float) -> float | None:
    """Four digits; None for what there is not."""
    return None if math.isnan(value) else round(float(value), 4)


def models(scores: dict[str, Score]) -> dict[str, Any]:
    """Model -> its figures."""
    return {
        name: {
            "spearman": rounded(score.spearman.mean()),
            "spearman_worst_seed": rounded(score.spearman.min()),
            "within_10_percent": rounded(score.within_10_percent.mean()),
        }
        for name, score in scores.items()
    }


def row(result: DeviceResult, known: list[str], dropped: int) -> dict[str, Any]:
    """Figures of one device."""
    return {
        "device": result.device,
        "known": known,
        "architectures": result.architectures,
        "rows_dropped": dropped,
        "spearman": rounded(result.scores[TRANSFER].spearman.mean()),
        "within_10_percent": rounded(result.scores[TRANSFER].within_10_percent.mean()),
        "ceiling": rounded(result.ceiling),
        "ceiling_pairs": result.pairs,
        "below_ceiling": rounded(result.below_ceiling),
        "ceiling_among_predicted": rounded(result.ceiling_among),
        "operation_counts_of_all_latencies": rounded(result.all_counts),
        "over_operation_counts": rounded(result.over_operation_counts),
        "interval": {
            "stated": rounded(result.stated_coverage),
            "coverage": rounded(result.coverage.mean()),
            "half_width": rounded(result.half_width.mean()),
        },
        "follows_paths": rounded(result.paths),
        "models": models(dict(result.scores)),
        "models_random_samples": models(dict(result.random)),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over devices, and the worst device."""
    worst = min(rows, key=lambda row: row["spearman"])
    shared = [name for name in rows[0]["models"] if all(name in row["models"] for row in rows)]

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return rounded(float(np.mean(known))) if len(known) == len(values) else None

    return {
        "devices": len(rows),
        "spearman": mean([row["spearman"] for row in rows]),
        "worst_device": {"device": worst["device"], "spearman": worst["spearman"]},
        "within_10_percent": mean([row["within_10_percent"] for row in rows]),
        **{
            name: mean([row[name] for row in rows])
            for name in ("ceiling", "ceiling_among_predicted", "operation_counts_of_all_latencies")
        },
        "over_operation_counts": mean([row["over_operation_counts"] for row in rows]),
        "interval_coverage": mean([row["interval"]["coverage"] for row in rows]),
        "interval_coverage_worst_device": min(row["interval"]["coverage"] for row in rows),
        "interval_half_width": mean([row["interval"]["half_width"] for row in rows]),
        **{
            kind: {name: mean([row[kind][name]["spearman"] for row in rows]) for name in shared}
            for kind in ("models", "models_random_samples")
        },
    }


def main() -> int:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=Path, metavar="TABLE")
    parser.add_argument("--devices", required=True, help="names, separated by commas, or: all")
    parser.add_argument("--known", default="", help="names; every device that is not among --devices")
    parser.add_argument(
        "--estimates", default="", help="names of devices whose latencies are no measurements"
    )
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-forest", action="store_true", help="without the random forest")
    parser.add_argument(
        "--minimum-ms",
        action="append",
        default=["raspi4=0.02"],
        metavar="DEVICE=MS",
        help="latencies below are failed measurements; raspi4=0.02 in the tables of HELP",
    )
    options = parser.parse_args()
    try:
        floor = parse_minima(options.minimum_ms)
        table = join([read_table(path, minimum_s=floor) for path in options.tables])
        evaluation = Evaluation(table)
        targets = list(table.devices) if options.devices == "all" else options.devices.split(",")
        given = options.known.split(",") if options.known else None
        rows = []
        for device in targets:
            if given is None:
                hidden = {device} if options.devices == "all" else set(targets)
                known = [name for name in table.devices if name not in hidden]
            else:
                known = [name for name in given if name != device]
            result = evaluation.device(
                device, known, options.samples, seeds=options.seeds, forest=not options.no_forest
            )
            rows.append(row(result, known, table.dropped.get(device, 0)))
    except (InputError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    estimates = set(options.estimates.split(",")) if options.estimates else set()
    document = {
        "samples": options.samples,
        "seeds": options.seeds,
        "all": summary(rows),
        "measured": summary([row for row in rows if row["device"] not in estimates] or rows),
        "devices": rows,
    }
    sys.stdout.write(f"{json.dumps(document, indent=1)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
