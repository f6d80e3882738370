"""What CONTRIBUTING.md adds in one file each, added: an operator, a target, a scorer and an algorithm."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import hannah_hw
import hannah_hw.operators as operators
from hannah_hw import IntScalarParameter, SearchSpace, Tensor, estimate, to_onnx
from hannah_hw.cli import main
from hannah_hw.lowering import read_onnx
from hannah_hw.targets import load_target
from tests.blocks import conv, linear, run_onnx

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SUITE = "tests/conformance/test_algorithms.py"
FILES = dict(re.findall(r"```\w+\n# ([\w.]+)\n(.*?)```", TEXT, flags=re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the document, in which modules are found too."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in FILES:
        monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    return tmp_path


def test_every_folder_and_module_of_the_package_is_on_the_map() -> None:
    named = set(re.findall(r"`(\w+(?:/|\.py))`", TEXT.partition("## Add an operator")[0]))
    package = ROOT / "hannah_hw"
    folders = {f"{p.parent.name}/" for p in package.glob("*/__init__.py")}
    assert folders - named == set()
    assert {name for name in named if not (package / name).exists() and not (ROOT / name).exists()} == set()


def test_the_operator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    added = importlib.import_module("leaky_relu").LeakyRelu
    monkeypatch.setattr(operators, "LeakyRelu", added, raising=False)
    monkeypatch.setattr(operators, "__all__", [*operators.__all__, "LeakyRelu"])
    slope = IntScalarParameter(2, 3, name="slope", default=3)
    image = Tensor("input", (1, 2, 6, 6), axis=("N", "C", "H", "W"))
    space = SearchSpace(linear(added(slope / 8)(conv(image, 4)), 3))
    candidate = space.candidate(space.default())
    module = hannah_hw.to_torch(candidate).eval()
    to_onnx(candidate, "leaky.onnx", module=module)
    values = np.random.default_rng(0).normal(size=(1, 2, 6, 6)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(run_onnx(onnx.load("leaky.onnx"), values)[0], expected, atol=1e-5)
    read = read_onnx("leaky.onnx")
    assert [row["kind"] for row in read.workload().rows()] == ["conv", "leaky_relu", "linear"]
    report = estimate("leaky.onnx", "stm32l4r5zi")
    assert [(entry.kind, entry.unpriced) for entry in report.unsupported] == [("leaky_relu", False)]


def test_the_operator_is_max_of_x_and_its_slope(folder: Path) -> None:
    import torch

    added = importlib.import_module("leaky_relu").LeakyRelu
    ours = added(0.25)._forward_implementation(torch.tensor([-2.0, 0.0, 3.0]))
    assert ours.tolist() == [-0.5, 0.0, 3.0]


def test_the_target(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "check", "stm32g474.yaml"]) == 0
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
    candidate = space.candidate(space.default())
    added, shipped = (
        estimate(candidate, load_target(name)) for name in ("stm32g474.yaml", "stm32l4r5zi:hannah")
    )
    # The same kernels on the same core: a faster clock, one wait cycle less.
    assert added.latency_s * 170e6 < shipped.latency_s * 120e6
    assert added.energy_j == pytest.approx(added.latency_s * 90e-3)
    assert (added.ram_bytes, added.flash_bytes) == (shipped.ram_bytes, shipped.flash_bytes)


def test_the_scorer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "search.yaml", "--out", "run"]) == 0, capsys.readouterr().err
    records = [json.loads(line) for line in (folder / "run" / "candidates.jsonl").read_text().splitlines()]
    assert len(records) == 3
    for record in records:
        assert record["objectives"]["error"] == pytest.approx(1 / (1 + record["parameters"]))
        model = read_onnx(str(folder / "run" / record["artifact"]))
        assert model.workload().kernels.columns["macs"].sum() == record["macs"]


def test_the_algorithm(folder: Path) -> None:
    added = importlib.import_module("hill_climbing").HillClimbing
    space = hannah_hw.load_space("tc_resnet")
    search = hannah_hw.Search(
        space, "ultratrail", ["latency", "energy"], algorithm=added, population=8, seed=1
    )
    search.fit(40)
    assert len({record["id"] for record in search.history_}) == 40


def test_the_algorithm_keeps_the_contract(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "hill_climbing", SUITE],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "HANNAH_HW_ALGORITHMS": "hill_climbing:HillClimbing",
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 10  # type: ignore[index]
