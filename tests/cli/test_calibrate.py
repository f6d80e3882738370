"""Options of ``hannah-hw calibrate``: those of another kind of calibration are refused, never ignored."""

import pytest

from hannah_hw.cli import main


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
