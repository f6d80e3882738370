"""The comparisons in benchmarks/ take a reference file and print one JSON document."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: Own runs of scalesim 3.0.0 on an array of 4 x 8; the last one is given ten cycles too many.
SCALESIM = [
    {
        "dataflow": "ws",
        "OY": 8,
        "OX": 7,
        "FY": 3,
        "FX": 3,
        "C": 5,
        "K": 20,
        "cycles": 2519,
        "reads": (7560, 900, 13440),
    },
    {
        "dataflow": "os",
        "OY": 1,
        "OX": 22,
        "FY": 1,
        "FX": 9,
        "C": 8,
        "K": 16,
        "cycles": 983,
        "reads": (3168, 6912, 496),
    },
    {
        "dataflow": "is",
        "OY": 1,
        "OX": 1,
        "FY": 5,
        "FX": 5,
        "C": 3,
        "K": 50,
        "cycles": 1225,
        "reads": (75, 3750, 950),
    },
]

#: ai8x-synthesis at ab4f4c0, izer/test/test_cycles.py: ai85-upscale-3x7x9 and ai85-eltwise-poolafter-8x17x17.
MAX78000 = [
    {
        "input_chan": "[3]", "input_dim": "[(7, 9)]", "pool": "[(1, 1)]", "pool_stride": "[(1, 1)]", "in_expand": "[1]",
        "output_chan": "[64]", "kernel_size": "[(3, 3)]", "padding": "[(1, 1)]", "operands": "[1]",
        "pool_first": "[True]", "operator": "[op.CONVTRANSPOSE2D]", "timeslots": "[1]", "flatten": "[False]",
        "streaming": "[False]", "name": "'upscale'", "expected_cycles": "16837", "source": "the above",
    },
    {
        "input_chan": "[8]", "input_dim": "[(17, 17)]", "pool": "[(2, 2)]", "pool_stride": "[(2, 2)]",
        "in_expand": "[1]", "output_chan": "[8]", "kernel_size": "[(1, 1)]", "padding": "[(0, 0)]", "operands": "[2]",
        "pool_first": "[False]", "operator": "[op.NONE]", "timeslots": "[1 * 2]", "flatten": "[False]",
        "streaming": "[False]", "name": "'poolafter'", "expected_cycles": "705", "source": "the above",
    },
]  # fmt: skip


def compared(script, path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    run = subprocess.run(
        [sys.executable, f"benchmarks/{script}", str(path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(run.stdout)


def test_scalesim(tmp_path):
    names = ("SRAM IFMAP Reads", "SRAM Filter Reads", "SRAM OFMAP Writes")
    rows = [
        {
            "net": "own", "layer": str(i), "array": "4x8", "Total Cycles": row["cycles"], "Stall Cycles": 0,
            **{name: row[name] for name in ("dataflow", "OY", "OX", "FY", "FX", "C", "K")},
            **dict(zip(names, row["reads"], strict=True)),
        }
        for i, row in enumerate(SCALESIM)
    ]  # fmt: skip
    found = compared("vs_scalesim.py", tmp_path / "rows.csv", rows)
    cycles = found["compute_cycles"]
    assert cycles["rows"] == 3
    assert cycles["exact"] == 2
    assert cycles["max_absolute_error"] == pytest.approx(10 / 1225)
    assert cycles["worst"][0]["row"] == "own 2 is 4x8"
    # Of the 496 writes of the second run 352 are outputs; 4 + 8 cells are idle in each of 12 folds.
    for name in names:
        assert found[name]["exact"] == 3


def test_max78000(tmp_path):
    rows = [*MAX78000, {**MAX78000[0], "expected_cycles": "", "name": "'without'"}]
    found = compared("vs_max78000.py", tmp_path / "rows.csv", rows)
    assert found["rows"] == found["exact"] == 2
    assert found["without_reference"] == 1


def test_ultratrail_against_other_figures(tmp_path):
    rows = [
        {"quantity": "cycles", "relation": "=", "value": 24429, "source": "counted"},
        {"quantity": "latency_s", "relation": "<=", "value": 0.09, "source": "too strict"},
    ]
    found = compared("vs_ultratrail.py", tmp_path / "rows.csv", rows)
    assert found["exact"] == found["rows"] == 1
    assert [bound["holds"] for bound in found["bounds"]] == [False]
