"""Any executor of `concurrent.futures` as a place for candidates: threads, processes, the workers of a cluster.

What such an executor runs is small: `perform` hands the task to a process of its own there
(`hannah_hw.search.workers`), so that limits of time and memory, crashes and the number of threads are the same
wherever a candidate is evaluated. Files travel as bytes: what a task reads goes along with it, and what an evaluation
writes comes back and is written by this process alone, inside the folder of the run. So a worker may be on a machine
that shares no folder with this one.
"""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import tempfile
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from hannah_hw.errors import HannahError, RunError
from hannah_hw.files import write_atomically
from hannah_hw.search.protocols import Evaluator, Portable
from hannah_hw.search.tasks import NOTHING_SUBMITTED, Outcome, Task
from hannah_hw.search.workers import WorkerPool

#: Bytes that the files of one evaluation may have together.
FILES_LIMIT: Final = 256 << 20
#: How often a task is handed in once more after the place where it ran was lost.
RETRIES: Final = 3
#: Seconds between two looks at the place that the tasks went to.
_INTERVAL: Final = 5.0
#: Packages that results depend on: workers must have the versions that the run has.
_PACKAGES: Final = ("hannah-hw", "numpy", "torch", "onnx", "onnxruntime")

Files = Mapping[str, bytes]


