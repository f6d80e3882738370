"""Results are told with a fixed lag: in any order of finishing the same run, and no straggler stops the others."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from search_toys import Counting, Shuffled, StagesEvaluator, log_of, toy_run, without_times

from hannah_hw.search.rundir import FINISHED, LOG


class Interrupted(Shuffled):
    """Ctrl-C after so many outcomes."""

    def __init__(self, *arguments, after, **options):
        super().__init__(*arguments, **options)
        self.left = after

    def wait(self):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().wait()


@pytest.mark.parametrize("lag", [0, 3, 10, 25])
@pytest.mark.parametrize("algorithm", ["nsga2", "aging"])
def test_the_order_of_finishing_does_not_matter(tmp_path, lag, algorithm):
    logs = []
    for seed in range(3):
        path = tmp_path / str(seed)
        executor = Shuffled(StagesEvaluator(), seed)
        toy_run(path, executor=executor, lag=lag, algorithm=algorithm)
        logs.append(without_times(log_of(path)))
        assert not (path / FINISHED).exists()
    assert logs[0] == logs[1] == logs[2]


@pytest.mark.parametrize("lag", [0, 4, 10, 17])
def test_exactly_the_records_before_the_lag_are_told(tmp_path, lag):
    executor = Shuffled(StagesEvaluator())
    toy_run(tmp_path / "run", executor=executor, lag=lag, evaluations=60)
    first = {}
    for record in log_of(tmp_path / "run"):
        first.setdefault(record["generation"], record["index"])
    for record in log_of(tmp_path / "run"):
        if record["status"] == "ok":
            assert executor.told[record["index"]] == max(0, first[record["generation"]] - lag)


@pytest.mark.parametrize("lag", [0, 15, 17, 18])
def test_a_straggler_stops_nobody_for_longer_than_the_lag(tmp_path, lag):
    toy_run(tmp_path / "run", workers=0, lag=lag, evaluations=60)
    log = log_of(tmp_path / "run")
    slow = next(r["index"] for r in log if r["index"] >= 12 and r["status"] == "ok")
    executor = Shuffled(StagesEvaluator(), held=[slow])
    toy_run(tmp_path / "held", executor=executor, lag=lag, evaluations=60)
    # A batch that begins at record a needs those before a - lag, so the slow one stops those with a > slow + lag.
    starts = [
        index for index, r in enumerate(log) if not index or log[index - 1]["generation"] != r["generation"]
    ]
    behind = min(start for start in starts if start > slow + lag)
    assert executor.most == max(r["index"] for r in log[:behind] if r["status"] == "ok")
    assert without_times(log_of(tmp_path / "held")) == without_times(log)


@pytest.mark.parametrize("after", [1, 5, 12, 19, 33])
def test_what_had_finished_is_not_evaluated_again(tmp_path, after):
    toy_run(tmp_path / "whole", workers=0, lag=4)
    first, second = Counting(), Counting()
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        toy_run(path, executor=Interrupted(first, 7, after=after), lag=4)
    toy_run(path, executor=Shuffled(second, 8), lag=4, resume=True)
    assert len(first.seen) == after
    assert not set(first.seen) & set(second.seen)
    assert len(first.seen) + len(second.seen) == 40
    assert without_times(log_of(path)) == without_times(log_of(tmp_path / "whole"))
    assert sorted(p.name for p in path.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


def start_run(path, seed, resume):
    toy_run(
        path, executor=Shuffled(StagesEvaluator(delay=0.002), seed), lag=4, resume=resume, evaluations=120
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are started by fork, which is quick")
def test_twenty_kills_lose_nothing(tmp_path):
    path, rng = tmp_path / "run", np.random.default_rng(0)
    context = multiprocessing.get_context("fork")
    kills = 0
    while kills < 20:
        process = context.Process(target=start_run, args=(path, kills, (path / "config.yaml").exists()))
        process.start()
        # Whole lines: the last kill may have torn one.
        before = (path / LOG).read_bytes().count(b"\n") if (path / LOG).exists() else 0
        # It is killed at a random moment, but not before it has got any further: there must be something to lose.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.is_alive():
            if (path / LOG).exists() and (path / LOG).read_bytes().count(b"\n") > before:
                break
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0, 0.01)))
        alive = process.is_alive()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += alive
        if not alive:
            break
    assert kills == 20
    toy_run(path, executor=Shuffled(StagesEvaluator(), 99), lag=4, resume=True, evaluations=120)
    toy_run(tmp_path / "whole", workers=0, lag=4, evaluations=120)
    assert without_times(log_of(path)) == without_times(log_of(tmp_path / "whole"))
    states = [json.loads((tmp_path / run / "state.json").read_text()) for run in ("run", "whole")]
    assert states[0] == states[1]
    assert not (path / FINISHED).exists()


DISK_FULL = """
import resource, signal, sys
from search_toys import Shuffled, StagesEvaluator, toy_run
from hannah_hw.errors import RunError
path, limit, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    toy_run(path, executor=Shuffled(StagesEvaluator(), limit), lag=4, resume=resume)
except RunError as error:
    print(error)
"""


def test_a_full_disk_loses_nothing(tmp_path):
    pytest.importorskip("resource")
    toy_run(tmp_path / "whole", workers=0, lag=4)
    path, size = tmp_path / "run", (tmp_path / "whole" / LOG).stat().st_size
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    before = 0
    # No file may grow beyond a share of the whole log, which is anywhere within a record.
    for share in (0.3, 0.31, 0.8):
        arguments = [
            sys.executable,
            "-c",
            DISK_FULL,
            str(path),
            str(int(share * size)),
            "resume" if before else "start",
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        result = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
        assert "make room, then continue with --resume" in result.stdout, result.stderr
        assert without_times(log_of(path)) == without_times(log_of(tmp_path / "whole"))[: len(log_of(path))]
        assert len(log_of(path)) >= before
        before = len(log_of(path))
    assert 0 < before < len(log_of(tmp_path / "whole"))
    toy_run(path, executor=Shuffled(StagesEvaluator(), 5), lag=4, resume=True)
    assert without_times(log_of(path)) == without_times(log_of(tmp_path / "whole"))
    assert not (path / FINISHED).exists()
