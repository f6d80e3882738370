"""``hannah-hw init``: what it writes is a search that runs as it is."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hannah_hw
from hannah_hw.cli import main
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.search import load_config
from tests.host.learned_host import fitted, write_host
from tests.sources.made import write_walk

ROOT = Path(__file__).resolve().parents[2]


def write_images(path: Path, shape: tuple[int, ...], count: int = 60, classes: int = 3) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, size in (("train", count), ("test", 30)):
        arrays[f"x_{part}"] = rng.integers(0, 255, (size, *shape), dtype=np.uint8)
        arrays[f"y_{part}"] = np.arange(size) % classes
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_it_writes_is_accepted_by_a_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    found = run(capsys, "init", "digits", "--target", "stm32l4r5zi", "--out", path)
    written = yaml.safe_load(path.read_text("utf-8"))
    assert (written["data"], written["target"], written["space"]) == ("digits", "stm32l4r5zi", "ds_cnn")
    # 640 KiB and 2 MiB of the chip's data sheet, less a quarter.
    assert written["constraints"] == {"ram": "<= 480 KiB", "flash": "<= 1536 KiB"}
    checked = run(capsys, "search", path, "--dry-run")
    assert checked["feasible_share"] == found["feasible_share"] > 0
    assert checked["quartiles"] == {key: checked["quartiles"][key] for key in found["quartiles"]}
    for key in ("latency_s", "ram_bytes"):
        assert found["quartiles"][key] == checked["quartiles"][key]
    assert shlex.split(found["next"][0])[1:] == ["search", str(path), "--dry-run"]


def test_its_suggestions_are_valid_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    run(capsys, "init", "digits", "--target", "ethos_u55_32", "--out", path)
    text = path.read_text("utf-8")
    changed = re.sub(r"^constraints: {}  # or ", "constraints: ", text, flags=re.MULTILINE)
    changed = changed.replace("# finalists: ", "finalists: ")
    assert changed.count("\n# ") == text.count("\n# ") - 1
    path.write_text(changed, "utf-8")
    config = load_config(path)
    assert config.finalists == {"epochs": 20}
    assert [c.metric for c in config.goals.constraints] == ["latency"]
    # Arm publishes no energy of an Ethos-U, so it is no objective.
    assert list(config.goals.objectives) == ["error", "latency"]


def test_a_file_in_another_folder_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "in" / "my: 'photos' # 1.npz", (3, 16, 16))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    found = run(
        capsys, "init", "in/my: 'photos' # 1.npz", "-t", "rp2040", "-o", "configs/a.yaml", "--space", "ds_cnn"
    )
    assert found["data"]["input_shape"] == [3, 16, 16]
    run(capsys, "init", "in/my: 'photos' # 1.npz", "-t", "rp2040", "-o", "in/b.yaml", "--space", "ds_cnn")
    assert yaml.safe_load((tmp_path / "in" / "b.yaml").read_text("utf-8"))["data"] == "my: 'photos' # 1.npz"
    monkeypatch.chdir(tmp_path.parent)
    for name in ("configs/a.yaml", "in/b.yaml"):
        assert load_config(tmp_path / name).data == str(tmp_path / "in" / "my: 'photos' # 1.npz")


def test_a_space_that_the_chip_cannot_run_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "x.npz", (1, 28, 28))
    found = run(capsys, "init", tmp_path / "x.npz", "-t", "max78000", "-o", tmp_path / "x.yaml")
    # Its convolutions have stride 1, and the last pooling of ds_cnn is over more rows than it can pool.
    assert found["space"] == "pooled_cnn"
    assert list(found["refused_spaces"]) == ["ds_cnn"]
    assert run(capsys, "search", tmp_path / "x.yaml", "--dry-run")["feasible_share"] > 0


def test_a_chip_without_room_for_the_samples_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # UltraTrail convolves in time alone.
    assert main(["init", "digits", "-t", "ultratrail", "-o", str(tmp_path / "x.yaml")]) == 2
    said = capsys.readouterr().err
    assert "ultratrail runs no network of the ready spaces" in said
    assert max(map(len, said.splitlines())) < 300
    assert not list(tmp_path.iterdir())


def test_chips_whose_sizes_are_params_are_taken_as_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "x.npz", (4, 32))
    run(capsys, "init", tmp_path / "x.npz", "-t", "ultratrail", "-o", tmp_path / "x.yaml")
    config = load_config(tmp_path / "x.yaml")
    assert (config.params, config.space.name) == ("default", "tc_resnet")
    assert list(config.goals.objectives) == ["error", "latency", "energy"]
    assert main(["init", "digits", "-t", "ultratrail[pe=16]", "-o", str(tmp_path / "y.yaml")]) == 2
    assert "--target ultratrail;" in capsys.readouterr().err


def test_epochs_make_up_for_few_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    epochs = []
    for count in (60, 3000, 60000):
        write_images(tmp_path / f"{count}.npz", (2, 16), count)
        run(capsys, "init", tmp_path / f"{count}.npz", "-t", "nrf5340", "-o", tmp_path / f"{count}.yaml")
        epochs.append(yaml.safe_load((tmp_path / f"{count}.yaml").read_text("utf-8"))["training"]["epochs"])
    # 15 % of the training part is for validation; 600 steps of 32 samples, within 3 to 50 epochs.
    assert epochs == [50, round(600 * 32 / 2550), 3]


def test_how_files_are_read_goes_into_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_walk(tmp_path / "walk.csv")
    reading = ("label=activity", "group=subject", "window=40", "columns=[x, y]")
    options = [word for setting in reading for word in ("--set", setting)]
    run(capsys, "init", tmp_path / "walk.csv", *options, "-t", "rp2040", "-o", tmp_path / "x.yaml")
    written = yaml.safe_load((tmp_path / "x.yaml").read_text("utf-8"))
    assert written["data"] == {
        "path": "walk.csv",
        "kind": "series",
        "label": "activity",
        "group": "subject",
        "window": 40,
        "columns": ["x", "y"],
    }
    checked = run(capsys, "search", tmp_path / "x.yaml", "--dry-run")
    assert checked["facts"]["data"]["input_shape"] == [2, 40]


def test_a_place_that_cannot_be_written_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    for out, expected in (("mine.yaml", "exists"), ("mine.txt", ".yaml"), ("no/mine.yaml", "no folder")):
        assert main(["init", "digits", "-t", "stm32l4r5zi", "-o", str(tmp_path / out)]) == 2
        assert expected in capsys.readouterr().err
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_without_a_terminal_it_asks_nothing_and_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 2
    assert "give DATA and --target, for example: hannah-hw init" in capsys.readouterr().err
    assert main(["init", "digits"]) == 2
    said = capsys.readouterr().err
    command = re.search(r"for example: (hannah-hw init [^;]*);", said)
    assert command is not None
    assert main(shlex.split(command[1])[1:]) == 0
    assert (tmp_path / "digits_stm32l4r5zi.yaml").is_file()


def answered(folder: Path, *answers: bytes) -> tuple[int, str]:
    """Exit code and output of ``init`` on a terminal, each question answered in turn."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
        os.execv(sys.executable, [sys.executable, "-m", "hannah_hw", "init"])  # noqa: S606
    shown, asked = b"", 0
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
        while asked < min(shown.count(b"]: "), len(answers)):
            os.write(terminal, answers[asked])
            asked += 1
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_on_a_terminal_it_asks_until_the_answer_can_be_used(tmp_path: Path) -> None:
    code, shown = answered(tmp_path, b"nothing.npz\n", b"digits\n", b"\n")
    assert code == 0, shown
    assert "there is no such file" in shown
    assert yaml.safe_load((tmp_path / "digits_stm32l4r5zi.yaml").read_text("utf-8"))["data"] == "digits"


def test_a_question_that_is_not_answered_ends_it(tmp_path: Path) -> None:
    code, shown = answered(tmp_path, b"\x04")
    assert code == 130
    assert "interrupted" in shown
    assert "Traceback" not in shown
    assert not list(tmp_path.iterdir())


def test_a_host_is_profiled_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "x.npz", (1, 16, 16))
    space = hannah_hw.load_space("ds_cnn", input_shape=(1, 16, 16), classes=3)
    small = [c for c in map(space.candidate_of, space.sample_population(8, seed=1)) if c.macs < 4_000_000]
    host = write_host(tmp_path, fitted([optimised_kernels(candidate_model(c, "float32")) for c in small]))
    run(capsys, "init", tmp_path / "x.npz", "-t", f"{host}:float32", "-o", tmp_path / "x.yaml")
    config = load_config(tmp_path / "x.yaml")
    assert config.measure.profile == "front"
    assert config.target == f"{host}:float32"
