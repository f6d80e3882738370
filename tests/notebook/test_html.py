"""What notebooks show: well-formed fragments without scripts, the objects' figures, nothing unescaped."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import hannah_hw
from hannah_hw import CategoricalParameter, IntScalarParameter, Tensor, search_space
from hannah_hw.expressions import Ceil, Max
from hannah_hw.notebook import html_of
from hannah_hw.operators import Relu
from hannah_hw.report.space_drawing import draw_space
from tests.report.synthetic import write_run

EVIL = "</td><script>alert(1)</script>\"'&"


class Fragment(HTMLParser):
    """Checks that elements are closed in order, and collects text, tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []
        assert {"script", "iframe", "link", "object"}.isdisjoint(tag for tag, _ in self.tags)
        assert not [key for _, attributes in self.tags for key in attributes if key.startswith("on")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hannah_hw.Run:
    folder = tmp_path_factory.mktemp("notebook") / "run"
    write_run(folder, 80)
    return hannah_hw.Run(folder)


@pytest.fixture(scope="module")
def space() -> hannah_hw.SearchSpace:
    return hannah_hw.load_space("resnet_variant")


def test_every_public_object_is_shown(space: hannah_hw.SearchSpace, run: hannah_hw.Run) -> None:
    candidate = space.candidate(space.default())
    target = hannah_hw.load_target("gap9")
    width = IntScalarParameter(8, 64, step_size=8, name="width")
    objects: list[Any] = [
        space,
        candidate,
        candidate.assignment,
        target,
        hannah_hw.estimate(hannah_hw.load_space("ds_cnn").candidate({}), "stm32l4r5zi"),
        width,
        width * 2 + 1,
        width > 4,
        *space.order[:3],
        space.outputs[0],
        run,
        run.knee,
        run.candidates[3],
    ]
    for shown in objects:
        found = Fragment(shown._repr_html_())
        assert len(found.text) > 20
        # A notebook keeps its outputs: one object must not make it large.
        assert len(shown._repr_html_()) < 100_000
    with pytest.raises(TypeError, match="no HTML"):
        html_of(object())


def test_a_space_counts_its_networks_and_holds_its_picture(space: hannah_hw.SearchSpace) -> None:
    found = Fragment(space._repr_html_())
    # resnet_variant: 1,200 networks, as `hannah-hw spaces show` enumerates them.
    assert "1,200" in found.text
    for name in space.parameters:
        assert name in found.text
    picture = next(attributes["src"] for tag, attributes in found.tags if tag == "img")
    assert picture is not None
    svg = base64.b64decode(picture.removeprefix("data:image/svg+xml;base64,")).decode()
    assert svg == draw_space(space)


def test_a_cost_report_shows_the_largest_kernels_first() -> None:
    space = hannah_hw.load_space("ds_cnn")
    report = hannah_hw.estimate(space.candidate(space.default()), "stm32l4r5zi")
    found = Fragment(report._repr_html_())
    slowest = max(report.kernels, key=lambda k: k.latency_s or 0.0)
    share = 100 * (slowest.latency_s or 0.0) / (report.latency_s or 1.0)
    assert f"{share:.1f} %" in found.text
    assert found.text.index(slowest.name) < min(
        found.text.index(k.name) for k in report.kernels if k.name not in slowest.name
    )
    for figure in report.figures.values():
        assert figure.note in found.text


def test_what_cannot_run_is_said() -> None:
    space = hannah_hw.load_space("ds_cnn")
    report = hannah_hw.estimate(space.candidate(space.default()), "ultratrail")
    found = Fragment(report._repr_html_())
    assert f"cannot run {len(report.unsupported)} of {len(report.kernels)} kernels" in found.text


def test_an_expression_is_drawn_once_for_each_operation_and_bounded() -> None:
    width = IntScalarParameter(8, 64, step_size=8, name="width")
    kernel = CategoricalParameter([3, 5], name="kernel")
    value = Max(Ceil((width * 2 + kernel) / 4), width)
    assert isinstance(value, hannah_hw.expressions.Expression)
    found = Fragment(value._repr_html_())
    # width, kernel, * 2, +, / 4, ceil, max: width is used twice and drawn once.
    assert sum(tag == "rect" for tag, _ in found.tags) == 7
    # 8 ... 64 and 3 or 5: the least is max(ceil(19 / 4), 8), the greatest max(ceil(133 / 4), 64).
    assert re.search(r"between\s+8 and 64", found.text)
    assert re.search(r"with the defaults\s+8 ", found.text)


def test_a_run_lists_its_front_and_marks_the_knee(run: hannah_hw.Run) -> None:
    found = Fragment(run._repr_html_())
    assert run.knee is not None
    assert run.knee.id in found.text
    assert "knee" in found.text
    circles = [attributes for tag, attributes in found.tags if tag == "circle"]
    filled = [attributes for attributes in circles if attributes.get("fill") == "currentColor"]
    assert len(filled) == len(run.front)
    assert sum(attributes.get("class") == "knee" for attributes in circles) == 1
    shown = Fragment(run.knee._repr_html_())
    assert f"{100 * run.knee.values['error']:.2f} %" in shown.text


def test_names_of_others_stay_text(tmp_path: Path) -> None:
    records = write_run(tmp_path / "run", 40)
    for record in records:
        record["id"] = f"{EVIL}{record['index']}"
        record["assignment"] = {EVIL: EVIL}
        if record["reason"]:
            record["reason"] = {"kind": EVIL, "message": EVIL}
    (tmp_path / "run" / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    run = hannah_hw.Run(tmp_path / "run")
    assert EVIL in Fragment(run._repr_html_()).text
    for candidate in run.candidates[:20]:
        assert EVIL in Fragment(candidate._repr_html_()).text

    @search_space
    def strange() -> Any:
        width = IntScalarParameter(1, 3, name=EVIL)
        x = Tensor("input", (1, width, 4, 4), axis=("N", "C", "H", "W"))
        return Relu()(x)

    graph = strange()
    for shown in (
        graph,
        hannah_hw.SearchSpace(graph),
        *graph.operands,
        *graph.parametrization(flatten=True).values(),
    ):
        assert "<script" not in shown._repr_html_()
        assert "alert(1)" in Fragment(shown._repr_html_()).text


def test_plain_text_is_one_line(run: hannah_hw.Run) -> None:
    assert run.knee is not None
    figures = f"error {run.knee.values['error']:.4g}, latency {run.knee.values['latency_s']:.4g}"
    assert repr(run.knee) == f"Candidate({run.knee.id}: ok, {figures})"
    assert repr(hannah_hw.load_target("nrf5340")) == "Microcontroller(nrf5340:hannah)"
    space = hannah_hw.load_space("ds_cnn")
    assert repr(space).startswith("SearchSpace(ds_cnn:")
    report = hannah_hw.estimate(space.candidate(space.default()), "nrf5340")
    assert repr(report).startswith(f"CostReport(nrf5340:hannah: latency_s {report.latency_s:.4g}, ")
    assert "kernels cannot run)" in repr(hannah_hw.estimate(space.candidate(space.default()), "ultratrail"))
