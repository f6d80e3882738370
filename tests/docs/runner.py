"""Does what a page tells its reader to do, in the page's order, in a folder of the page's own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from hannah_hw import load_space, load_target
from hannah_hw.cli import main
from hannah_hw.documents import parse_document
from hannah_hw.errors import ConfigError
from hannah_hw.search.config import validate_config
from tests.docs.blocks import Block, commands
from tests.docs.rules import BY_HAND, budget, in_background, not_run

#: The machine that pages name, and the one that stands for it here.
SCHEDULER = "192.168.0.10:8786"
_PROGRAMS = ("cp", "cat", "ls", "mkdir", "make", "gcc", "cc", "python", "dask")
_SPACES = ("hannah-space/",)
_TARGETS = ("hannah-target/",)


class Runner:
    """Runs the blocks of one page in the current folder.

    Attributes:
        config: The last whole search configuration of the page.
        output: What the last block of commands or of Python printed.
    """

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.output = ""
        self.ran: list[str] = []
        self._names: dict[str, Any] = {"__name__": "page"}
        self._background: list[subprocess.Popen[bytes]] = []
        self._port = _free_port()

    def run(self, block: Block) -> None:
        """Run, check or compare one block."""
        if block.title is not None:
            path = Path(block.title)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        match block.language:
            case "python":
                self._python(block)
            case "yaml":
                self._yaml(block)
            case "console":
                self.output = "".join(self._command(line, block) for line in commands(block))
            case "text":
                if block.title is None:
                    self._compare(block)
            case "c":
                assert block.title is not None, f"{block.where}: C that no command of the page compiles"
            case "":  # a drawing
                assert not re.search(r"^(hannah-hw|pip|python|make) ", block.text, re.MULTILINE), block.where
            case other:
                raise AssertionError(f"{block.where}: no rule says how a block of {other!r} is run")

    def close(self) -> None:
        """End what was left running."""
        for process in self._background:
            process.terminate()
        for process in self._background:
            process.wait(timeout=20)

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # Lines of errors are those of the page.
            code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
            exec(code, self._names)  # noqa: S102
        self.output = printed.getvalue()
        self.ran.append(f"{block.where} python")

    def _yaml(self, block: Block) -> None:
        document = yaml.safe_load(block.text)
        form = str(document.get("format", ""))
        if form.startswith(_SPACES):
            space = load_space(_saved(block))
            assert all(space.candidate_of(row).macs > 0 for row in space.sample_population(5, seed=0))
        elif form.startswith(_TARGETS):
            load_target(_saved(block))
        elif "space" in document and "objectives" in document:
            validate_config(parse_document(block.text, block.where, ConfigError))
            self.config = document
        else:
            assert self.config, f"{block.where}: a part of a configuration, and no whole one before it"
            whole = {**self.config, **document}
            validate_config(parse_document(yaml.safe_dump(whole), block.where, ConfigError))
        self.ran.append(f"{block.where} yaml")

    def _command(self, command: str, block: Block) -> str:
        command = command.replace(SCHEDULER, f"127.0.0.1:{self._port}").replace(
            "--port 8786", f"--port {self._port}"
        )
        command, _, saved = command.partition(" > ")
        rule = not_run(command)
        if rule is not None:
            rule.check(shlex.split(command))
            return ""
        words = [name for word in shlex.split(command) for name in _expanded(word)] + budget(command)
        known = words[0] in (*_PROGRAMS, "hannah-hw") or words[0].startswith("./")
        assert known, f"{block.where}: no rule says how {words[0]!r} is run"
        self.ran.append(f"{block.where} {command}")
        if in_background(command):
            self._start(words)
            return ""
        code, printed = _ours(words[1:]) if words[0] == "hannah-hw" else _program(words)
        assert code == 0, f"{block.where}: {command}: exit code {code}\n{printed[-2000:]}"
        for pattern, act in BY_HAND:
            if re.search(pattern, command):
                act(Path.cwd())
        if saved:
            Path(saved.strip()).write_text(printed, encoding="utf-8")
        return printed

    def _start(self, words: list[str]) -> None:
        modules = {"hannah-hw": ["-m", "hannah_hw"], "dask": ["-m", "distributed.cli.dask_scheduler"]}
        rest = words[2:] if words[0] == "dask" else words[1:]
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
        with Path(f"background{len(self._background)}.log").open("wb") as log:
            self._background.append(
                subprocess.Popen(
                    [sys.executable, *modules[words[0]], *rest], env=environment, stdout=log, stderr=log
                )
            )
        if words[0] == "dask":
            _await_port(self._port)

    def _compare(self, block: Block) -> None:
        """Every line of a block of output was printed by the block before it; `...` stands for any others."""
        printed = {_squeezed(line) for line in self.output.splitlines()}
        for line in block.text.splitlines():
            if line.strip() not in ("", "..."):
                assert _squeezed(line) in printed, (
                    f"{block.where}: not printed: {line}\n{self.output[-3000:]}"
                )


def _expanded(word: str) -> list[str]:
    """What a shell makes of a word: the files that a pattern stands for, else the word itself."""
    return sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]


def _saved(block: Block) -> str:
    path = Path(block.title or f"block{block.line}.yaml")
    path.write_text(block.text, encoding="utf-8")
    return str(path)


def _ours(words: list[str]) -> tuple[int, str]:
    """A command of ours in this process: exit code and what it printed."""
    printed, messages = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(messages):
        code = main(words)
    return code, printed.getvalue() if code == 0 else printed.getvalue() + messages.getvalue()


def _program(words: list[str]) -> tuple[int, str]:
    words = [sys.executable, *words[1:]] if words[0] == "python" else words
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr


def _squeezed(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_port(port: int) -> None:
    for _ in range(300):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")
