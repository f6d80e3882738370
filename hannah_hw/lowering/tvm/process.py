"""The process that TVM lives in: started once, asked often, replaced when it dies."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.errors import EvaluationError, MissingExtraError, RunError, UnsupportedError
from hannah_hw.lowering.tvm.lowered import Lowered

if TYPE_CHECKING:
    from onnx import ModelProto

EXTRA: Final = "tvm"
#: Distribution -> the version that works. apache-tvm accepts newer versions of apache-tvm-ffi; from 0.1.15 on, TVM
#: 0.27 ends with a segmentation fault when it compares or hashes a function.
VERSIONS: Final[Mapping[str, str]] = {
    "apache-tvm": "0.27.0.post1",
    "apache-tvm-ffi": "0.1.14.post1",
}
#: Seconds until TVM must be imported; one to ten are usual.
START_S: Final = 120.0
#: Seconds that one model may take; a fifth of one is usual.
TIMEOUT_S: Final = 60.0


@contextlib.contextmanager
def worker_or_own(worker: TvmWorker | None, *, timeout_s: float = TIMEOUT_S) -> Iterator[TvmWorker]:
    """A worker that there is, or one that is started and ended here.

    Args:
        worker: What there is.
        timeout_s: Of the new one.
    """
    if worker is not None:
        yield worker
    else:
        with TvmWorker(timeout_s=timeout_s) as own:
            yield own


def check_versions() -> None:
    """See whether the versions of TVM that this package was written for are installed.

    Raises:
        MissingExtraError: TVM is not installed.
        RunError: Another version is.
    """
    for name, wanted in VERSIONS.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise MissingExtraError(name, EXTRA) from error
        if found != wanted:
            pins = " ".join(f"{package}=={version}" for package, version in VERSIONS.items())
            raise RunError(
                f"{name} {found} is installed, but only {wanted} is known to work: pip install {pins}"
            )


class TvmWorker:
    """TVM in a process of its own.

    A process that ends or that takes too long is an `EvaluationError` of the model that it was asked about; the next
    model gets a new process.

    Attributes:
        starts: How often it was started.
        cpu_s: Processor seconds that the answers took, in TVM's process.

    Args:
        timeout_s: Seconds that one model may take.
        start_s: Seconds that the process may take to start.
        command: What to run; by default the worker, in this interpreter, if the right versions are installed.
    """

    def __init__(
        self, *, timeout_s: float = TIMEOUT_S, start_s: float = START_S, command: Sequence[str] | None = None
    ) -> None:
        if command is None:
            check_versions()
            command = (sys.executable, "-m", "hannah_hw.lowering.tvm.worker")
        self.starts = 0
        self.cpu_s = 0.0
        self._command, self._timeout_s, self._start_s = tuple(command), timeout_s, start_s
        self._folder = tempfile.TemporaryDirectory(prefix="hannah-hw-tvm-")
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def __enter__(self) -> TvmWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._folder.cleanup()

    def lower(self, model: ModelProto, *, features: bool = False) -> Lowered:
        """Lower a float32 model.

        Args:
            model: Of float32, with shapes; see `hannah_hw.lowering.OnnxModel.model`.
            features: Whether kernels have them; see `TvmKernel.features`.

        Raises:
            UnsupportedError: TVM has no operator of the model.
            EvaluationError: TVM crashed (its kind is ``crash``), took too long (``timeout``) or failed (``tvm``).
        """
        return Lowered.from_dict(self.request("lower", model, "lower", features=features))

    def request(self, name: str, model: ModelProto, verb: str, **fields: Any) -> dict[str, Any]:
        """Have the worker do something with a model.

        Args:
            name: Of an entry of `hannah_hw.lowering.tvm.worker.HANDLERS`.
            model: Of float32, with shapes.
            verb: What it does, for messages: TVM cannot VERB the model.
            fields: More of the request, as JSON has them.

        Returns:
            What the handler returns.

        Raises:
            UnsupportedError: TVM has no operator of the model.
            EvaluationError: TVM crashed (its kind is ``crash``), took too long (``timeout``) or failed (``tvm``).
        """
        self._start()
        path = Path(self._folder.name, "model.onnx")
        path.write_bytes(model.SerializeToString())
        answer = self._ask({"do": name, "model": str(path), **fields})
        self.cpu_s += answer.get("cpu_s", 0.0)
        if "error" in answer:
            message = f"TVM cannot {verb} the model: {answer.get('message')}"
            if answer["error"] == "unsupported":
                raise UnsupportedError(message)
            raise EvaluationError(message, kind="tvm")
        result: dict[str, Any] = answer["done"]
        return result

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        root = str(Path(__file__).parents[3])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with Path(self._folder.name, "stderr").open("wb") as messages:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            )
        self.starts += 1
        self._read(self._start_s, "to start")

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None  # noqa: S101 (for the type checker: _start has run)
        assert process.stdin is not None  # noqa: S101
        # A process that has just ended is noticed when its answer is read.
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
        return self._read(self._timeout_s, "for one model")

    def _read(self, timeout_s: float, what: str) -> dict[str, Any]:
        """The next answer.

        Raises:
            EvaluationError: There is none in time, or ever.
        """
        process = self._process
        assert process is not None  # noqa: S101 (for the type checker: _start has run)
        assert process.stdout is not None  # noqa: S101
        end = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, end - time.monotonic())):
                    self._stop()
                    raise EvaluationError(f"TVM took more than {timeout_s:g} s {what}", kind="timeout")
                part = os.read(process.stdout.fileno(), 1 << 20)
                if not part:
                    raise self._ended()
                self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            self._stop()
            raise EvaluationError(f"TVM's process wrote no answer: {line[:80]!r}", kind="crash") from error
        return answer

    def _ended(self) -> EvaluationError:
        code = self._stop()
        said = Path(self._folder.name, "stderr").read_text(errors="replace").strip().splitlines()
        reason = f": {said[-1][:200]}" if said else ""
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return EvaluationError(f"TVM's process ended ({how}){reason}", kind="crash")

    def _stop(self) -> int | None:
        """End the process, if there is one; its exit code."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return None
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            return process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
