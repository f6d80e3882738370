"""A model compiled by TVM for this machine, and run: its outputs, and how long the network and each kernel take.

Runs in the worker process only. Loops are those of `hannah_hw.lowering.tvm.scheduling`; nothing is tuned by trials.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hannah_hw.lowering.tvm.lowering import Fused, Provenance, fuse
from hannah_hw.lowering.tvm.primitive import Primitives
from hannah_hw.lowering.tvm.scheduling import schedule

#: What TVM's virtual machine calls its own functions, between those of kernels.
_MACHINE: Final = "vm."
#: Most runs before those that are timed.
_WARMUP_RUNS: Final = 10_000


def answer(model: Any, request: Mapping[str, Any], primitives: Primitives) -> dict[str, Any]:
    """Compile a model and run it.

    Args:
        model: An `onnx.ModelProto` of float32 with known shapes.
        request: ``inputs`` and ``outputs`` are paths of ``.npz`` files: one is read, with input ``j`` of set ``i`` as
            ``i.j``, and one is written, with outputs by the same names. ``warmup_s`` are seconds of runs before those
            that are timed, ``runs`` how many are timed, and ``kernel_runs`` in how many kernels are.
        primitives: What is known of kernels from models before.

    Returns:
        ``kernels``, ``outputs`` and ``planned_bytes`` (0) as `hannah_hw.lowering.tvm.lowering.answer` gives them;
        ``target`` and ``cpu`` of LLVM, ``compile_s``; wall seconds of single runs in order: ``warmup`` (W,), ``times``
        (runs,), and ``kernel_times``, (kernel_runs,) for each kernel, empty of a view that nothing runs for.
    """
    module = fuse(model, primitives)
    provenance = Provenance(model, module.importer, module.imported, module.legal)
    rows = provenance.kernels(module.groups, module.fused, primitives)
    started = time.perf_counter()
    target = host()
    network = _Network(module, target)
    compiled = time.perf_counter() - started
    network.answer_all(Path(request["inputs"]), Path(request["outputs"]))
    warmup = [network.sample()]
    end = time.perf_counter() + request["warmup_s"]
    while time.perf_counter() < end and len(warmup) < _WARMUP_RUNS:
        warmup.append(network.sample())
    return {
        "kernels": rows,
        "outputs": [output.name for output in model.graph.output],
        "planned_bytes": 0,
        "target": str(target.attrs["mtriple"]),
        "cpu": str(target.attrs["mcpu"]),
        "compile_s": compiled,
        "warmup": warmup,
        "times": [network.sample() for _ in range(request["runs"])],
        "kernel_times": network.kernel_times(rows, request["kernel_runs"]),
    }


def host() -> Any:
    """This machine as a target of LLVM: its own processor, one core."""
    from tvm.target import Target, codegen

    return Target(
        {
            "kind": "llvm",
            "mtriple": codegen.llvm_get_system_triple(),
            "mcpu": codegen.llvm_get_system_cpu(),
            "num-cores": 1,
        }
    )


class _Network:
    """A compiled network with its parameters, whose inputs were set."""

    def __init__(self, module: Fused, target: Any) -> None:
        import tvm
        from tvm import relax

        kernels = {
            variable: schedule(function) if isinstance(function, tvm.tirx.PrimFunc) else function
            for variable, function in module.fused.functions.items()
        }
        split = tvm.IRModule(kernels)
        constant = bool(module.parameters)
        if constant:
            # What depends on parameters alone, such as a reshaped bias, is computed once, not in every run.
            split = relax.transform.LiftTransformParams()(split)
        self._machine = relax.VirtualMachine(tvm.compile(split, target), tvm.cpu())
        made = self._machine["main_transform_params"](module.parameters) if constant else ()
        self._parameters = list(made)

    def answer_all(self, inputs: Path, outputs: Path) -> None:
        """Run on each set of inputs; the last remains set."""
        import numpy as np
        import tvm

        found: dict[str, Any] = {}
        with np.load(inputs, allow_pickle=False) as arrays:
            sets: dict[str, list[Any]] = {}
            for name in arrays.files:
                sets.setdefault(name.partition(".")[0], []).append(arrays[name])
        for name, feeds in sets.items():
            tensors = [tvm.runtime.tensor(feed) for feed in feeds]
            self._machine.set_input("main", *tensors, *self._parameters)
            self._machine.invoke_stateful("main")
            found |= {f"{name}.{index}": array for index, array in enumerate(self._outputs())}
        np.savez(outputs, **found)

    def _outputs(self) -> list[Any]:
        results = self._machine.get_outputs("main")
        return [r.numpy() for r in ([results] if hasattr(results, "numpy") else results)]

    def sample(self) -> float:
        """Run once; wall seconds."""
        started = time.perf_counter()
        self._machine.invoke_stateful("main")
        return time.perf_counter() - started

    def kernel_times(self, kernels: Sequence[Mapping[str, Any]], runs: int) -> list[list[float]]:
        """Wall seconds of each kernel in each of some runs, with what calling it takes: about a microsecond.

        Args:
            kernels: In the order in which they run; views need not run.
            runs: How many runs.

        Raises:
            RuntimeError: Others run.
        """
        from tvm.runtime.vm import VMInstrumentReturnKind

        seen: list[tuple[str, float]] = []

        def instrument(function: Any, name: str, before: bool, _result: Any, *arguments: Any) -> int:
            if not before or name.startswith(_MACHINE):
                return int(VMInstrumentReturnKind.NO_OP)
            started = time.perf_counter()
            function(*arguments)
            seen.append((name, time.perf_counter() - started))
            return int(VMInstrumentReturnKind.SKIP_RUN)

        self._machine.set_instrument(instrument)
        times: list[list[float]] = [[] for _ in kernels]
        for _ in range(runs):
            seen.clear()
            self._machine.invoke_stateful("main")
            waiting = iter(seen)
            following = next(waiting, None)
            for kernel, row in zip(kernels, times, strict=True):
                if following is not None and following[0] == kernel["name"]:
                    row.append(following[1])
                    following = next(waiting, None)
                elif not kernel["view"]:
                    raise RuntimeError(f"{kernel['name']} was to run, and {following} did")
        return times
