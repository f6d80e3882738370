"""Options of ``hannah-hw calibrate``: those of another kind of calibration are refused, never ignored."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hannah_hw.cli import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["m4", "--space", "tc_resnet"], "--space"),
        (["m4", "--precision", "int8"], "--precision"),
        (["m4", "--kernels", "3"], "--kernels"),
        (["m4", "--seconds", "0"], "--seconds"),
        (["sweep.csv", "--threads", "2"], "--threads"),
        (["stm32l4r5zi", "--against", "board.csv", "--models", "a.onnx"], "--models"),
        (["host", "--space", "tc_resnet", "--shapes", "5"], "--shapes"),
        (["host", "--space", "tc_resnet", "--compiler", "zig"], "--compiler"),
        (["sweep.csv", "--held-out", "0"], "--held-out"),
    ],
)
def test_options_of_another_calibration_are_refused(arguments, option, capsys):
    assert main(["calibrate", *arguments]) == 2
    error = capsys.readouterr().err
    assert f"error: {option}: it is for `calibrate " in error


def test_an_interrupt_is_said(tmp_path):
    out = tmp_path / "mine.yaml"
    process = subprocess.Popen(
        [sys.executable, "-m", "hannah_hw", "calibrate", "host", "--space", "tc_resnet", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()  # it draws networks now
    process.send_signal(signal.SIGINT)
    messages = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert messages.splitlines()[-1] == "error: interrupted"
    assert not out.exists()
