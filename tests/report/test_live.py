"""A run that is served: what the server answers, what it refuses, and a page that follows a real search."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hannah_hw.errors import ConfigError, InputError
from hannah_hw.report import read_run, render_page
from hannah_hw.report.live import LiveRun, LiveServer
from tests.report.browser import OpenReport
from tests.report.synthetic import write_run

ROOT = Path(__file__).parents[2]
#: A trainer that waits while the run has as many records as a file says, so that there is something to follow.
TRAINER = """\
import time
from pathlib import Path

HERE = Path(__file__).parent

def score(subject, budget):
    log = HERE / "run" / "candidates.jsonl"
    while log.is_file() and log.read_bytes().count(b"\\n") >= int((HERE / "limit").read_text()):
        time.sleep(0.02)
    return {"error": 1 / (1 + subject.candidate.parameters ** 0.2)}
"""
SEARCH = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
objectives: {error: min, latency: min}
score: {function: trainer.py:score, allow_code: true}
search: {algorithm: nsga2, population: 6, evaluations: 24, seed: 5, workers: 1}
"""


@contextmanager
def served(folder: Path) -> Iterator[LiveServer]:
    with LiveServer(LiveRun(folder), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(
    server: LiveServer, path: str, method: str = "GET", host: str = ""
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers={"Host": host or f"localhost:{server.server_port}"})
    answer = connection.getresponse()
    found = (answer.status, dict(answer.getheaders()), answer.read())
    connection.close()
    return found


def test_it_serves_the_page_the_models_and_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 30)
    (tmp_path / "run" / "artifacts" / "other.onnx").write_bytes(b"no candidate's")
    (tmp_path / "secret").write_text("not of the run")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run = read_run(tmp_path / "run")
    model = next(candidate.artifact for candidate in run.candidates if candidate.artifact)
    with served(tmp_path / "run") as server:
        revision = json.loads(ask(server, "/status.json")[2])["revision"]
        status, headers, page = ask(server, "/")
        assert (status, page.decode()) == (200, render_page(run, revision=revision))
        assert headers["Cache-Control"] == "no-store"
        policy = headers["Content-Security-Policy"]
        (script,) = re.findall(r"<script>(.*?)</script>", page.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"default-src 'none'; script-src 'sha256-{digest}';" in policy
        assert "Access-Control-Allow-Origin" not in headers
        assert ask(server, f"/{model}")[2] == b"onnx"
        assert ask(server, "/", "HEAD")[0::2] == (200, b"")
        for path in (
            "/config.yaml",
            "/artifacts/",
            "/artifacts/other.onnx",
            "/artifacts/../../secret",
            "/%2e%2e/secret",
        ):
            assert ask(server, path)[0] == 404, path
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(server, "/", method)[0] == 501
        assert server.server_address[0] == "127.0.0.1"
        for host in (
            "evil.example",
            f"evil.example:{server.server_port}",
            "127.0.0.1",
            f"localhost:{server.server_port}.evil",
        ):
            status, _, text = ask(server, "/", host=host)
            assert status == 403
            assert b"ds_cnn" not in text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_news_of_the_files_are_news_of_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    records = write_run(folder, 40)
    log = folder / "candidates.jsonl"
    lines = [json.dumps(record) + "\n" for record in records]
    log.write_text("".join(lines[:10]))
    live = LiveRun(folder)

    def news(until: int) -> dict[str, object]:
        deadline = time.monotonic() + 20
        while (found := live.status())["candidates"] != until and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    first = news(10)
    assert first["problem"] is None
    assert first["budget"] == 200
    assert first["ending"] is None
    assert live.status()["revision"] == first["revision"]
    # A line that is being written is not there yet.
    log.write_text("".join(lines[:20]) + lines[20][:50])
    second = news(20)
    assert second["revision"] != first["revision"]
    assert second["evaluations"] == sum(record["status"] != "infeasible" for record in records[:20])
    (folder / "state.json").write_text(json.dumps({"records": 20, "evaluations": 7, "ending": "budget"}))
    log.write_text("".join(lines))
    third = news(40)
    assert third["ending"] == "budget"
    assert third["evaluations"] == 7 + sum(record["status"] != "infeasible" for record in records[20:])
    (folder / "config.yaml").unlink()
    deadline = time.monotonic() + 20
    while live.status()["problem"] is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "not a run directory" in live.status()["problem"]
    assert live.status()["candidates"] == 40


def test_ports_and_folders_that_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run directory"):
        LiveRun(tmp_path)
    write_run(tmp_path / "run", 3)
    run = LiveRun(tmp_path / "run")
    with LiveServer(run, 0) as first, pytest.raises(InputError, match="--port"):
        LiveServer(run, first.server_port)


def start_search(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hannah_hw", "search", *arguments, "--out", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(path: Path, lines: int) -> None:
    deadline = time.monotonic() + 60
    while not path.is_file() or path.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < deadline, f"{path} has no {lines} lines"
        time.sleep(0.05)


def test_a_page_follows_a_search_that_is_killed_and_resumed(open_report: OpenReport, tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "search.yaml").write_text(SEARCH)
    (tmp_path / "limit").write_text("4")
    folder = tmp_path / "run"
    search = start_search(folder, str(tmp_path / "search.yaml"))
    try:
        wait_for(folder / "candidates.jsonl", 4)
        with served(folder) as server:
            tab = open_report(f"{server.url}#brush=latency_s~0~1")
            tab.locator("#front tr[data-id] .pick").last.click()
            chosen = tab.locator("#front tr.chosen").get_attribute("data-id")
            tab.locator("#log-x").check()
            tab.locator('#front th button:text-is("Latency")').click()
            seen = tab.locator("#scatter .dot").count()
            (tmp_path / "limit").write_text("12")
            tab.locator("#scatter .dot").nth(seen).wait_for(state="attached")
            search.kill()
            search.wait()
            assert "Following the search" in tab.locator("#live").inner_text()
            assert str(chosen) in tab.locator("#selected .id").inner_text()
            (tmp_path / "limit").write_text("1000")
            search = start_search(folder, "--resume")
            ended = tab.locator("#live", has_text="has ended: 24 of 24")
            ended.wait_for(timeout=60_000)
            assert search.wait(30) == 0
            total = f"{len(read_run(folder).candidates)} candidates"
            tab.locator(".subtitle", has_text=total).wait_for()
            # What the reader chose is as it was, in a page that shows the whole run.
            assert str(chosen) in tab.locator("#selected .id").inner_text()
            assert tab.locator("#log-x").is_checked()
            assert "brush=latency_s%7E0%7E1" in tab.url
            assert "brushes" in tab.locator("#left").inner_text()
            assert tab.locator('#front th[aria-sort="ascending"]').inner_text() == "Latency"
            run = read_run(folder)
            by_latency = sorted(run.front, key=lambda i: run.candidates[i].values["latency_s"])
            rows = tab.locator("#front tbody tr").evaluate_all("rows => rows.map((row) => row.dataset.id)")
            assert rows == [run.candidates[i].id for i in by_latency]
            assert tab.locator("#scatter .dot.front, #scatter .dot.knee").count() == len(run.front)
            tab.close()
    finally:
        search.kill()
        search.wait()


def test_the_verb_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 5)
    command = [sys.executable, "-m", "hannah_hw", "report", str(tmp_path / "run"), "--json"]
    wrong = subprocess.run([*command, "--port", "80"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2
    assert "--port is for --serve" in wrong.stderr
    with subprocess.Popen(
        [*command, "--serve", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as verb:
        assert verb.stdout is not None
        document = b""
        while not document.endswith(b"}\n"):
            document += verb.stdout.readline()
        address = json.loads(document)["url"].removeprefix("http://").removesuffix("/")
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("GET", "/status.json")
        assert json.loads(connection.getresponse().read())["candidates"] == 5
        connection.close()
        os.kill(verb.pid, signal.SIGINT)
        assert verb.wait(20) == 0
    assert not (tmp_path / "run" / "report.html").exists()
