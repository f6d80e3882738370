"""Executing a Python file that a user names."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from hannah_hw.errors import SpaceError, raised_at


def execute(path: Path) -> ModuleType:
    """The file as a module, executed once a process for each of its contents.

    Raises:
        SpaceError: It cannot be read, or does not run.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SpaceError(f"cannot read the file: {error}", where=str(path)) from error
    digest = hashlib.sha256(str(path.resolve()).encode() + source).hexdigest()[:16]
    name = f"_hannah_space_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpaceError("not a Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SpaceError(
            f"the file does not run: {type(error).__name__}: {error}",
            where=raised_at(error, path) or str(path),
        ) from error
    return module
