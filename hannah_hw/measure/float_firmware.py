"""Measuring a float32 network on an emulated core, with kernels in C that TVM makes.

The network is built, run layer by layer and counted as an int8 one is (`hannah_hw.measure.emulated`). Every input's
outputs, and of the first input every layer's results, are compared with those of ONNX Runtime.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import InputError, MeasurementError
from hannah_hw.host.session import input_specs, open_session, random_inputs
from hannah_hw.measure.counted import Given, Runs, kernel_row, measurement
from hannah_hw.measure.differences import TOLERANCE, difference
from hannah_hw.measure.emulated import (
    INPUTS,
    check_sizes,
    compiler_name,
    emulated_core,
    firmware_target,
    small_memory,
)
from hannah_hw.measure.measurement import Measurement, Timing

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.emulation import Counts, Emulator
    from hannah_hw.firmware.floating import FloatProject
    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.lowering.tvm import TvmWorker
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Target

#: What the class of every kernel is called.
KERNEL_CLASS: Final = "tvm"


def measure_float_model(
    model: str | Path | ModelProto | Candidate,
    target: Target | str,
    *,
    core: str | None = None,
    compiler: str | None = None,
    flash_reads: bool = False,
    inputs: int = INPUTS,
    seed: int = 0,
    shapes: GivenShapes | None = None,
    worker: TvmWorker | None = None,
) -> Measurement:
    """Instructions, cycles, RAM and flash of a float32 network on a target's emulated core.

    Args:
        model: A float32 ONNX model or its file; or a candidate, which gets random weights.
        target: The target, or its name or path.
        core: Emulate this core in place of the target's.
        compiler: ``zig`` or ``gcc``; None takes the first that is there.
        flash_reads: Count data loads from flash also where the target's flash does not make the core wait.
        inputs: Random inputs whose output is compared with ONNX Runtime's.
        seed: Of the inputs, and of a candidate's weights.
        shapes: See `hannah_hw.lowering.read_onnx`.
        worker: TVM's process, kept warm between models; without one, it is started and ended here.

    Raises:
        InputError: Something that was given is wrong, the model is quantised, or the core cannot be emulated.
        ModelError: No readable ONNX.
        UnsupportedError: TVM has no operator of the model, or its kernel needs a function that firmware has not.
        EvaluationError: It does not fit into the target's RAM or flash (its kind is ``memory``), or TVM crashed, took
            too long or failed.
        MeasurementError: The firmware faulted, or its output is wrong.
        CompilerError: The compiler failed, or lacks a feature of the core.
        MissingToolError: There is no compiler.
        MissingExtraError: A package of the extras ``tvm`` or ``emulate`` is not installed.
    """
    from hannah_hw.emulation import Emulator, elf_sizes
    from hannah_hw.firmware.building import build
    from hannah_hw.firmware.floating import generate_float, read_float_network
    from hannah_hw.firmware.toolchain import find
    from hannah_hw.lowering.tvm import TvmWorker
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import load_target, microcontroller

    if inputs < 1:
        raise InputError(f"{inputs} inputs were asked for; at least 1 is needed")
    loaded = load_target(target) if isinstance(target, str) else target
    chip = firmware_target(microcontroller(loaded, "measuring on an emulated core"))
    chosen = emulated_core(chip, core)
    tool = find(chosen, compiler_name(compiler))
    source: Any = model
    if isinstance(model, Candidate):
        from hannah_hw.lowering import to_onnx

        source = to_onnx(model, seed=seed)
    with TvmWorker() if worker is None else nullcontext(worker) as process:
        arena = chip.model.arena
        network = read_float_network(
            source, process, shapes=shapes, planner=arena.planner, alignment=arena.alignment
        )
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        project = generate_float(network, chosen, folder=Path(folder), target=chip)
        elf = build(project, tool).elf
        emulator = Emulator(elf, chosen, small_memory(chosen, elf_sizes(elf)))
    firmware = FloatFirmware(project, emulator, model.id if isinstance(model, Candidate) else network.name)
    timing = Timing(chip, chosen, int8=False)
    reads = flash_reads or timing.needs_flash_reads
    layers = firmware.run_by_layer(firmware.inputs(seed), flash_reads=reads)
    whole = [firmware.run(firmware.inputs(seed + 1 + n)) for n in range(max(1, inputs - 1))]
    check_sizes(emulator.sizes, emulator.stack_high_water, chip)
    rows = [
        kernel_row(
            timing,
            counts,
            name=layer.name,
            kind=layer.kind,
            kernel_class=KERNEL_CLASS,
            function=layer.function,
            macs=layer.macs,
        )
        for layer, counts in zip(network.layers, layers, strict=True)
    ]
    weights = "random" if isinstance(model, Candidate) else "the model's"
    runs = Runs(emulator, project.arena_symbol, f"{project.prefix}_run", layers, whole, firmware.difference)
    return measurement(
        Given(firmware.name, weights, "the model's", tool.version, "ONNX Runtime"), timing, runs, rows
    )


class FloatFirmware:
    """Float32 firmware in an emulator, beside ONNX Runtime.

    Args:
        project: What was built.
        emulator: With its ELF.
        name: What messages call the model.

    Attributes:
        difference: Largest difference of an output from ONNX Runtime's so far, relative to its largest element.
    """

    def __init__(self, project: FloatProject, emulator: Emulator, name: str) -> None:
        self.name, self.difference = name, 0.0
        self._project, self._network, self._emulator = project, project.network, emulator
        self._arena = emulator.symbols[project.arena_symbol].address
        self._results = [result for layer in self._network.layers for result in layer.results]
        self._session = _probing(self._network.model, self._results)

    def inputs(self, seed: int) -> dict[str, NDArray[Any]]:
        """Random tensors for the graph's inputs, also for those that nothing reads; see `random_inputs`."""
        return random_inputs(input_specs(self._session, self.name), seed)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Counts:
        """One inference; its outputs are compared.

        Raises:
            MeasurementError: An output is wrong, or the firmware faulted.
        """
        self._write(inputs)
        counts = self._emulator.call(f"{self._project.prefix}_run")
        names = [value.name for value in self._network.outputs]
        for value, expected in zip(self._network.outputs, self._session.run(names, inputs), strict=True):
            found = self._compared(f"output {value.name!r}", expected, value.offset)
            self.difference = max(self.difference, found)
        return counts

    def run_by_layer(self, inputs: Mapping[str, NDArray[Any]], *, flash_reads: bool = False) -> list[Counts]:
        """One inference, layer by layer; every result that has a name in the model is compared.

        Raises:
            MeasurementError: A result is wrong, or the firmware faulted.
        """
        self._write(inputs)
        computed = self._session.run(self._results, inputs) if self._results else []
        expected = dict(zip(self._results, computed, strict=True))
        found = []
        for symbol, layer in zip(self._project.layer_symbols, self._network.layers, strict=True):
            found.append(self._emulator.call(symbol, flash_reads=flash_reads))
            for name, (offset, _) in layer.results.items():
                self._compared(
                    f"layer {layer.name!r} ({layer.kind}, {layer.function})", expected[name], offset
                )
        return found

    def _write(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for value in self._network.inputs:
            self._emulator.write(self._arena + value.offset, inputs[value.name].tobytes())

    def _compared(self, what: str, expected: NDArray[Any], offset: int) -> float:
        """How far a tensor in the arena is from what it should be.

        Raises:
            MeasurementError: Too far.
        """
        content = self._emulator.read(self._arena + offset, expected.nbytes)
        found = difference(expected, np.frombuffer(content, expected.dtype).reshape(expected.shape))
        if not found <= TOLERANCE:
            raise MeasurementError(
                f"{self.name}: {what} is wrong on {self._emulator.core.title}: it differs from ONNX Runtime's by "
                f"{found:.2g} of the largest element, and {TOLERANCE:g} is rounding; please report this model",
                kind="wrong-output",
            )
        return found


def _probing(model: ModelProto, results: list[str]) -> Any:
    """A session of ONNX Runtime that also gives the results of layers.

    Raises:
        ModelError: ONNX Runtime does not run the model.
    """
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in results if name not in known)
    return open_session(probe.SerializeToString(), optimisation="none")
