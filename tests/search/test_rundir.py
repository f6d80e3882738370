"""The run directory: torn lines, damage, locks, full disks."""

import json
import os
import subprocess
import sys

import pytest

from hannah_hw.errors import RunError
from hannah_hw.search.rundir import RunDirectory


def fill(path, count=3):
    with RunDirectory(path) as directory:
        directory.write("config.yaml", "a: 1\n")
        for index in range(count):
            directory.append({"index": index, "text": "µ" * 50})
    return path / "candidates.jsonl"


@pytest.mark.parametrize("cut", [1, 2, 40, 60])
def test_a_torn_last_line_is_dropped(tmp_path, cut):
    log = fill(tmp_path / "run")
    log.write_bytes(log.read_bytes()[:-cut])
    with RunDirectory(tmp_path / "run", resume=True) as directory:
        assert [r["index"] for r in directory.records] == [0, 1]
        directory.append({"index": 2})
    assert [json.loads(line)["index"] for line in log.read_text().splitlines()] == [0, 1, 2]


def test_damage_before_the_end_is_an_error_with_the_line(tmp_path):
    log = fill(tmp_path / "run")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + b'{"index": 1, "te\n' + lines[2])
    with pytest.raises(RunError, match=r"candidates\.jsonl:2 is damaged"):
        RunDirectory(tmp_path / "run", resume=True)
    log.write_bytes(lines[0] + lines[2])
    with pytest.raises(RunError, match=r":2 is damaged \(expected the record of index 1\)"):
        RunDirectory(tmp_path / "run", resume=True)


def test_a_run_is_not_overwritten_and_nothing_is_not_resumed(tmp_path):
    fill(tmp_path / "run")
    with pytest.raises(RunError, match=r"already holds a run.*--resume"):
        RunDirectory(tmp_path / "run")
    with pytest.raises(RunError, match="no run to resume"):
        RunDirectory(tmp_path / "other", resume=True)
    assert not (tmp_path / "other").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(RunError, match="not empty"):
        RunDirectory(tmp_path / "photos")
    assert sorted(p.name for p in (tmp_path / "photos").iterdir()) == ["cat.jpg"]


def test_a_run_killed_before_its_first_word_can_be_started_again(tmp_path):
    RunDirectory(tmp_path / "run").close()
    with RunDirectory(tmp_path / "run") as directory:
        assert directory.records == []


def test_what_killed_workers_left_is_swept(tmp_path):
    fill(tmp_path / "run")
    left = [
        tmp_path / "run" / name
        for name in ("artifacts/.a.onnx.7.tmp", "weights/.a.npz.7.tmp", ".s.npz.7.tmp")
    ]
    kept = [tmp_path / "run" / name for name in ("artifacts/a.onnx", "weights/a.npz", "supernet.npz")]
    (tmp_path / "run" / "weights").mkdir()
    for path in left + kept:
        path.touch()
    with RunDirectory(tmp_path / "run", resume=True):
        assert not any(path.exists() for path in left)
        left[0].touch()
    assert not left[0].exists()
    assert all(path.exists() for path in kept)


def test_two_processes_cannot_share_a_run(tmp_path):
    fill(tmp_path / "run")
    code = (
        "import sys; from hannah_hw.search.rundir import RunDirectory; RunDirectory(sys.argv[1], resume=True)"
    )
    with RunDirectory(tmp_path / "run", resume=True):
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, timeout=60
        )
    assert other.returncode == 1
    assert "another process is running" in other.stderr
    RunDirectory(tmp_path / "run", resume=True).close()


def test_a_full_disk_is_one_clear_error_and_leaves_whole_lines(tmp_path):
    resource = pytest.importorskip("resource")
    log = fill(tmp_path / "run")
    code = f"""
import resource, signal, sys
from hannah_hw.errors import RunError
from hannah_hw.search.rundir import RunDirectory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
directory = RunDirectory({str(tmp_path / "run")!r}, resume=True)
directory.write_state({{"records": 3}})
resource.setrlimit(resource.RLIMIT_FSIZE, ({log.stat().st_size + 100}, {log.stat().st_size + 100}))
for action in (lambda: directory.append({{"index": 3, "text": "x" * 5000}}),
               lambda: directory.write_state({{"records": 3, "text": "x" * 50000}})):
    try:
        action()
    except RunError as error:
        print(error)
"""
    assert resource is not None
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.count("make room, then continue with --resume") == 2, result.stderr
    with RunDirectory(tmp_path / "run", resume=True) as directory:
        assert len(directory.records) == 3
        assert directory.read_state() == {"records": 3}
    assert sorted(os.listdir(tmp_path / "run")) == [  # noqa: PTH208
        ".lock",
        "artifacts",
        "candidates.jsonl",
        "config.yaml",
        "state.json",
    ]


def test_numbers_that_json_has_no_word_for_are_refused(tmp_path):
    with RunDirectory(tmp_path / "run") as directory, pytest.raises(ValueError, match="JSON"):
        directory.append({"index": 0, "value": float("nan")})


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot use"):
        RunDirectory(tmp_path / "file" / "run")
