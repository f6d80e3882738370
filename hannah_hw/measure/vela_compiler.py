"""Running ethos-u-vela, Arm's compiler for Ethos-U, in a process of its own, and reading what it wrote."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hannah_hw.errors import InputError, MeasurementError, MissingExtraError, TargetError
from hannah_hw.firmware.tflite import outline
from hannah_hw.measure.vela_output import (
    NpuOperation,
    Summary,
    check_agreement,
    read_operations,
    read_summary,
)

if TYPE_CHECKING:
    from hannah_hw.targets import Accelerator, Target
    from hannah_hw.targets.models import BlockModel

PACKAGE: Final = "ethos-u-vela"
EXTRA: Final = "vela"
#: vela's configuration file of systems and memory modes, in its own package.
_CONFIGURATION: Final = "Arm/vela.ini"
#: Seconds that a compilation may take; small networks take one.
TIMEOUT_S: Final = 600.0
#: Tensor of a compiled file with weights, biases and tables.
_CONSTANTS: Final = "read_only"
_COMMANDS: Final = "ethos_u_command_stream"


@dataclass(frozen=True)
class System:
    """What vela compiles for.

    Attributes:
        accelerator: The NPU, such as ``ethos-u55-128``.
        system_config: A section ``System_Config.NAME`` of vela's configuration file: clock and memories.
        memory_mode: A section ``Memory_Mode.NAME`` of it: what lies in which memory.
    """

    accelerator: str
    system_config: str
    memory_mode: str


@dataclass(frozen=True)
class Compiled:
    """A network as vela compiled it.

    Attributes:
        version: Of vela.
        summary: The network.
        operations: What runs, in order.
        constant_bytes: Weights, biases and tables as they lie in memory.
        command_bytes: Commands of the NPU.
    """

    version: str
    summary: Summary
    operations: tuple[NpuOperation, ...]
    constant_bytes: int
    command_bytes: int


def ethos_u(target: Target) -> tuple[Accelerator, BlockModel]:
    """A target as an Ethos-U, and its model.

    Raises:
        InputError: It is none.
    """
    from hannah_hw.targets import Accelerator
    from hannah_hw.targets.models import BlockModel

    if not isinstance(target, Accelerator) or not isinstance(target.model, BlockModel):
        raise InputError(
            f"{PACKAGE} compiles for Ethos-U, and {target.name} is none; its model is of kind {target.kind}",
            where=target.name,
        )
    return target, target.model


def system_of(target: Target) -> System:
    """What vela compiles for, of a target.

    Raises:
        InputError: The target is no Ethos-U, or does not say which of the compiler's systems it is.
    """
    from hannah_hw.targets.models.block import ETHOS_U

    _, model = ethos_u(target)
    if model.vela is None:
        raise InputError(
            f"{target.name} does not say which of the compiler's systems it is; add `vela: {{system_config: ..., "
            "memory_mode: ...}` to its model",
            where=f"{target.name}: model.vela",
        )
    if model.accelerator not in ETHOS_U:
        raise TargetError(
            f"{PACKAGE} does not know {model.accelerator!r}",
            where=f"{target.name}: model.accelerator",
            allowed=ETHOS_U,
            given=model.accelerator,
        )
    return System(model.accelerator, model.vela.system_config, model.vela.memory_mode)


def core_of(system: System) -> str:
    """NPU, system and memory mode, as reports name them."""
    return f"{system.accelerator}, {system.system_config}, {system.memory_mode}"


def vela_version() -> str:
    """The version of vela that is installed.

    Raises:
        MissingExtraError: None is.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(PACKAGE, EXTRA) from error


def compile_tflite(content: bytes, system: System, *, timeout_s: float = TIMEOUT_S) -> Compiled:
    """Compile a .tflite file and read what vela says of it.

    Args:
        content: Of the file.
        system: What for.
        timeout_s: Seconds until it is given up.

    Raises:
        MeasurementError: vela failed (its kind is ``vela``), took too long (``timeout``), or wrote something else
            than expected (``vela_output``).
        MissingExtraError: vela is not installed.
    """
    version = vela_version()
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        source, results = Path(folder, "network.tflite"), Path(folder, "out")
        source.write_bytes(content)
        command = [
            sys.executable,
            *("-m", "ethosu.vela", str(source)),
            *("--accelerator-config", system.accelerator),
            *("--config", _CONFIGURATION),
            *("--system-config", system.system_config),
            *("--memory-mode", system.memory_mode),
            *("--output-dir", str(results)),
            "--enable-debug-db",
        ]
        output = _run(command, folder, timeout_s)
        files = {
            name: results / f"network_{name}"
            for name in (f"summary_{system.system_config}.csv", "debug.xml", "vela.tflite")
        }
        if not all(path.is_file() for path in files.values()):
            raise MeasurementError(f"{PACKAGE} {version} wrote no result: {_reason(output)}", kind="vela")
        summary, database, compiled = (path.read_bytes() for path in files.values())
    found = read_summary(summary.decode(errors="replace"))
    operations = read_operations(database.decode(errors="replace"))
    check_agreement(found, operations)
    constants = outline(compiled, "the compiled file").constants
    return Compiled(version, found, operations, constants.get(_CONSTANTS, 0), constants.get(_COMMANDS, 0))


def _run(command: Sequence[str], folder: str, timeout_s: float) -> str:
    """Run vela; its output."""
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{PACKAGE} took more than {timeout_s:g} s", kind="timeout") from error
    if result.returncode:
        raise MeasurementError(f"{PACKAGE} failed: {_reason(result.stderr + result.stdout)}", kind="vela")
    return result.stdout + result.stderr


def _reason(output: str) -> str:
    """The line that says why: of a Python error its last, else the last of all."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (raised or lines or ["it says nothing"])[-1]