class FuturesExecutor:
    """Runs tasks by an executor of `concurrent.futures`; see `hannah_hw.search.tasks.Executor`.

    Args:
        evaluator: Pickled along with every task. One with files is a `Portable`.
        executor: Where the tasks go. It is not shut down. Its workers unpickle what they are sent.
        timeout: Seconds that one evaluation may take.
        memory: Bytes that a process may hold; see `WorkerPool`.
    """

    def __init__(
        self, evaluator: Evaluator, executor: Executor, timeout: float, memory: int | None = None
    ) -> None:
        self._evaluator = evaluator
        self._executor = executor
        self._work = pickle.dumps((evaluator, timeout, memory))
        self._versions = versions()
        self._pending: dict[Future[tuple[Outcome, Files]], tuple[int, Task, int]] = {}
        self._done: queue.SimpleQueue[Future[tuple[Outcome, Files]]] = queue.SimpleQueue()

    def submit(self, index: int, task: Task, /) -> None:
        """See `hannah_hw.search.tasks.Executor.submit`."""
        self._hand_in(index, task, RETRIES)

    def wait(self) -> tuple[int, Outcome]:
        """See `hannah_hw.search.tasks.Executor.wait`.

        Raises:
            RunError: The executor lost a task more than `RETRIES` times, or as above.
        """
        while self._pending:
            try:
                future = self._done.get(timeout=_INTERVAL)
            except queue.Empty:
                self._look()
                continue
            if future not in self._pending:
                continue
            index, task, left = self._pending.pop(future)
            try:
                outcome, files = future.result()
            except HannahError as failure:
                raise RunError(str(failure)) from failure
            except Exception as failure:
                if not left:
                    raise RunError(
                        f"the workers lost {task.identifier} {RETRIES + 1} times; the last time: "
                        f"{type(failure).__name__}: {failure}; see to them, then --resume"
                    ) from failure
                self._look()
                self._hand_in(index, task, left - 1)
                continue
            if isinstance(self._evaluator, Portable):
                receive(self._evaluator.folder, files)
            return index, outcome
        raise ValueError(NOTHING_SUBMITTED)

    def room(self) -> int:
        """See `hannah_hw.search.tasks.Executor.room`.

        Executors of the standard library say how many workers they have; another one is given a task more than it
        works on.
        """
        workers = getattr(self._executor, "_max_workers", None)
        if isinstance(workers, int):
            return max(0, workers - len(self._pending))
        return int(all(future.running() or future.done() for future in self._pending))

    def close(self) -> None:
        """Forget all tasks; one that runs ends by itself, after `timeout` at the latest."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()

    def _hand_in(self, index: int, task: Task, left: int) -> None:
        files: Files = {}
        if isinstance(self._evaluator, Portable):
            folder = self._evaluator.folder
            found = [path for pattern in self._evaluator.reads(task) for path in folder.glob(pattern)]
            wanted = {file for path in found for file in (_files(path) if path.is_dir() else [path])}
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(wanted)}
        try:
            future = self._executor.submit(perform, self._work, task, files, self._versions)
        except RuntimeError as failure:
            raise RunError(
                f"the executor takes no more tasks ({failure}); give the search one that runs"
            ) from failure
        self._pending[future] = index, task, left
        future.add_done_callback(self._done.put)

    def _look(self) -> None:
        """See whether there is still somebody who works."""


class _Place:
    """What a thread of an executor keeps from task to task: a process, and a folder for its files."""

    def __init__(self, work: bytes) -> None:
        self.work = work
        evaluator: Evaluator
        evaluator, timeout, memory = pickle.loads(work)  # noqa: S301 - from the run that this worker serves
        self._folder: Path | None = None
        if isinstance(evaluator, Portable):
            self._scratch = tempfile.TemporaryDirectory(prefix="hannah-hw-")
            self._folder = Path(self._scratch.name)
            evaluator = evaluator.moved(self._folder)
        self.pool = WorkerPool(evaluator, 1, timeout, memory)
        # The process ends with the thread that it works for.
        weakref.finalize(self, self.pool.close)

    def run(self, task: Task, files: Files) -> tuple[Outcome, Files]:
        """Evaluate a task; what became of it, and the files that it wrote."""
        if self._folder is not None:
            receive(self._folder, files)
        self.pool.submit(0, task)
        _, outcome = self.pool.wait()
        if self._folder is None:
            return outcome, {}
        try:
            return _with_files(outcome, self._folder, files)
        finally:
            for path in _files(self._folder):
                path.unlink()


_own = threading.local()


def perform(work: bytes, task: Task, files: Files, expected: Mapping[str, str]) -> tuple[Outcome, Files]:
    """What an executor runs for a task, in a thread or process of its own.

    Args:
        work: The evaluator and its limits, pickled.
        task: The task.
        files: Path in the folder of the run -> content, of what the task reads.
        expected: Package -> version that the run has.

    Returns:
        What became of the task; path in the folder of the run -> content of what it wrote or changed.

    Raises:
        RunError: Every candidate would fail here: the versions differ, or the evaluator cannot be loaded.
    """
    _check_versions(expected)
    if multiprocessing.current_process().daemon:
        raise RunError(
            "this executor's workers are daemons, which may start no processes; start workers with "
            "'hannah-hw worker', or 'dask worker --no-nanny'"
        )
    if getattr(_own, "place", None) is None or _own.place.work != work:
        _own.place = None
        try:
            _own.place = _Place(work)
        except (ImportError, AttributeError) as failure:
            raise RunError(
                f"a worker cannot load the evaluator: {failure}; install its module there"
            ) from failure
    place: _Place = _own.place
    return place.run(task, files)


def receive(folder: Path, files: Files) -> None:
    """Write files that came from elsewhere, each whole or not at all.

    Args:
        folder: Where all of them go.
        files: Path in the folder, with ``/`` -> content.

    Raises:
        RunError: A path leads out of the folder, or a file cannot be written.
    """
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        path = folder.joinpath(*parts)
        inside = path.resolve().is_relative_to(folder.resolve())
        if not parts or ".." in parts or PurePosixPath(name).is_absolute() or not inside:
            raise RunError(f"a worker sent the file {name!r}, which is outside of {folder}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as failure:
            raise RunError(f"cannot write {path}: {failure.strerror}; make room, then --resume") from failure


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _with_files(outcome: Outcome, folder: Path, before: Files) -> tuple[Outcome, Files]:
    """An outcome and what was written for it; a failure where that is too much."""
    if outcome.reason is not None:
        return outcome, {}
    written = _files(folder)
    size = sum(path.stat().st_size for path in written)
    if size > FILES_LIMIT:
        message = f"left files of {size / 2**20:.0f} MiB; at most {FILES_LIMIT >> 20} MiB are sent back"
        return Outcome({}, {"kind": "files", "message": message}, outcome.started, outcome.wall_s), {}
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in written}
    return outcome, {name: content for name, content in found.items() if before.get(name) != content}


@cache
def versions() -> Mapping[str, str]:
    """Package -> version of what is installed here and results depend on; builds such as ``+cpu`` do not count."""
    from hannah_hw.search.pipeline import versions as installed

    return {name: text.partition("+")[0] for name, text in installed().items() if name in _PACKAGES}


def _check_versions(expected: Mapping[str, str]) -> None:
    here = versions()
    other = [
        f"{name} {here.get(name, 'is missing')} (the run: {expected.get(name, 'not installed')})"
        for name in _PACKAGES
        if here.get(name) != expected.get(name)
    ]
    if other:
        raise RunError(f"a worker has other versions, and results depend on them: {', '.join(other)}")
