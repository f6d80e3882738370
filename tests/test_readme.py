"""What the README tells people to type, typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from hannah_hw import load_space
from hannah_hw.cli import main
from hannah_hw.documents import parse_document
from hannah_hw.errors import ConfigError
from hannah_hw.search.config import validate_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = sorted(
    {line.partition("#")[0].strip() for block in blocks("console") for line in block.splitlines()}
)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("hannah-hw")])
def test_every_option_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)[1:]
    verb = words[: 2 if words[0] in ("targets", "spaces") else 1]
    assert main([*verb, "--help"]) == 0
    shown = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert word in shown


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_every_make_target_exists(command: str) -> None:
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, code = blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    assert (tmp_path / "model.onnx").stat().st_size > 0
    assert "KiB RAM" in capsys.readouterr().out


def test_the_family_of_networks_in_python_is_a_space(tmp_path: Path) -> None:
    code, _ = blocks("python")
    (tmp_path / "tiny.py").write_text(code, encoding="utf-8")
    space = load_space(str(tmp_path / "tiny.py"))
    assert "tiny_0.block_1.Conv2d_0.weight.kernel_size" in space.parameters
    for row in space.sample_population(50, seed=0):
        shapes = space.candidate_of(row).shapes
        assert shapes["tiny_0.block_1.Relu_0"][1] >= 2 * shapes["tiny_0.block_0.Relu_0"][1]


def test_the_family_of_networks_in_yaml_is_a_space(tmp_path: Path) -> None:
    _, text = blocks("yaml")
    (tmp_path / "variant.yaml").write_text(text, encoding="utf-8")
    space = load_space(str(tmp_path / "variant.yaml"))
    candidates = [space.candidate_of(row) for row in space.sample_population(20, seed=0)]
    assert {row["weight_bits"] for c in candidates for row in c.workload().rows()} == {4, 8}
    assert all(candidate.macs > 0 for candidate in candidates)


def test_the_configuration_is_valid_and_that_of_the_example() -> None:
    text, _ = blocks("yaml")
    shown = validate_config(parse_document(text, "README.md", ConfigError))
    example = yaml.safe_load((ROOT / "examples" / "mnist_stm32l4r5zi.yaml").read_text())
    for field in ("space", "target", "data", "objectives", "constraints"):
        assert yaml.safe_load(text)[field] == example[field]
    assert shown.search.evaluations > 0


@pytest.mark.parametrize("example", sorted(p.stem for p in (ROOT / "examples").glob("*.yaml")))
def test_every_example_is_valid(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", example, "--dry-run"]) == 0
    assert "the configuration is valid" in capsys.readouterr().out
