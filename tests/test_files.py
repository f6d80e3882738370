"""Files are written whole; what is no file is not replaced by one."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hannah_hw.files import remove_unfinished, write_atomically


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_atomically(path, b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_link_leads_to_is_replaced(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_atomically(tmp_path / "link.txt", b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", b"new")
    reader.join(10)
    assert read == [b"new"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["", ".", "missing/a.txt", "a.txt/b.txt"])
def test_what_cannot_be_written_is_an_error_without_leftovers(tmp_path, name):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OSError, match=r"directory|No such file"):
        write_atomically(tmp_path / name if name else Path("/"), b"new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path):
    """The child is killed between writing the content and giving it its name."""
    script = (
        "import os, signal, sys; from pathlib import Path; from hannah_hw.files import write_atomically\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]), b'half')"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.npz"], timeout=60)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    mine = {"b.npz", ".hidden.tmp", ".a.12x.tmp", "a.12.tmp", ".a.12"}
    for name in mine:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == mine
    remove_unfinished(tmp_path / "missing")
