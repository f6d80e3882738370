"""``hannah-hw export --to c``: C projects of a run's models, and of any int8 model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hannah_hw
from hannah_hw.cli import main
from hannah_hw.emulation.elf import elf_sizes, read_elf
from hannah_hw.firmware.toolchain import available
from hannah_hw.report import read_run
from tests.firmware.models import plain, residual
from tests.report.synthetic import write_run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual(tmp_path_factory.mktemp("models") / "my-net.onnx")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose models are real ones."""
    folder = tmp_path / "run"
    write_run(folder, 30)
    for number, path in enumerate(sorted((folder / "artifacts").glob("*.onnx"))):
        (plain if number % 2 else residual)(path)
    return folder


def export(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_model_becomes_a_project(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(model, "--target", "nrf5340", "--out", tmp_path, "--json") == 0
    found = document(capsys)
    (project,) = found["projects"]
    assert project["folder"] == str(tmp_path / "my-net")
    assert project["prefix"] == "my_net"
    assert "nRF5340" in project["chip"]
    assert project["flash_bytes"] is None
    assert sorted(found["files"]) == sorted(str(p) for p in (tmp_path / "my-net").rglob("*") if p.is_file())
    assert "LENGTH = 1048576" in (tmp_path / "my-net" / "link.ld").read_text()


def test_it_is_built_and_measured_where_that_is_asked_for(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [model, "--core", "m4", "--name", "Key Words", "--build", "--out", tmp_path]
    assert export(*arguments, "--json") == 0
    (project,) = document(capsys)["projects"]
    assert project["prefix"] == "key_words"
    sizes = elf_sizes(Path(project["elf"]))
    assert (project["flash_bytes"], project["ram_bytes"]) == (sizes.flash_bytes, sizes.ram_bytes)
    assert f"{sizes.flash_bytes:,} | measured" in (tmp_path / "my-net" / "README.md").read_text()
    assert export(*arguments) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{tmp_path / 'my-net'}: Cortex-M4; flash ")
    assert shown.count("\n") == 1


def test_what_is_built_is_for_the_chip(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(model, "--target", "stm32l4r5zi", "--build", "--out", tmp_path, "--json") == 0
    (project,) = document(capsys)["projects"]
    addresses = {symbol.address >> 24 for symbol in read_elf(Path(project["elf"])).symbols.values()}
    assert addresses <= {0x08, 0x20}
    assert 0x08 in addresses


def test_models_of_a_run_become_a_folder_each(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert export(run, "--pick", "front", "--to", "c,onnx", "--out", out, "--json") == 0
    found = document(capsys)
    data = read_run(run)
    ids = [data.candidates[i].id for i in data.front]
    assert found["picked"] == ids
    assert sorted(path.name for path in out.iterdir()) == sorted([*ids, *(f"{i}.onnx" for i in ids)])
    target = hannah_hw.load_target("stm32l4r5zi")
    assert all(project["chip"] == target.title for project in found["projects"])
    assert f"LENGTH = {target.ram_bytes}" in (out / ids[0] / "link.ld").read_text()
    assert export(run, "--to", "c", "--core", "host", "--out", out, "--json") == 0
    (project,) = document(capsys)["projects"]
    assert "link.ld" not in project["files"]


def test_a_float_model_needs_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 8, 8), classes=10)
    path = tmp_path / "float.onnx"
    hannah_hw.to_onnx(space.candidate(space.default()), path)
    assert export(path, "--core", "m4", "--out", tmp_path / "x") == 2
    assert "float" in capsys.readouterr().err
    samples = np.random.default_rng(0).normal(0, 1, (4, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    calibration = ["--calibration", tmp_path / "samples.npy"]
    assert export(path, "--core", "m4", *calibration, "--out", tmp_path / "x") == 0
    assert (tmp_path / "x" / "float" / "net_float.h").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a chip with --target, or --core; allowed: m0p"),
        (["--core", "m5"], "unknown core 'm5'; allowed: .*host; did you mean"),
        (["--target", "nrf534"], "did you mean 'nrf5340'"),
        (["--core", "m4", "--to", "csv"], "a model is written as C"),
        (["--core", "m4", "--compiler", "zig"], "add --build"),
        (["--core", "m4", "--build", "--compiler", "tcc"], "unknown compiler 'tcc'; allowed: zig, gcc"),
        (["--core", "m4", "--shape", "1,2,3"], "does not fit the input"),
    ],
)
def test_bad_input_is_one_message(
    arguments: list[str], message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(model, *arguments, "--out", tmp_path / "x") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


def test_options_that_would_do_nothing_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--target", "nrf5340"], ["--core", "m4"], ["--name", "x"], ["--build"]):
        assert export(run, *words, "--out", tmp_path / "x") == 2
        assert f"{words[0]}: it is for C; add --to c" in capsys.readouterr().err
    assert export(run, "--to", "c", "--calibration", "x.npy", "--out", tmp_path / "x") == 2
    assert "int8" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_does_not_fit_exits_with_1(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = hannah_hw.load_target("nrf5340").origin.read_text()  # type: ignore[union-attr]
    (tmp_path / "small.yaml").write_text(text.replace("ram_bytes: 512 KiB", "ram_bytes: 3 KiB"))
    assert export(model, "--target", tmp_path / "small.yaml", "--out", tmp_path / "x") == 1
    error = capsys.readouterr().err
    assert "layer 'conv_" in error
    assert "there are 3,072 bytes of RAM" in error
    (tmp_path / "tiny.yaml").write_text(text.replace("flash_bytes: 1 MiB", "flash_bytes: 5 KiB"))
    assert export(model, "--target", tmp_path / "tiny.yaml", "--build", "--out", tmp_path / "x") == 1
    assert "bytes of flash, and there are 5,120" in capsys.readouterr().err


def test_doctor_names_the_compilers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = document(capsys)["compilers"]
    assert found["this machine"] == [compiler.version for compiler in available(None)]
    assert found["Cortex-M"][0].startswith("zig ")


def test_what_is_not_used_is_said(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--target", "stm32l4r5zi:cmsis_nn", "--calibration", "random", "--out", tmp_path)
    assert export(model, "--to", "c", *given) == 0
    said = capsys.readouterr().err
    assert "estimated at, not stm32l4r5zi:cmsis_nn" in said
    assert "int8 already, so --calibration is not used" in said
    assert export(model, "--to", "c", "--target", "stm32l4r5zi", "--out", tmp_path) == 0
    assert "warning" not in capsys.readouterr().err
