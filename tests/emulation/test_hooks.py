"""The hooks in C are compiled once, kept, and compiled anew when their source changes."""

import ctypes
import sys
from pathlib import Path

import pytest

from hannah_hw.emulation import compiling
from hannah_hw.emulation import hooks as module
from hannah_hw.errors import MissingExtraError, RunError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HANNAH_HW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compile_anew():
    return module.hooks.__wrapped__()


SOURCE = Path(module.__file__).with_name("hooks.c")


def test_compiled_once(cache):
    compile_anew()
    (made,) = cache.iterdir()
    before = made.stat()
    compile_anew()
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [before.st_mtime_ns]


def test_another_source_is_another_library(cache, tmp_path, monkeypatch):
    first = compile_anew()
    changed = tmp_path / "hooks.c"
    changed.write_text(SOURCE.read_text() + "\nint answer(void) { return 42; }\n")
    assert ctypes.CDLL(str(compiling.compiled(changed))).answer() == 42
    assert not hasattr(first, "answer")
    assert len(list(cache.iterdir())) == 2


def test_zig_compiles_where_there_is_no_other_compiler(cache, monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    assert compile_anew().hannah_block is not None


def test_what_can_go_wrong(cache, tmp_path, monkeypatch):
    broken = tmp_path / "hooks.c"
    broken.write_text("this is no C")
    with pytest.raises(RunError, match=r"cannot compile hooks\.c:\n.*error"):
        compiling.compiled(broken)
    with monkeypatch.context() as patch:
        patch.setattr(compiling.shutil, "which", lambda _: None)
        patch.setitem(sys.modules, "ziglang", None)
        with pytest.raises(MissingExtraError, match="ziglang"):
            compile_anew()
    cache.rmdir()
    cache.write_text("not a folder")
    with pytest.raises(RunError, match="name a folder that can be written in HANNAH_HW_CACHE"):
        compile_anew()
