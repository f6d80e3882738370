"""Workers on many machines, by `dask.distributed`: a scheduler, and ``hannah-hw worker`` on each machine.

Trust: what dask sends is pickled, so whoever reaches the scheduler can run code on every worker and on the machine of
the search. Use it among machines of your own, in a network of your own or with TLS: addresses then begin with
``tls://``, and dask's own settings (its YAML files, or variables such as ``DASK_DISTRIBUTED__COMM__TLS__CA_FILE``)
name the certificates for scheduler, workers and search alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
import warnings
from typing import Any, Final

from hannah_hw.errors import ConfigError, RunError, require
from hannah_hw.search.futures import FuturesExecutor
from hannah_hw.search.protocols import Evaluator
from hannah_hw.search.workers import ENVIRONMENT

#: Seconds in which a scheduler must answer.
CONNECT_TIMEOUT: Final = 30.0
#: Seconds without a single worker after which a run is given up.
PATIENCE: Final = 600.0
_ADDRESS: Final = re.compile(r"(tcp|tls)://([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")
_EXTRA: Final = "distributed"


class NoWorkerWarning(UserWarning):
    """A run waits for workers."""


def check_address(text: str) -> str:
    """The address of a scheduler, as it was given.

    Raises:
        ConfigError: It is none.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 2**16:
        raise ConfigError(
            f"{text!r} is no address of a scheduler; write it as tcp://HOST:PORT or tls://HOST:PORT"
        )
    return text


class DistributedExecutor(FuturesExecutor):
    """Runs tasks on the workers of a dask scheduler.

    A worker that is lost costs the time of the task that it had, which another one is given.

    Args:
        evaluator: See `FuturesExecutor`.
        address: Of the scheduler.
        timeout: Seconds that one evaluation may take.
        memory: Bytes that a process may hold; see `WorkerPool`.

    Raises:
        ConfigError: This is no address, or there are no certificates for it.
        MissingExtraError: dask.distributed is not installed.
        RunError: No scheduler answers there.
    """

    def __init__(self, evaluator: Evaluator, address: str, timeout: float, memory: int | None = None) -> None:
        check_address(address)
        distributed = require("distributed", _EXTRA)
        try:
            self._client: Any = distributed.Client(
                address, timeout=CONNECT_TIMEOUT, set_as_default=False, name="hannah-hw"
            )
        except (OSError, TimeoutError, TypeError) as failure:
            raise _no_answer(address, failure) from failure
        self._address = address
        self._seen = time.monotonic()
        super().__init__(evaluator, self._client.get_executor(pure=False), timeout, memory)
        if not self._threads():
            warnings.warn(
                f"no worker is connected to {address}; the run waits for one: hannah-hw worker {address}",
                NoWorkerWarning,
                stacklevel=2,
            )

    def room(self) -> int:
        """See `hannah_hw.search.tasks.Executor.room`; a worker has as many threads as it evaluates candidates."""
        return max(0, sum(self._threads().values()) - len(self._pending))

    def close(self) -> None:
        """See `FuturesExecutor.close`."""
        super().close()
        self._client.close(timeout=5)

    def _look(self) -> None:
        now = time.monotonic()
        if self._threads():
            self._seen = now
        elif now - self._seen > PATIENCE:
            raise RunError(
                f"no worker was connected to {self._address} for {PATIENCE:g} s; start one: "
                f"hannah-hw worker {self._address}; then --resume"
            )

    def _threads(self) -> dict[str, int]:
        """Worker -> candidates that it evaluates at a time.

        Raises:
            RunError: The scheduler is gone.
        """
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            if self._client.status == "running":
                return dict(self._client.nthreads())
        raise RunError(f"the scheduler at {self._address} is gone; start it again, then --resume")


def serve(address: str, processes: int) -> None:
    """Work for the searches of a scheduler until it is gone, with one thread a process.

    Args:
        address: Of the scheduler.
        processes: Candidates that are evaluated at a time, each in a process of its own.

    Raises:
        ConfigError: This is no address, or there are no certificates for it.
        MissingExtraError: dask.distributed is not installed.
        RunError: No scheduler answers there.
    """
    check_address(address)
    distributed = require("distributed", _EXTRA)
    os.environ.update(ENVIRONMENT)

    async def work() -> None:
        # The threads of this process only wait; limits are those of the run, for each candidate.
        async with distributed.Worker(
            address, nthreads=processes, memory_limit=0, death_timeout=CONNECT_TIMEOUT, dashboard=False
        ) as worker:
            await worker.finished()

    try:
        asyncio.run(work())
    except (OSError, TimeoutError) as failure:
        raise _no_answer(address, failure) from failure
    except RuntimeError as failure:
        # dask's word for a worker that did not start; the reason is the cause.
        if not isinstance(failure.__cause__, OSError | TimeoutError | TypeError):
            raise
        raise _no_answer(address, failure.__cause__) from failure


def _no_answer(address: str, failure: Exception) -> Exception:
    """What to say where a scheduler cannot be reached."""
    if not isinstance(failure, TypeError):
        return RunError(
            f"no scheduler answers at {address} ({failure}); start one: dask scheduler --port PORT"
        )
    if not address.startswith("tls:"):
        return failure
    # dask's own word for settings that are not there.
    return ConfigError(
        f"there are no certificates for {address}; name them in dask's settings, for example "
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, and __CLIENT__CERT, __CLIENT__KEY, __WORKER__CERT, __WORKER__KEY there"
    )
