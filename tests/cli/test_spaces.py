"""Spaces on the command line: files of users, permissions, warnings, and what is refused without a trace."""

import json
import re
from pathlib import Path

import pytest

from hannah_hw.cli import main

BLOCKS = """
from hannah_hw.blocks import conv2d
from hannah_hw.spaces.declarative.registry import Positive, Value

def wide(x, *, factor: Value[Positive], unused: Value[Positive] = 1):
    return conv2d(x, x.shape()[1] * factor)
"""
DOCUMENT = """\
format: hannah-space/1
input: [3, 4, 4]
modules:
  a: {type: "blocks.py:wide", factor: {choice: [2, 5]}, unused: {choice: [1, 2]}}
search_algorithm: {type: aging}
"""
CONDITION = """
from hannah_hw import IntScalarParameter, Tensor, search_space
from hannah_hw.operators import Relu

@search_space
def mine():
    width = IntScalarParameter(1, 4, name="width")
    return Relu()(Tensor("input", (1, width))).cond(width > 2)
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    path = tmp_path / "net.yaml"
    path.write_text(DOCUMENT)
    return path


@pytest.mark.parametrize("verb", ["show", "sample", "upgrade"])
def test_code_runs_where_it_is_allowed(verb: str, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", verb, str(document)]) == 2
    assert f"{document}:4:7 a.type: the type 'blocks.py:wide' executes" in capsys.readouterr().err
    assert main(["spaces", verb, str(document), "--allow-code"]) == 0


def test_an_upgrade_takes_names_and_refuses_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "upgrade", "resnet_variant"]) == 0
    assert capsys.readouterr().out.startswith("format: hannah-space/1\nname: resnet_variant\n")
    assert main(["spaces", "upgrade", "tc_resnet"]) == 2
    assert "tc_resnet.py: it is a Python file; only YAML has" in capsys.readouterr().err


def test_warnings_are_one_line_with_one_place(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "sample", str(document), "--allow-code"]) == 0
    text = "a.unused: is a parameter, but nothing depends on it [W_UNUSED]"
    assert capsys.readouterr().err == f"warning: {document}:4:57 {text}\n"


def test_the_algorithm_of_a_file_is_shown(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "show", str(document), "--allow-code"]) == 0
    assert "algorithm    aging, unless" in capsys.readouterr().out


def test_conditions_without_a_text_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CONDITION)
    assert main(["spaces", "show", str(path)]) == 0
    assert "\n  (2 < mine_0.input.width), at mine_0.Relu_0\n" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["name=x", "near=.", "offered={}", "allow_code=true"])
def test_options_are_those_of_the_space(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "sample", "tc_resnet", "--set", option]) == 2
    assert f"tc_resnet has no option '{option.partition('=')[0]}'; allowed: input_shape" in (
        capsys.readouterr().err
    )


def test_terminals_are_not_controlled_by_documents(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_text(DOCUMENT + '"\\e[31m\\u202e' + "x" * 500 + '": 1\n')
    assert main(["spaces", "show", str(document), "--allow-code"]) == 2
    shown = capsys.readouterr().err
    assert r":6:1 \x1b[31m\u202exxx" in shown
    assert len(shown) < len(str(document)) + 400


@pytest.mark.parametrize("target", [".", "missing/a.svg", "file/a.svg"])
def test_a_picture_that_cannot_be_written_leaves_nothing(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("old")
    path = tmp_path / target
    assert main(["spaces", "show", "mlperf_tiny:resnet8", "--svg", str(path)]) == 2
    assert f"error: --svg: cannot write {path}: " in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_legalize_shows_what_was_removed_and_by_which_rule(capsys):
    assert main(["spaces", "legalize", "resnet20_mixed", "--target", "stm32l4r5zi"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"process\.0\.nbit_w_list\.3 +4, 2 +8 +conv: weight_bits == 8", shown)
    assert re.search(r"assignments +3.66e\+15 -> 1\n", shown)
    assert main(["spaces", "legalize", "resnet20_mixed", "-t", "stm32l4r5zi", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["assignments"]["after"] == 1
    assert {tuple(removal["left"]) for removal in document["removed"]} == {(8,)}
    assert main(["spaces", "legalize", "resnet20_mixed", "-t", "stm32l4r5zi:cmsis_nn"]) == 2
    assert "quantize: the target has no rule for this operator" in capsys.readouterr().err
