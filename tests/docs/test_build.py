"""The documentation builds without a warning and without a network, and its reference leaves nothing out."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import hannah_hw
from hannah_hw.cli.app import app

pytest.importorskip("mkdocs", reason="mkdocs (group docs) is not installed")

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "reference" / "api"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # A proxy that refuses everything: a build that asks the network fails.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*?src="([^"]*)"', text)
        loaded += re.findall(r'<link[^>]*?rel="(?:stylesheet|preconnect|icon)"[^>]*?href="([^"]*)"', text)
        loaded += re.findall(r'<link[^>]*?href="([^"]*)"[^>]*?rel="stylesheet"', text)
        assert loaded
        assert not [source for source in loaded if "//" in source], page.name


def test_every_public_name_has_an_entry(site: Path) -> None:
    entries = set()
    for page in (site / "reference" / "api").glob("*.html"):
        entries |= set(re.findall(r'id="(hannah_hw\.[\w.]+)"', page.read_text(encoding="utf-8")))
    assert entries
    documented = [
        name
        for page in API.glob("*.md")
        for name in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    ]
    last_names = {entry.rsplit(".", 1)[1] for entry in entries}
    assert set(hannah_hw.__all__) <= last_names
    missing = []
    for name in documented:
        found = {entry.rsplit(".", 1)[1] for entry in entries if entry.startswith(f"{name}.")}
        public = getattr(pkgutil.resolve_name(name), "__all__", [])
        missing += [f"{name}.{p}" for p in public if p not in found and not _undocumented(name, p)]
    assert missing == []


def _undocumented(module: str, name: str) -> bool:
    """Constants and aliases of types, which have no docstring of their own, need no entry."""
    value = getattr(pkgutil.resolve_name(module), name)
    return not (isinstance(value, type) or inspect.isroutine(value))


def test_every_verb_and_every_option_has_a_line(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")

    def walk(command: object, title: str) -> None:
        inner = getattr(command, "commands", None)
        if inner is not None:
            for name, verb in inner.items():
                walk(verb, f"{title} {name}")
            return
        section = re.search(rf">{title}<a .*?(?=<h2|</article)", text, re.DOTALL)
        assert section is not None, title
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-"):
                    assert option in section[0], f"{title} {option}"

    walk(typer.main.get_command(app), "hannah-hw")
