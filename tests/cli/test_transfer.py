"""``hannah-hw transfer``: what to measure on a new device, and what the rest takes there."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hannah_hw.cli import main

OPERATIONS = ("none", "conv", "pool")
Latency = Callable[[int, int], float]
DEVICES: dict[str, Latency] = {
    "one": lambda conv, pool: 1 + 2.13 * conv + 0.97 * pool,
    "two": lambda conv, pool: 2 + 3 * conv + 1.07 * pool,
    "three": lambda conv, pool: 0.5 + conv + 0.11 * pool,
}


def counted(cell: str) -> tuple[int, int]:
    return cell.count("conv"), cell.count("pool")


def truth(cell: str) -> float:
    """Milliseconds on the new device, of a cell with nothing dead."""
    conv, pool = counted(cell)
    return 0.25 + 1.5 * conv + 0.2 * pool


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ["arch_str," + ",".join(f"lat_ms_{name}" for name in DEVICES) + ",lat_ms_flat"]
    for names in itertools.product(OPERATIONS, repeat=6):
        cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names)
        values = [f"{latency(*counted(cell)):.6f}" for latency in DEVICES.values()]
        lines.append(",".join([cell, *values, "4"]))
    path = tmp_path_factory.mktemp("transfer") / "table.csv"
    path.write_text("\n".join(lines))
    return path


def document(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["transfer", *map(str, arguments), "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def fill(path: Path) -> None:
    """Measure what a file proposes."""
    header, *rows = list(csv.reader(path.open()))
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows((cell, given or truth(cell)) for cell, given in rows)


def test_two_batches_then_every_latency(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure, predicted = tmp_path / "measure.csv", tmp_path / "predicted.csv"
    first = document(capsys, table, "-k", 10, "--propose", measure)
    assert len(first["measure_next"]) == 6
    assert first["predictions"] == []
    assert first["known"] == ["one", "two", "three"]
    fill(measure)
    second = document(capsys, table, "-k", 10, "--samples", measure, "--propose", measure)
    assert len(second["measure_next"]) == 4
    assert not set(second["measure_next"]) & set(first["measure_next"])
    fill(measure)
    last = document(capsys, table, "-k", 10, "--samples", measure, "--out", predicted)
    assert last["measure_next"] == []
    assert len(last["samples"]) == 10
    assert last["rows"] == 3**6
    assert len(last["predictions"]) == last["architectures"] < 3**6
    for row in last["predictions"]:
        wanted = truth(row["architecture"]) / 1e3
        assert row["latency_s"] == pytest.approx(wanted, rel=1e-3)
        assert row["lower_s"] <= row["latency_s"] <= row["upper_s"]
    assert last["figures"]["devices"] == ["one", "two", "three"]
    assert last["figures"]["spearman"] == pytest.approx(1.0, abs=0.01)
    assert last["figures"]["judged_on"] == "known devices"
    with predicted.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["arch_str"] for row in rows] == [row["architecture"] for row in last["predictions"]]
    assert sum(bool(row["measured_s"]) for row in rows) == 10
    assert float(rows[0]["upper_s"]) == pytest.approx(last["predictions"][0]["upper_s"])


def test_a_device_of_the_table_is_judged(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, table, "--device", "two", "-k", 8)
    assert found["known"] == ["one", "three"]
    assert len(found["samples"]) == 8
    for sample in found["samples"]:
        latency = DEVICES["two"](*counted(sample["architecture"]))
        assert sample["latency_s"] == pytest.approx(latency / 1e3)
    figures = found["figures"]
    assert figures["judged_on"] == "the device"
    assert figures["spearman"] == pytest.approx(1.0, abs=1e-6)
    assert figures["ceiling"] == pytest.approx(1.0)
    assert figures["operation_counts"] == pytest.approx(1.0, abs=1e-6)
    costs = found["model"]["costs_s"]
    assert set(costs) == {"constant", "conv", "pool"}
    assert [costs[name] * 1e3 for name in ("conv", "pool")] == pytest.approx([3.0, 1.07], rel=0.02)
    at_once = document(capsys, table, "--device", "two", "-k", 8, "--at-once")
    assert len(at_once["samples"]) == 8


def test_the_text_names_gap_and_ceiling_and_what_is_left_out(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transfer", str(table), "--device", "one", "-k", "8"]) == 0
    captured = capsys.readouterr()
    for wanted in ("noise ceiling", "of operation counts", "a gap of +0.0", "interval", "two, three"):
        assert wanted in captured.out
    assert "warning: flat is left out: device 'flat' has the same latency" in captured.err
    assert main(["transfer", str(table), "-k", "5"]) == 0
    assert len(capsys.readouterr().out.partition("in this order:\n")[2].splitlines()) == 5


def test_samples_of_one_cell_count_once(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two are one cell: their geometric mean, at the cell as the table writes it."""
    measure = tmp_path / "measure.csv"
    measure.write_text(
        "arch_str,lat_ms_new\n"
        "|conv~0|+|none~0|none~1|+|none~0|conv~1|none~2|,2\n"
        "|none~0|+|conv~0|none~1|+|none~0|none~1|conv~2|,8\n"
        "|pool~0|+|pool~0|pool~1|+|pool~0|pool~1|pool~2|,1\n"
    )
    found = document(capsys, table, "--samples", measure, "-k", 3)
    assert sorted(sample["latency_s"] for sample in found["samples"]) == pytest.approx([1e-3, 4e-3])
    assert len(found["measure_next"]) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("arch_str,lat_ms_a,lat_ms_b\n|conv~0|,1,2\n", "these are of a, b"),
        ("arch_str,lat_ms_new\n|sigmoid~0|,1\n", "is no architecture of the table"),
        ("arch_str,lat_ms_new\nconv,1\n", "is no cell"),
        (
            "arch_str,lat_ms_one\n|none~0|+|conv~0|none~1|+|none~0|none~1|conv~2|,1\n",
            "is a device of the table",
        ),
        ("", "the file is empty"),
        (
            (
                "arch_str,lat_ms_new\n|none~0|+|conv~0|none~1|+|none~0|none~1|conv~2|,1\n"
                "|none~0|+|none~0|none~1|+|conv~0|none~1|none~2|,1\n"
            ),
            "all 2 samples have the same latency",
        ),
        ("arch_str,lat_ms_new\n|none~0|+|conv~0|none~1|+|none~0|none~1|conv~2|,1\n", "2 or more"),
    ],
)
def test_bad_samples_are_named(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    measure = tmp_path / "measure.csv"
    measure.write_text(content)
    assert message in document(capsys, table, "--samples", measure, code=2)["error"]["message"]


def test_bad_arguments_are_named(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in [
        (["--device", "too"], "did you mean 'two'?"),
        (["--device", "one", "--known", "one,two"], "cannot be a known one too"),
        (["--device", "one", "--samples", table], "give one of them"),
        (["--known", "flat"], "the same latency"),
        (["--known", ","], "no known device is left"),
        (["--minimum-ms", "one"], "write it as DEVICE=MS"),
        (["--minimum-ms", "twa=1"], "did you mean 'two'?"),
        (["--out", tmp_path / "out.csv"], "nothing to predict from"),
        (["--propose", tmp_path / "absent" / "a.csv"], "it cannot be written"),
        (["-k", "1000"], "samples cannot be chosen"),
    ]:
        found = document(capsys, table, *arguments, code=2)["error"]["message"]
        assert message in found, (arguments, found)


def test_latencies_that_look_failed_are_said(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "failed.csv"
    header, first, *rest = table.read_text().splitlines()
    cell, _, *others = first.split(",")
    path.write_text("\n".join([header, ",".join([cell, "0.001", *others]), *rest]))
    assert main(["transfer", str(path), "--known", "one,two"]) == 0
    assert "1 latencies of one are below a 200th of its median" in capsys.readouterr().err
    assert main(["transfer", str(path), "--known", "one,two", "--minimum-ms", "one=0.01"]) == 0
    assert "below a 200th" not in capsys.readouterr().err


def test_proposals_are_the_same_each_time(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (document(capsys, table, "-k", 12)["measure_next"] for _ in range(2))
    assert one == other
    assert len(np.unique(one)) == 6
