"""What a search says at its end: advice that is true, and commands that work."""

import json
import shlex
from pathlib import Path

import pytest

import hannah_hw
from hannah_hw.cli import main

CONFIG = """
version: 1
space: ds_cnn
target: stm32l4r5zi
objectives: {latency: min, macs: max}
constraints: {ram: "<= 64 KiB"}
search: {algorithm: nsga2, population: 8, evaluations: 16, seed: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, and what its search printed as JSON."""
    folder = tmp_path_factory.mktemp("a run")
    config = folder / "small.yaml"
    config.write_text(CONFIG)
    return folder / "run", config


@pytest.fixture(scope="module")
def document(run):
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["search", str(run[1]), "--out", str(run[0]), "--json"]) == 0
    return json.loads(out.getvalue())


def test_the_chosen_one_is_the_knee_and_its_advice_is_that_of_its_neighbours(run, document):
    assert document["chosen"] == {"id": document["knee"], "as": "knee"}
    read = hannah_hw.load_run(run[0])
    network = read.network("knee")
    changes = document["insight"]["changes"]
    assert {change["metric"] for change in changes} == {"latency_s"}
    for change in changes:
        other = read.space.candidate({**network.assignment, **change["values"]})
        assert change["before"] == pytest.approx(read.knee.values["latency_s"])
        assert change["after"] == pytest.approx(hannah_hw.estimate(other, "stm32l4r5zi").latency_s, rel=1e-12)


def test_every_command_that_is_shown_next_works(document, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    purposes = [step["purpose"] for step in document["next"]]
    assert purposes == ["take it away", "search on"]
    for step in document["next"]:
        program, *arguments = shlex.split(step["command"])
        assert program == "hannah-hw"
        assert main(arguments) == 0, step
    assert [path.name for path in Path("models").iterdir()] == ["candidates.csv"]
    assert "search: 32 evaluations" in capsys.readouterr().err


def test_a_person_reads_the_front_the_knee_and_the_commands(run, document, capsys):
    assert main(["search", "--resume", "--out", str(run[0])]) == 0
    text = capsys.readouterr().out
    knee = hannah_hw.load_run(run[0]).knee
    line = next(line for line in text.splitlines() if line.startswith("knee ") and ": " in line)
    assert line.startswith(f"knee {knee.id}: ")
    assert "RAM " in line
    assert " of 64.0 KiB" in line
    assert "what would help" in text
    assert "hannah-hw export" in text
    assert "\x1b" not in text
