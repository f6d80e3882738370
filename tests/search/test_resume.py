"""A run that is killed at any moment resumes to the run that was never killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import search_toys
from search_toys import toy_run, without_times

from hannah_hw.errors import RunError


def log_of(path):
    return [json.loads(line) for line in (path / "candidates.jsonl").read_text().splitlines()]


def alive_in_group(group):
    """Processes of a process group that are not zombies, from /proc."""
    alive = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            alive.append(entry.parent.name)
    return alive


def wait_for_end_of_group(group):
    deadline = time.monotonic() + 20
    while alive_in_group(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive_in_group(group) == []


def state_of(path):
    return json.loads((path / "state.json").read_text())


@pytest.fixture(scope="module", params=["nsga2", "aging"])
def whole(request, tmp_path_factory):
    """An uninterrupted run, its algorithm and its folder."""
    path = tmp_path_factory.mktemp("whole") / "run"
    toy_run(path, workers=0, algorithm=request.param)
    return path, request.param


@pytest.mark.parametrize("kept", [0, 1, 9, 10, 17, 25, 39])
@pytest.mark.parametrize("state", ["none", "final", "torn"])
def test_any_prefix_of_the_log_leads_to_the_same_end(whole, tmp_path, kept, state):
    source, algorithm = whole
    path = tmp_path / "run"
    (path / "artifacts").mkdir(parents=True)
    (path / "config.yaml").write_text("toy: true\n")
    lines = (source / "candidates.jsonl").read_bytes().splitlines(keepends=True)
    torn = lines[kept][:30] if kept % 2 else b""
    (path / "candidates.jsonl").write_bytes(b"".join(lines[:kept]) + torn)
    if state != "none":
        text = (source / "state.json").read_text()
        (path / "state.json").write_text(text if state == "final" else text[:50])
    archive = toy_run(path, resume=True, workers=0, algorithm=algorithm)
    assert without_times(log_of(path)) == without_times(log_of(source))
    assert log_of(path)[:kept] == log_of(source)[:kept]
    assert state_of(path) == state_of(source)
    assert archive.evaluations == 40


def test_kill_in_the_middle_then_resume(tmp_path):
    path, whole = tmp_path / "run", tmp_path / "whole"
    arguments = [sys.executable, search_toys.__file__, str(path), "start", "2", "0.02"]
    environment = {**os.environ, "PYTHONPATH": str(Path(search_toys.__file__).parents[2])}
    moments = [5, 22]
    for moment in moments:
        process = subprocess.Popen(arguments, env=environment, start_new_session=True)
        deadline = time.monotonic() + 60
        log = path / "candidates.jsonl"
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and log.read_bytes().count(b"\n") >= moment:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for_end_of_group(process.pid)  # the workers notice that their parent is gone
        assert moment <= log.read_bytes().count(b"\n") < 40
        arguments[3] = "resume"
    subprocess.run(arguments, env=environment, check=True, timeout=120)
    toy_run(whole, workers=0)
    assert without_times(log_of(path)) == without_times(log_of(whole))
    assert state_of(path) == state_of(whole)


def test_a_finished_run_resumes_to_itself(whole, tmp_path):
    source, algorithm = whole
    before = (source / "candidates.jsonl").read_bytes(), state_of(source)
    toy_run(source, resume=True, workers=0, algorithm=algorithm)
    assert ((source / "candidates.jsonl").read_bytes(), state_of(source)) == before


def test_a_run_continues_with_a_larger_budget(tmp_path):
    toy_run(tmp_path / "run", workers=0, evaluations=23)
    toy_run(tmp_path / "run", workers=0, evaluations=40, resume=True)
    toy_run(tmp_path / "whole", workers=0, evaluations=40)
    assert without_times(log_of(tmp_path / "run")) == without_times(log_of(tmp_path / "whole"))


@pytest.mark.parametrize("change", ["id", "objective"])
def test_a_log_of_another_run_is_noticed(tmp_path, change):
    path = tmp_path / "run"
    toy_run(path, workers=0)
    records = log_of(path)
    if change == "id":
        records[12]["id"] = "other"
    else:
        first = next(r for r in records if r["status"] == "ok")
        first["objectives"]["latency"] = 0.0
        first["objectives"]["error"] = 0.0
    (path / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    with pytest.raises(RunError, match="does not continue at record"):
        toy_run(path, resume=True, workers=0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_interrupt_stops_workers_and_can_be_resumed(tmp_path):
    path = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(Path(search_toys.__file__).parents[2])}
    arguments = [sys.executable, search_toys.__file__, str(path), "start", "2", "0.05"]
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (path / "candidates.jsonl").exists() and (path / "candidates.jsonl").read_bytes().count(b"\n") > 3:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    process.communicate(timeout=30)
    wait_for_end_of_group(process.pid)
    assert 3 < len(log_of(path)) < 40
    toy_run(path, resume=True, workers=0)
    toy_run(tmp_path / "whole", workers=0)
    assert without_times(log_of(path)) == without_times(log_of(tmp_path / "whole"))
