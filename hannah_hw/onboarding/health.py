"""What is installed, what it enables, what is missing and what is broken: the document behind ``doctor``."""

from __future__ import annotations

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hannah_hw import catalog
from hannah_hw.onboarding.packages import CORE, OPTIONAL, broken
from hannah_hw.onboarding.programs import PROGRAMS, compilers, look_for


def examine(*, tried: bool = True) -> dict[str, Any]:
    """Look at the installation.

    Args:
        tried: Whether packages are imported and programs started; else only their versions and places are looked up.

    Returns:
        Ready for JSON. ``problems`` are what keeps every verb from working, ``warnings`` what keeps some. ``works`` is
        None of what is not installed or was not tried.
    """
    failed = broken([*CORE, *OPTIONAL]) if tried else {}
    core = {package.name: package.version for package in CORE}
    problems = [f"{p.name} is not installed: {p.install}" for p in CORE if core[p.name] is None]
    problems += [f"{p.name} is installed, but {failed[p.name]}" for p in CORE if p.name in failed]
    optional = {
        package.name: {
            "version": package.version,
            "works": package.name not in failed if tried and package.version is not None else None,
            "problem": failed.get(package.name),
            "extra": package.extra,
            "enables": package.enables,
            "install": package.install,
        }
        for package in OPTIONAL
    }
    warnings = [
        f"{p.name} is installed, but {failed[p.name]}; it is for: {p.enables}; try: "
        f"pip install --force-reinstall {p.name}=={p.version}"
        for p in OPTIONAL
        if p.name in failed
    ]
    programs, unusable = _programs() if tried else ({}, [])
    compiling, no_compilers = compilers()
    catalogues = {kind: len(catalog.names(kind)) for kind in catalog.KINDS}
    problems += [
        f"the catalogue {kind!r} is empty; set HANNAH_HW_PATH or reinstall hannah-hw"
        for kind in ("targets", "search_spaces")
        if not catalogues[kind]
    ]
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "core_packages": core,
        "optional_packages": optional,
        "programs": programs,
        "compilers": compiling,
        "catalogues": catalogues,
        "working_folder": str(Path.cwd()),
        "working_folder_writable": os.access(Path.cwd(), os.W_OK),
        "problems": problems,
        "warnings": [*warnings, *unusable, *no_compilers],
    }


def _programs() -> tuple[dict[str, dict[str, Any]], list[str]]:
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(look_for, PROGRAMS))
    shown = {
        program.names[0]: {
            "path": seen.path,
            "version": seen.version,
            "works": not seen.problem if seen.path is not None else None,
            "problem": seen.problem or None,
            "enables": program.enables,
            "install": program.install,
        }
        for program, seen in zip(PROGRAMS, found, strict=True)
    }
    return shown, [f"{name}: {facts['problem']}" for name, facts in shown.items() if facts["problem"]]
