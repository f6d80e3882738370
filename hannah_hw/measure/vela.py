"""Measuring on an Ethos-U by the vendor's compiler: ethos-u-vela compiles the network and states its cycles.

The network becomes an int8 .tflite file (`hannah_hw.firmware.tflite`), which vela compiles in a process of its own.
Its figures are measured by the vendor's compiler: memory is what the compiled network takes, and cycles are vela's own
estimate of the hardware, no count of silicon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.report import Figure
from hannah_hw.errors import MeasurementError, ModelError, TargetError
from hannah_hw.firmware.tflite import outline, tflite_model
from hannah_hw.lowering.loading import check_size
from hannah_hw.measure.models import Int8Model, int8_model, warn_of_unused_calibration
from hannah_hw.measure.vela_compiler import (
    PACKAGE,
    TIMEOUT_S,
    Compiled,
    System,
    compile_tflite,
    core_of,
    ethos_u,
    system_of,
    vela_version,
)
from hannah_hw.measure.vela_output import NpuOperation
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.firmware.layers import Network
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Target

#: Where weights and ranges of a file that is int8 already come from.
_OWN: Final = "the model's"


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
    if calibration is not None:
        warn_of_unused_calibration(path)
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
    clock_hz = ethos_u(target)[0].clock_hz
    compiled = compile_tflite(content, system, timeout_s=timeout_s)
    if compiled.summary.clock_hz != clock_hz:
        raise TargetError(
            f"its clock is {format_si(clock_hz, 'Hz')}, and that of {system.system_config}, which says how fast "
            f"its memories are beside it, {format_si(compiled.summary.clock_hz, 'Hz')}; take that, or another system",
            where=f"{target.name}: clock_hz",
        )
    return _measurement(given, target.name, system, layers, compiled)


def _content(path: Path) -> bytes:
    """The content of a .tflite file.

    Raises:
        ModelError: It cannot be read, or is too large.
    """
    where = str(path)
    try:
        check_size(path.stat().st_size, where)
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model: {error}", where=where) from error


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
