"""The page: structure, embedded data, escaping. Parsed with the standard library's parser."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import hannah_hw.report
from hannah_hw.errors import RunError
from hannah_hw.report import read_run, render_page, write_page
from hannah_hw.report.page import page_script
from hannah_hw.report.payload import embed
from tests.report.synthetic import write_run
from tests.report.unpacked import unpack

VOID = {"meta", "input", "circle", "rect", "path", "br", "link", "img"}


class Page(HTMLParser):
    """Elements, text by element, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self._script = dict(attrs).get("id") or "code"
            self.scripts[self._script] = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] += data
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements for key, value in attrs.items() if key == name and value]

    @property
    def data(self) -> Any:
        document = json.loads(self.scripts["run-data"])
        return document | {"candidates": unpack(document["candidates"])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "run"
    write_run(path, 80)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(render_page(read_run(folder)))


def test_every_element_is_closed(page: Page) -> None:
    assert page.open == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched(page: Page) -> None:
    assert not [tag for tag, _ in page.elements if tag in ("link", "img", "iframe")]
    assert page.attributes("src") == []
    assert all(link.startswith("./artifacts/") for link in page.attributes("href"))


def test_the_table_lists_the_front_and_links_the_models(page: Page, folder: Path) -> None:
    run = read_run(folder)
    front = [run.candidates[i].id for i in run.front]
    assert page.attributes("data-id") == front
    links = page.attributes("href")
    assert len(links) == len(front)
    assert all((folder / link).is_file() for link in links)


def test_the_embedded_data_is_the_run(page: Page, folder: Path) -> None:
    run = read_run(folder)
    candidates = page.data["candidates"]
    assert [c["id"] for c in candidates] == [c.id for c in run.candidates]
    assert [c["values"] for c in candidates] == [
        pytest.approx(dict(c.values), rel=1e-6) for c in run.candidates
    ]
    assert [c["assignment"] for c in candidates] == [dict(c.assignment.items()) for c in run.candidates]
    assert sum(c.get("front", False) for c in candidates) == len(run.front)
    assert [c["id"] for c in candidates if c.get("knee")] == [run.candidates[run.knee or 0].id]
    assert (page.data["x"], page.data["y"]) == ("latency_s", "error")
    assert page.data["budgets"][0]["bound"] == 65536
    detailed = next(c for c in candidates if c.get("front"))
    assert detailed["cost"]["kernels"][0]["source"] == "estimated"
    assert {"name", "bytes", "offset", "first", "last"} <= set(detailed["cost"]["buffers"][0])
    trained = page.data["provenance"]["metrics"]["test_error"]
    assert trained == {"how": "measured: int8 model, 750 test samples", "samples": 750}


def test_header_provenance_and_failures_are_in_the_text(page: Page, folder: Path) -> None:
    kinds = [group.kind for group in read_run(folder).failures]
    assert kinds
    for expected in ("ds_cnn on stm32l4r5zi", "5f0c0ffee", "active_power_w", "measured", "3500", *kinds):
        assert expected in page.text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 30)
    evil = "</script><script>alert(1)</script><!--\u2028\"'&"
    for record in records:
        record["id"] = f"{evil}{record['index']}"
        record["assignment"] = {evil: evil}
        if record["status"] == "failed":
            record["reason"] = {"kind": evil, "message": evil}
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("mnist5k", json.dumps(evil)))
    page = Page(render_page(read_run(tmp_path / "run")))
    assert page.open == []
    assert sorted(page.scripts) == ["code", "run-data"]
    assert page.data["candidates"][0]["id"] == f"{evil}0"
    assert evil.replace("\u2028", "") in page.text.replace("\u2028", "")


def test_embed_escapes_and_drops_what_json_lacks() -> None:
    text = embed({"a": "</script>&\u2028", "b": float("nan"), "c": (1.5, float("inf"))})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script>&\u2028", "b": None, "c": [1.5, None]}


def test_links_are_relative_to_where_the_page_lies(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 20)
    path = write_page(read_run(tmp_path / "run"), tmp_path / "pages" / "front.html")
    links = Page(path.read_text(encoding="utf-8")).attributes("href")
    assert links
    assert all((path.parent / link).is_file() for link in links)


def test_a_run_that_cannot_be_repeated_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, 20)
    config = tmp_path / "config.yaml"
    assert "not reproducible" not in render_page(read_run(tmp_path)).lower()
    config.write_text(config.read_text() + "  order: finished\n")
    text = render_page(read_run(tmp_path))
    assert "Not reproducible" in text[: text.index("<main>")]


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 0)
    page = Page(write_page(read_run(tmp_path / "run")).read_text(encoding="utf-8"))
    assert page.open == []
    assert "no front yet" in page.text
    assert "ram <= 64 KiB, flash <= 256 KiB" in page.text
    assert [b["bound"] for b in page.data["budgets"]] == [65536, 262144]


def test_a_failed_write_leaves_the_old_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 5)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write the report"):
        write_page(read_run(tmp_path / "run"), tmp_path / "file" / "report.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "run"]


def test_the_page_replaces_no_device(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 5)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RunError, match="it is not a file"):
        write_page(read_run(tmp_path / "run"), pipe)
    assert pipe.is_fifo()


def test_of_very_many_candidates_the_front_and_an_even_share_are_drawn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read_run(folder)
    assert len(run.candidates) == 80
    whole = Page(render_page(run)).data["candidates"]
    assert len(whole) == 80
    monkeypatch.setattr("hannah_hw.report.payload.MAX_DRAWN", 20)
    monkeypatch.setattr("hannah_hw.report.payload.MAX_DETAILED", 5)
    monkeypatch.setattr("hannah_hw.report.page.MAX_ROWS", 2)
    few = Page(render_page(run))
    drawn = few.data["candidates"]
    assert len(drawn) <= 20 + len(run.front) + 5
    assert {c["id"] for c in drawn if c.get("front")} == {run.candidates[i].id for i in run.front}
    assert f"{80 - len(drawn)} of the others are not drawn" in few.text
    # Those that are drawn in any case leave the rest with a share from the beginning to the end.
    assert max(b["index"] - a["index"] for a, b in itertools.pairwise(drawn)) <= 8
    assert run.knee is not None
    assert run.candidates[run.knee].id in few.text
    rows = few.attributes("data-id")
    assert len(rows) < len(run.front)
    assert f"{len(run.front) - len(rows)} of the front are not in the table" in few.text


def test_parts_of_the_script_are_short_and_share_no_name() -> None:
    folder = Path(hannah_hw.report.__file__).parent / "assets" / "js"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.js")}
    served = page_script(live=True)
    assert all(text in served for text in texts.values())
    names = Counter(
        name
        for text in texts.values()
        for name in re.findall(r"^(?:async )?(?:function|const|let) (\w+)", text, re.MULTILINE)
    )
    assert [name for name, count in names.items() if count > 1] == []
    assert max(len(text.splitlines()) for text in texts.values()) <= 250
    assert max(len(line) for text in texts.values() for line in text.splitlines()) <= 120
