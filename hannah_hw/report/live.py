"""The page of a run over HTTP, for a browser on this machine, while the search goes on.

The server only reads. It listens on 127.0.0.1, and refuses requests that were meant for another host, so that no page
of a stranger reaches it by a name that leads here (DNS rebinding). What it has:

=====================  =================================================================================
``/``                  the page, made anew when the run has changed
``/status.json``       ``revision``, ``evaluations``, ``budget``, ``ending``, ``age_s``, ``problem``
``/artifacts/ID.onnx``  models of the run
=====================  =================================================================================
"""

from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from hannah_hw.errors import HannahError, InputError, RunError
from hannah_hw.report.data import CONFIG, RECORDS, STATE, ReportData, read_run, read_state
from hannah_hw.report.finalists import FINALISTS
from hannah_hw.report.measurements import MEASUREMENTS
from hannah_hw.report.page import page_script, render_page

#: The only address that is listened on.
ADDRESS: Final = "127.0.0.1"
#: The port where none is asked for, if it is free.
PORT: Final = 8321
#: Files whose change is news.
_WATCHED: Final = (CONFIG, RECORDS, STATE, MEASUREMENTS, FINALISTS)
#: A page is made again after so many times the processor time of the last one at the earliest: of a large run that goes
#: on, serving takes a quarter of one core at most.
_REST: Final = 3.0
#: What a browser may do with the page: run its own script, told by its hash, and ask this server.
_POLICY: Final = (
    "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class _Made:
    """A page that was made: of which revision, from what, and when it may be made again."""

    revision: str
    run: ReportData
    page: bytes
    rest_until: float


class LiveRun:
    """A run directory that may grow, and its page.

    Args:
        folder: The run directory.

    Raises:
        ConfigError: It is no run directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._made = self._make(self._seen())

    def page(self) -> bytes:
        """The page of the newest state that there was time to read."""
        return self._newest().page

    def status(self) -> dict[str, Any]:
        """Where the search stands; ``problem`` is None, or says why the run cannot be read now."""
        problem = None
        try:
            made = self._newest()
        except HannahError as error:
            made, problem = self._made, str(error)
        state = read_state(self.folder / STATE)
        search = made.run.config.get("search")
        return {
            "revision": made.revision,
            "candidates": len(made.run.candidates),
            "evaluations": _evaluations(made.run, state),
            "budget": search.get("evaluations") if isinstance(search, Mapping) else None,
            "ending": state.get("ending"),
            "age_s": max(0.0, time.time() - self._changed()),
            "problem": problem,
        }

    def model(self, address: str) -> Path | None:
        """The file of a model by its address in the run directory; None if no candidate has such a file."""
        if any(candidate.artifact == address for candidate in self._newest().run.candidates):
            return self.folder / address
        return None

    def _newest(self) -> _Made:
        """The page as the run is now, or as it was a moment ago."""
        with self._lock:
            revision = self._seen()
            if revision != self._made.revision and time.monotonic() >= self._made.rest_until:
                self._made = self._make(revision)
            return self._made

    def _make(self, revision: str) -> _Made:
        start = time.thread_time()
        run = read_run(self.folder)
        page = render_page(run, revision=revision).encode()
        return _Made(revision, run, page, time.monotonic() + _REST * (time.thread_time() - start))

    def _seen(self) -> str:
        """What tells a state of the files from another one."""
        found = hashlib.blake2b(digest_size=8)
        for name in _WATCHED:
            with suppress(OSError):
                facts = (self.folder / name).stat()
                found.update(f"{name} {facts.st_size} {facts.st_mtime_ns};".encode())
        return found.hexdigest()

    def _changed(self) -> float:
        """When any of the files changed last, in seconds since 1970."""
        times = [0.0]
        for name in _WATCHED:
            with suppress(OSError):
                times.append((self.folder / name).stat().st_mtime)
        return max(times)


class LiveServer(ThreadingHTTPServer):
    """Serves the page of a run until it is shut down.

    Args:
        run: The run.
        port: The port; None takes `PORT`, or any other that is free; 0 any.

    Raises:
        InputError: The port is taken.
        RunError: There is no port to listen on.
    """

    daemon_threads = True

    def __init__(self, run: LiveRun, port: int | None = None) -> None:
        self.run = run
        script = base64.b64encode(hashlib.sha256(page_script(live=True).encode()).digest()).decode()
        self.headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(script)}
        wanted = (PORT, 0) if port is None else (port,)
        for attempt in wanted:
            try:
                super().__init__((ADDRESS, attempt), _Handler)
            except OSError as error:
                if port is not None:
                    raise InputError(
                        f"cannot listen on port {port}: {error.strerror}; give another one, or 0 for any that is free",
                        where="--port",
                    ) from error
                failure = error
            else:
                return
        raise RunError(f"cannot listen on {ADDRESS}: {failure.strerror}") from failure

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/"

    @property
    def hosts(self) -> frozenset[str]:
        """What a request's header ``Host`` may say."""
        return frozenset(f"{name}:{self.server_port}" for name in (ADDRESS, "localhost"))


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection; other methods than GET and HEAD are refused by the base class."""

    server: LiveServer
    #: Seconds that a client may take for its request.
    timeout = 30.0
    server_version = "hannah-hw"
    sys_version = ""

    def do_GET(self) -> None:
        """The page, where the search stands, or a model."""
        if self.headers.get("Host", "") not in self.server.hosts:
            self._send(
                HTTPStatus.FORBIDDEN,
                "text/plain",
                f"this server answers for {self.server.url} alone\n".encode(),
            )
            return
        path = unquote(urlsplit(self.path).path)
        try:
            if path == "/":
                self._send(HTTPStatus.OK, "text/html", self.server.run.page())
            elif path == "/status.json":
                self._send(HTTPStatus.OK, "application/json", json.dumps(self.server.run.status()).encode())
            elif path == "/favicon.ico":
                self._send(HTTPStatus.NO_CONTENT, "image/x-icon", b"")
            else:
                self._send_model(path.removeprefix("/"))
        except HannahError as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - see above

    def _send_model(self, address: str) -> None:
        file = self.server.run.model(address)
        try:
            content = None if file is None else file.read_bytes()
        except OSError:
            content = None
        if content is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")
            return
        self._send(HTTPStatus.OK, "application/octet-stream", content)

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        charset = "" if kind == "application/octet-stream" else "; charset=utf-8"
        # A reader who closed the page is no problem of anybody's.
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in {**self.server.headers, "Content-Type": kind + charset}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants to read of every request."""


def _evaluations(run: ReportData, state: Mapping[str, Any]) -> int:
    """Candidates that count against the budget: those of the summary, and what was evaluated since."""
    known, counted = state.get("records"), state.get("evaluations")
    if not isinstance(known, int) or not isinstance(counted, int):
        known, counted = 0, 0
    return counted + sum(candidate.status != "infeasible" for candidate in run.candidates[known:])
