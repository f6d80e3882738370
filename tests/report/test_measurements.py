"""Measured candidates of a run in its page: differences, failures, and files that were torn."""

import json

import pytest

from hannah_hw.report import read_run, render_page
from hannah_hw.report.measurements import MEASUREMENTS, difference, largest_differences
from tests.report.synthetic import write_run
from tests.report.unpacked import document_of


@pytest.fixture
def run(tmp_path):
    """A run whose front has been measured: latency 10 % above the estimate, the last one not measurable."""
    records = write_run(tmp_path, count=60)
    front = [read_run(tmp_path).candidates[i].id for i in read_run(tmp_path).front]
    by_id = {record["id"]: record for record in records}
    lines = []
    for name in front[:-1]:
        metrics = by_id[name]["metrics"]
        measurement = {
            "core": "Cortex-M4",
            "compiler": "zig 0",
            "weights": "the model's",
            "figures": {
                "latency_s": {
                    "value": metrics["latency_s"] * 1.1,
                    "unit": "s",
                    "source": "emulated",
                    "error": 0.11,
                },
                "ram_bytes": {
                    "value": metrics["ram_bytes"],
                    "unit": "bytes",
                    "source": "emulated",
                    "error": 0.0,
                },
            },
            "kernels": [
                {"name": k["name"], "latency_s": k["latency_s"]} for k in by_id[name]["cost"]["kernels"]
            ],
        }
        lines.append({"id": name, "status": "ok", "reason": None, "measurement": measurement})
    reason = {"kind": "memory", "message": "needs <more> RAM"}
    lines.append({"id": front[-1], "status": "failed", "reason": reason, "measurement": None})
    (tmp_path / MEASUREMENTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_a_difference_is_relative_to_what_was_measured():
    assert difference(90.0, 100.0) == pytest.approx(-0.1)
    assert difference(None, 1.0) is None
    assert difference(1.0, None) is None


def test_differences_and_failures_are_in_the_page(run):
    data = read_run(run)
    assert len(data.measured) == len(data.front)
    largest = largest_differences(data)
    assert largest["latency_s"] == pytest.approx(1 - 1 / 1.1)
    assert largest["ram_bytes"] == pytest.approx(0.0)
    page = render_page(data)
    section = page[
        page.index("Measured on an emulated core") : page.index("</section>", page.index("h-measured"))
    ]
    assert section.count("-9.1 %") == len(data.front) - 1
    assert section.count("+0.0 %") == len(data.front) - 1
    assert "memory: needs &lt;more&gt; RAM" in section
    assert "core: Cortex-M4, compiler: zig 0, weights: the model" in section


def test_the_script_gets_what_it_draws(run):
    document = document_of(render_page(read_run(run)))
    measured = [row["emulated"] for row in document["candidates"] if "emulated" in row]
    assert len(measured) == len(read_run(run).front) - 1
    assert all({"figures", "kernels", "source", "means"} <= set(row) for row in measured)


def test_a_run_without_measurements_has_no_such_section(tmp_path):
    write_run(tmp_path, count=20)
    assert "h-measured" not in render_page(read_run(tmp_path))


def test_a_torn_line_is_left_out_and_named(run):
    path = run / MEASUREMENTS
    path.write_bytes(path.read_bytes()[:-20])
    data = read_run(run)
    assert len(data.measured) == len(data.front) - 1
    assert any("measurements.jsonl" in warning and "torn" in warning for warning in data.warnings)


@pytest.mark.parametrize(
    "measurement",
    [
        None,
        3,
        {"figures": 1, "kernels": "x"},
        {"figures": {"latency_s": []}},
        {"figures": {"latency_s": {"source": []}}},
    ],
)
def test_records_of_another_version_do_not_break_the_page(run, measurement):
    line = {"id": read_run(run).candidates[0].id, "status": "ok", "reason": None, "measurement": measurement}
    (run / MEASUREMENTS).write_text(json.dumps(line) + "\n")
    assert "Measured on an emulated core" in render_page(read_run(run))
