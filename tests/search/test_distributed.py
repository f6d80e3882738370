"""A scheduler and workers in processes of their own: the same front, whatever happens to a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from search_toys import StagesEvaluator, StagesProblem, without_times

from hannah_hw.cli import main
from hannah_hw.errors import ConfigError, RunError
from hannah_hw.search import Search
from hannah_hw.search import distributed as module
from hannah_hw.search.distributed import DistributedExecutor, NoWorkerWarning, check_address
from hannah_hw.search.tasks import Task

pytest.importorskip("distributed")

ROOT = Path(__file__).parents[2]


@dataclass
class Diary(StagesEvaluator):
    """Writes down which process evaluates what."""

    path: str = ""

    def evaluate(self, task):
        with Path(self.path).open("a") as file:
            file.write(f"{os.getpid()} {task.identifier}\n")
        time.sleep(0.1)
        return super().evaluate(task)


class Cluster:
    """A scheduler and workers on this machine."""

    def __init__(self, folder):
        self.processes = []
        self.environment = os.environ | {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}",
            "DASK_TEMPORARY_DIRECTORY": str(folder / "dask"),
        }
        file = folder / "scheduler.json"
        address = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard"]
        self.scheduler = self.start("distributed.cli.dask_scheduler", *address)
        deadline = time.monotonic() + 120
        while not (file.is_file() and file.read_text()):
            assert self.scheduler.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def start(self, module, *arguments):
        command = [sys.executable, "-m", module, *arguments]
        log = subprocess.DEVNULL
        process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def worker(self):
        return self.start("hannah_hw", "worker", self.address)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


class Killer:
    """Kills a process when some records are there."""

    def __init__(self, victim, after):
        self.victim, self.after = victim, after

    def on_start(self, progress):
        pass

    def on_record(self, record, progress):
        self.after -= 1
        if self.after == 0:
            self.victim.kill()

    def on_generation(self, progress):
        pass

    def on_end(self, progress, ending):
        pass


def search(evaluator, **options):
    problem = {"objectives": ["error", "latency"], "population": 12, "seed": 5}
    return Search(StagesProblem(), evaluator=evaluator, **problem, **options).fit(36)


@pytest.mark.filterwarnings("ignore::hannah_hw.search.distributed.NoWorkerWarning")
def test_a_worker_that_is_killed_changes_nothing(cluster, tmp_path):
    diary = tmp_path / "diary"
    workers = [cluster.worker(), cluster.worker()]
    there = search(
        Diary(path=str(diary)), workers=cluster.address, timeout=60.0, observers=[Killer(workers[0], 5)]
    )
    here = search(StagesEvaluator())
    assert workers[0].wait() == -signal.SIGKILL
    assert without_times(there.history_) == without_times(here.history_)
    assert there.front_ != []
    assert without_times(there.front_) == without_times(here.front_)
    pairs = [line.split() for line in diary.read_text().splitlines()]
    assert len({pid for pid, _ in pairs}) == 2
    times = Counter(name for _, name in pairs)
    assert set(times) == {record["id"] for record in here.history_}
    # Of the one that was killed: what it worked on, and a result that it had not handed over yet.
    assert sum(count - 1 for count in times.values()) <= 2


@pytest.mark.filterwarnings("ignore::hannah_hw.search.distributed.NoWorkerWarning")
def test_a_scheduler_that_is_gone_ends_the_run_with_advice(cluster, tmp_path):
    cluster.worker()
    with pytest.raises(RunError, match="--resume"):
        search(StagesEvaluator(), workers=cluster.address, observers=[Killer(cluster.scheduler, 3)])


def test_a_run_without_workers_is_given_up(cluster, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr("hannah_hw.search.futures._INTERVAL", 0.1)
    with pytest.warns(NoWorkerWarning, match=f"hannah-hw worker {cluster.address}"):
        executor = DistributedExecutor(StagesEvaluator(), cluster.address, 60.0)
    executor.submit(0, Task("a", {}))
    with pytest.raises(RunError, match="no worker was connected to tcp://127"):
        executor.wait()
    executor.close()


def test_where_no_scheduler_answers_both_sides_say_how_to_start_one(monkeypatch, capsys):
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 1.0)
    with pytest.raises(RunError, match=r"no scheduler answers at tcp://127.0.0.1:9.*dask scheduler"):
        DistributedExecutor(StagesEvaluator(), "tcp://127.0.0.1:9", 60.0)
    assert main(["worker", "tcp://127.0.0.1:9"]) == 1
    assert "dask scheduler --port" in capsys.readouterr().err


def test_an_encrypted_address_needs_certificates(capsys):
    with pytest.raises(ConfigError, match="there are no certificates for tls://127"):
        DistributedExecutor(StagesEvaluator(), "tls://127.0.0.1:9", 60.0)
    assert main(["worker", "tls://127.0.0.1:9"]) == 2
    assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["localhost:8786", "tcp://host", "tcp://host:0", "tcp://host:99999", "http://a:1"]
)
def test_other_addresses_are_refused(text, capsys):
    with pytest.raises(ConfigError, match="tcp://HOST:PORT"):
        check_address(text)
    assert main(["worker", text]) == 2
    assert "no address of a scheduler" in capsys.readouterr().err
