"""What README and documentation tell people to type, typed: every block of every page, in order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from hannah_hw.cli import main
from hannah_hw.documents import parse_document
from hannah_hw.errors import ConfigError
from hannah_hw.search.config import validate_config
from tests.docs.blocks import blocks, commands
from tests.docs.conftest import in_this_process
from tests.docs.rules import BACKGROUND, BUDGETS, NOT_RUN, not_run
from tests.docs.runner import Runner

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Folders of the repository that pages name, as a reader has them who works in a clone.
CLONE = ("targets", "examples", "search_spaces", "constraints.txt", "benchmarks")

#: Pages whose searches start processes; those of the others evaluate in this one.
WITH_WORKERS = (ROOT / "README.md",)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_of_the_page(
    page: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    for name in CLONE:
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    if page not in WITH_WORKERS:
        in_this_process(monkeypatch)
    runner = Runner()
    try:
        for block in blocks(page):
            runner.run(block)
    finally:
        runner.close()


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_field_of_the_table_of_searches_is_allowed() -> None:
    page = ROOT / "docs" / "guides" / "searching.md"
    whole = yaml.safe_load(next(block.text for block in blocks(page) if block.title == "my.yaml"))
    rows = re.findall(r"^\| (`.*?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) >= 10
    for row in rows:
        document = dict(whole)
        for field in re.findall(r"`([^`]+)`", row):
            document |= yaml.safe_load(field)
        validate_config(parse_document(yaml.safe_dump(document), row, ConfigError))


@pytest.mark.parametrize("example", sorted(p.stem for p in (ROOT / "examples").glob("*.yaml")))
def test_every_example_is_valid(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", example, "--dry-run"]) == 0
    assert "the configuration is valid" in capsys.readouterr().out


def test_no_rule_is_left_over() -> None:
    consoles = [block for page in PAGES for block in blocks(page) if block.language == "console"]
    typed = {line for block in consoles for line in commands(block)}
    used = {rule.pattern for rule in map(not_run, typed) if rule is not None}
    assert {rule.pattern for rule in NOT_RUN} == used
    for pattern in (*BACKGROUND, *(pattern for pattern, _ in BUDGETS)):
        assert any(re.search(pattern, line) for line in typed), pattern
