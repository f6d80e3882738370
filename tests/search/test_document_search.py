"""Searches of spaces whose documents say how they ask to be searched."""

import json

import pytest
import yaml

from hannah_hw.search import Search, run_search
from hannah_hw.search.running import RunResult

DOCUMENT = """format: hannah-space/1
input: [3, 16, 16]
modules:
  init: {type: SmallInputInitialBlock, init_plane: 4}
  layer:
    type: VariantLayer
    block: {type: BasicBlock}
    doublechannel: {code: {default: [0, 1, 0, 1, 0, 0], choices: [0, 1], ones: keep}}
    downsample: {code: {default: [1, 0, 1, 0, 0, 0], choices: [0, 1], ones: keep}}
  head: {type: LinearClassificationHead, num_class: 10}
search_algorithm:
  type: BackboneNas
  codec: BackboneNasCodec
  policy: {num_mutate: 4, num_individual: 8}
"""
CONFIG = """version: 1
space: variant.yaml
target: stm32l4r5zi
objectives: {latency: min, macs: max}
search: {evaluations: 24, seed: 1}
"""


class Listener:
    """Keeps what is said of the choice."""

    def __init__(self):
        self.choices = []

    def on_choice(self, text, /):
        self.choices.append(text)

    def on_start(self, progress, /):
        pass

    def on_record(self, record, progress, /):
        pass

    def on_generation(self, progress, /):
        pass

    def on_end(self, progress, ending, /):
        pass


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "variant.yaml").write_text(DOCUMENT, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def run(folder, name, *overrides, **options) -> tuple[RunResult, list[str]]:
    listener = Listener()
    result = run_search(
        folder / "config.yaml", folder / name, overrides=overrides, observers=[listener], **options
    )
    return result, listener.choices


def kept(folder, name):
    return yaml.safe_load((folder / name / "config.yaml").read_text(encoding="utf-8"))["resolved"]


def ones(record):
    return [
        sum(v for k, v in record["assignment"].items() if k.startswith(f"layer.{code}."))
        for code in ("doublechannel", "downsample")
    ]


def test_a_search_does_what_the_document_asks_for_and_says_so(folder):
    result, choices = run(folder, "asked")
    assert choices == ["BackboneNas (the document of the space asks for it; not read: codec)"]
    facts = kept(folder, "asked")
    assert (facts["algorithm"], facts["options"], facts["population"]) == (
        "BackboneNas",
        {"num_mutate": 4},
        8,
    )
    assert all(ones(record) == [2, 2] for record in result.records)
    assert len({json.dumps(record["assignment"], sort_keys=True) for record in result.records}) == len(
        result.records
    )


def test_the_configuration_comes_first(folder):
    _, choices = run(folder, "named", "search.algorithm=nsga2")
    assert choices == []
    assert kept(folder, "named")["algorithm"] == "nsga2"
    run(folder, "sized", "search.population=12")
    assert kept(folder, "sized")["population"] == 12


def test_a_run_goes_on_as_it_began_though_the_document_asks_for_something_else(folder):
    run(folder, "resumed", "search.evaluations=12")
    text = DOCUMENT.replace("BackboneNas\n", "nsga2\n").replace("num_individual: 8", "num_individual: 20")
    (folder / "variant.yaml").write_text(text, encoding="utf-8")
    resumed, choices = run(folder, "resumed", resume=True)
    assert len(choices) == 1
    assert choices[0].startswith("BackboneNas (as when the run began: the document of the space asks for it")
    (folder / "variant.yaml").write_text(DOCUMENT, encoding="utf-8")
    whole, _ = run(folder, "whole")
    assert [r["id"] for r in resumed.records] == [r["id"] for r in whole.records]


def test_a_search_from_python_asks_the_document_too(folder):
    listener = Listener()
    Search(
        str(folder / "variant.yaml"), "stm32l4r5zi", ["latency", "flash"], seed=1, observers=[listener]
    ).fit(8)
    assert listener.choices[0].startswith("BackboneNas")
