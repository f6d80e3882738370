"""Tables on terminals of several widths, and a verb on a real one."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from hannah_hw.cli import main
from hannah_hw.cli.tables import layout, wrapped

ROOT = Path(__file__).parents[2]
HEADERS = ("kernel", "class", "MACs")
CELLS = [
    ("stage_0.block_1.Conv2d_0", "conv", "1,024"),
    ("stage_0.block_1.Linear_0", "fully connected layer", "64"),
]


def test_a_table_without_a_width_is_aligned_and_whole():
    head, body = layout(HEADERS, CELLS, right={2})
    assert head == ["kernel                    class                   MACs"]
    assert body == [
        "stage_0.block_1.Conv2d_0  conv                   1,024",
        "stage_0.block_1.Linear_0  fully connected layer     64",
    ]


def test_what_is_spare_goes_first_and_then_texts_are_wrapped():
    head, body = layout(HEADERS, CELLS, right={2}, spare=("class",), width=34)
    assert head == ["kernel                     MACs"]
    assert body[1] == "stage_0.block_1.Linear_0     64"
    head, body = layout(HEADERS, CELLS, right={2}, width=36)
    assert body == [
        "stage_0.       conv            1,024",
        " block_1.",
        " Conv2d_0",
        "stage_0.       fully              64",
        " block_1.       connected",
        " Linear_0       layer",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    head, body = layout(HEADERS, CELLS * 3, right={2}, width=width)
    assert max(map(len, [*head, *body])) <= width


def test_words_stay_whole_where_they_fit():
    assert wrapped("the peak is at conv_2 of block_1", 12) == ["the peak is", " at conv_2", " of block_1"]
    assert wrapped("a" * 25, 10) == ["a" * 9, " " + "a" * 9, " " + "a" * 7]
    assert wrapped("", 5) == [""]


def on_terminal(width, *arguments):
    """What a verb writes to a terminal of some width."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("COLUMNS", None)
    child = subprocess.Popen(
        [sys.executable, "-m", "hannah_hw", *arguments], stdout=writer, stderr=writer, env=environment
    )
    os.close(writer)
    written = b""
    while True:
        try:
            part = os.read(reader, 1 << 16)
        except OSError:  # what Linux says where the other side is closed
            break
        if not part:
            break
        written += part
    os.close(reader)
    assert child.wait(60) == 0, written
    return written.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tests.advice.advice_networks import BASE, build

    path = tmp_path_factory.mktemp("models") / "net.onnx"
    path.write_bytes(build(BASE).SerializeToString())
    return str(path)


def test_an_estimate_fits_80_columns_and_says_what_would_help(model, capsys):
    text = on_terminal(80, "estimate", model, "--target", "stm32l4r5zi")
    assert max(map(len, text.splitlines())) <= 80
    assert main(["estimate", model, "--target", "stm32l4r5zi", "--json"]) == 0
    insight = json.loads(capsys.readouterr().out)["insight"]
    whole = " ".join(text.split())
    assert f"most time: {insight['largest'][0]['kernel']} " in whole
    assert f"while {insight['peak']['kernel']} runs" in whole
    assert len(insight["changes"]) >= 3
    for change in insight["changes"]:
        assert change["text"] in whole
        assert change["after"] < change["before"]


def test_names_in_files_cannot_control_a_terminal(tmp_path, capsys):
    rows = [f"{number % 7},{name}" for name in ("a", "\x1b[2Jb") for number in range(400)]
    (tmp_path / "walk.csv").write_text("\n".join(["\x1b]0;owned\x07,label", *rows]) + "\n")
    assert main(["data", str(tmp_path / "walk.csv"), "--set", "window=16"]) == 0
    text = capsys.readouterr().out
    assert "\\x1b]0;owned\\x07" in text
    assert "\\x1b[2Jb" in text
    assert "\x1b" not in text
    assert main(["data", str(tmp_path / "walk.csv"), "--set", "window=16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reading"]["columns"] == ["\x1b]0;owned\x07"]
