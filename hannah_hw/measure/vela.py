"""Measuring on an Ethos-U by the vendor's compiler: ethos-u-vela compiles the network and states its cycles.

The network becomes an int8 .tflite file (`hannah_hw.firmware.tflite`), which vela compiles in a process of its own.
Its figures are measured by the vendor's compiler: memory is what the compiled network takes, and cycles are vela's own
estimate of the hardware, no count of silicon.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.report import Figure
from hannah_hw.errors import InputError, MeasurementError, MissingExtraError, TargetError
from hannah_hw.firmware.tflite import outline, tflite_model
from hannah_hw.measure.models import Int8Model, int8_model
from hannah_hw.measure.vela_output import (
    NpuOperation,
    Summary,
    check_agreement,
    read_operations,
    read_summary,
)
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.firmware.layers import Network
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Target

PACKAGE: Final = "ethos-u-vela"
EXTRA: Final = "vela"
#: Configurations of the NPU that targets describe.
ACCELERATORS: Final = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
)
#: vela's configuration file of systems and memory modes, in its own package.
_CONFIGURATION: Final = "Arm/vela.ini"
#: Seconds that a compilation may take; small networks take one.
TIMEOUT_S: Final = 600.0
#: Where weights and ranges of a file that is int8 already come from.
_OWN: Final = "the model's"
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


@dataclass(frozen=True)
class LayerMeasurement:
    """One layer of the network.

    Attributes:
        name: Of the layer; of a .tflite file the tensor that its operator writes.
        operations: What it became, in order, such as ``Conv2D``; ``CPU`` of what the NPU does not run.
        macs: Multiply-accumulates.
        cycles: Of all its operations; None of a layer that no operation is of: it was merged into another.
        npu_cycles: Of the arithmetic.
        memory_cycles: Memory -> cycles of its accesses.
        utilisation: Share of the multipliers in use; None without multiply-accumulates.
        staging_bytes: The most that is in use of the staging memory while it runs.
        latency_s: Its cycles at the clock; None without cycles.
    """

    name: str
    operations: tuple[str, ...]
    macs: int
    cycles: int | None
    npu_cycles: int
    memory_cycles: Mapping[str, int]
    utilisation: float | None
    staging_bytes: int
    latency_s: float | None


@dataclass(frozen=True)
class VelaMeasurement:
    """What a network costs on an Ethos-U, by the vendor's compiler.

    Attributes:
        model: Name of the model.
        target: Name of the target.
        core: The NPU, the system and the memory mode that it was compiled for.
        compiler: ``ethos-u-vela`` and its version.
        weights: Where the weights come from: they are compressed, so cycles and flash depend on them.
        ranges: Where the ranges of the values come from.
        clock_hz: Of the NPU.
        figures: ``latency_s``, ``cycles``, ``ram_bytes`` and ``flash_bytes`` -> figure.
        kernels: One for each layer, in order.
        operations: One for each operation of the NPU, in order.
        on_cpu: Names of the layers of which the NPU does not run everything; their time is in no figure.
        macs: Multiply-accumulates that the NPU executes; padding of weights is among them.
        memory: Memory -> bytes in use.
        traffic: Memory -> bytes moved in one inference.
        flash: Bytes of flash by what takes them: ``constants`` and ``commands``.
        compression: Encoded bytes of the weights by their bytes.
    """

    model: str
    target: str
    core: str
    compiler: str
    weights: str
    ranges: str
    clock_hz: float
    figures: Mapping[str, Figure]
    kernels: tuple[LayerMeasurement, ...]
    operations: tuple[NpuOperation, ...]
    on_cpu: tuple[str, ...]
    macs: int
    memory: Mapping[str, int]
    traffic: Mapping[str, int]
    flash: Mapping[str, int]
    compression: float | None

    def value(self, key: str) -> float:
        """A figure's value."""
        return self.figures[key].value

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data; keys carry their units."""
        return asdict(self)


def system_of(target: Target) -> System:
    """What vela compiles for, of a target.

    Raises:
        InputError: The target is no Ethos-U, or does not say which of the compiler's systems it is.
    """
    from hannah_hw.targets import Accelerator

    if not isinstance(target, Accelerator) or target.model.kind != "block":
        raise InputError(
            f"{PACKAGE} compiles for Ethos-U, and {target.name} is none; its model is of kind {target.kind}",
            where=target.name,
        )
    model = target.model
    if model.vela is None:
        raise InputError(
            f"{target.name} does not say which of the compiler's systems it is; add `vela: {{system_config: ..., "
            "memory_mode: ...}` to its model",
            where=f"{target.name}: model.vela",
        )
    if model.accelerator not in ACCELERATORS:
        raise TargetError(
            f"{PACKAGE} does not know {model.accelerator!r}",
            where=f"{target.name}: model.accelerator",
            allowed=ACCELERATORS,
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


def compile_with_vela(
    model: str | Path | Candidate,
    target: Target | str,
    *,
    calibration: str | Path | NDArray[np.float32] | None = None,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
) -> VelaMeasurement:
    """Cycles, memory and placement of a network on an Ethos-U, by the vendor's compiler.

    Args:
        model: An int8 ONNX file in the QDQ form, or with `calibration` a float32 one; a .tflite file; or a candidate,
            which gets random weights.
        target: The target, or its name or path.
        calibration: See `hannah_hw.measure.models.int8_model`.
        seed: Of a candidate's weights.
        timeout_s: Seconds until the compiler is given up.

    Raises:
        InputError: Something that was given is wrong, or the target is no Ethos-U.
        UnsupportedError: TFLite has no operator for a layer.
        MeasurementError: vela failed, or runs nothing of the network on the NPU (its kind is ``unsupported``).
        MissingExtraError: A package of the extra ``vela`` is not installed.
    """
    from hannah_hw.targets import load_target

    target = load_target(target) if isinstance(target, str) else target
    if not isinstance(model, str | Path) or Path(model).suffix != ".tflite":
        from hannah_hw.firmware.network import read_network

        # Before the model is quantised, which takes a while.
        vela_version()
        system_of(target)
        given = int8_model(model, calibration, seed=seed)
        return compile_network(read_network(given.source), target, given, timeout_s=timeout_s)
    path = Path(model)
    content = _content(path)
    layers = tuple(call.output for call in outline(content, str(path)).calls)
    return _compiled(content, layers, target, Int8Model(path, path.stem, _OWN, _OWN), timeout_s)


def compile_network(
    network: Network, target: Target, given: Int8Model, *, timeout_s: float = TIMEOUT_S
) -> VelaMeasurement:
    """See `compile_with_vela`; the network was read from `given`."""
    written = tflite_model(network)
    return _compiled(written.content, written.layers, target, given, timeout_s)


def _compiled(
    content: bytes, layers: tuple[str, ...], target: Target, given: Int8Model, timeout_s: float
) -> VelaMeasurement:
    system = system_of(target)
    compiled = compile_tflite(content, system, timeout_s=timeout_s)
    if compiled.summary.clock_hz != target.clock_hz:
        raise TargetError(
            f"its clock is {format_si(target.clock_hz, 'Hz')}, and that of {system.system_config}, which says how fast "
            f"its memories are beside it, {format_si(compiled.summary.clock_hz, 'Hz')}; take that, or another system",
            where=f"{target.name}: clock_hz",
        )
    return _measurement(given, target.name, system, layers, compiled)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the model: {error}", where=str(path)) from error


def _measurement(
    given: Int8Model, target: str, system: System, layers: tuple[str, ...], compiled: Compiled
) -> VelaMeasurement:
    summary = compiled.summary
    rows = _layers(layers, compiled, system)
    on_cpu = tuple(row.name for row in rows if "CPU" in row.operations)
    if not any(operation.on_npu for operation in compiled.operations):
        raise MeasurementError(
            f"the NPU runs nothing of it; on the CPU: {', '.join(on_cpu)}", kind="unsupported"
        )
    note = f"by vendor compiler {PACKAGE} {compiled.version}, its own cycle estimate, not silicon"
    if on_cpu:
        note += f"; without what runs on the CPU: {', '.join(on_cpu)}"
    if given.weights == "random":
        note += "; random weights, which compress less than trained ones"
    memory = f"of the network as {PACKAGE} {compiled.version} compiled it"
    figures = {
        "latency_s": Figure(summary.cycles / summary.clock_hz, "s", "measured", None, note),
        "cycles": Figure(float(summary.cycles), "cycles", "measured", None, note),
        "ram_bytes": Figure(
            float(summary.memory_bytes["sram"]), "bytes", "measured", 0.0, f"peak of SRAM {memory}"
        ),
        "flash_bytes": Figure(
            float(compiled.constant_bytes + compiled.command_bytes),
            "bytes",
            "measured",
            0.0,
            f"encoded weights, tables and commands {memory}",
        ),
    }
    return VelaMeasurement(
        model=given.name,
        target=target,
        core=core_of(system),
        compiler=f"{PACKAGE} {compiled.version}",
        weights=given.weights,
        ranges=given.ranges,
        clock_hz=summary.clock_hz,
        figures=figures,
        kernels=rows,
        operations=compiled.operations,
        on_cpu=on_cpu,
        macs=summary.macs,
        memory=summary.memory_bytes,
        traffic=summary.traffic_bytes,
        flash={"constants": compiled.constant_bytes, "commands": compiled.command_bytes},
        compression=summary.encoded_weight_bytes / summary.weight_bytes if summary.weight_bytes else None,
    )


def _layers(names: Sequence[str], compiled: Compiled, system: System) -> tuple[LayerMeasurement, ...]:
    """The operations by layer."""
    found: dict[str, list[NpuOperation]] = {name: [] for name in names}
    for operation in compiled.operations:
        if operation.source >= len(names):
            raise MeasurementError(
                f"{PACKAGE} speaks of operator {operation.source}, and the file has {len(names)}",
                kind="vela_output",
            )
        found[names[operation.source]].append(operation)
    multipliers = int(system.accelerator.rpartition("-")[2])
    clock = compiled.summary.clock_hz
    rows = []
    for name, operations in found.items():
        cycles, macs = (sum(getattr(o, key) for o in operations) for key in ("cycles", "macs"))
        rows.append(
            LayerMeasurement(
                name=name,
                operations=tuple(o.operation if o.on_npu else "CPU" for o in operations),
                macs=macs,
                cycles=cycles if any(o.on_npu for o in operations) else None,
                npu_cycles=sum(o.npu_cycles for o in operations),
                memory_cycles={
                    area: sum(o.memory_cycles[area] for o in operations)
                    for area in compiled.summary.memory_bytes
                },
                utilisation=macs / (cycles * multipliers) if macs and cycles else None,
                staging_bytes=max((o.staging_bytes for o in operations), default=0),
                latency_s=cycles / clock if any(o.on_npu for o in operations) else None,
            )
        )
    return tuple(rows)
