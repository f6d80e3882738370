"""The fused kernels of a model as plain C, and the values of its constants.

Runs in the worker process only. Kernels are scheduled for small memories and called in the order of the lowered model;
what depends on no input of the graph, such as a transposed weight, is computed here once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hannah_hw.lowering.tvm.bare import PREFIX, bare, generated
from hannah_hw.lowering.tvm.lowering import Call, Fused, Provenance, fuse
from hannah_hw.lowering.tvm.primitive import Primitives
from hannah_hw.lowering.tvm.scheduling import schedule

_DEFINITION: Final = re.compile(r"^TVM_DLL void (\w+)\(([^)]*)\) \{$")


def answer(model: Any, request: Mapping[str, Any], primitives: Primitives) -> dict[str, Any]:
    """Lower a model to C.

    Args:
        model: An `onnx.ModelProto` of float32 with known shapes.
        request: ``constants`` is the path of the ``.npz`` file that is written.
        primitives: What is known of kernels from models before.

    Returns:
        ``kernels`` and ``outputs`` as `hannah_hw.lowering.tvm.lowering.answer` gives them, ``text`` (definitions in C),
        and for each kernel in ``calls``: ``function``, ``arguments`` (ids of values: operands, then results) and
        ``scratch`` (bytes of the buffers that are its last arguments); ``function`` is empty for a view. The file has
        the constants by the ids of their values.
    """
    import numpy as np
    from tvm.target import Target

    _complete()
    module = fuse(model, primitives)
    provenance = Provenance(model, module.importer, module.imported, module.legal)
    rows = provenance.kernels(module.groups, module.fused, primitives)
    calls = [call for call in provenance.calls(module.groups) if call.result not in provenance.constant]
    names = dict.fromkeys(call.name for call, row in zip(calls, rows, strict=True) if not row["view"])
    target = Target("c")
    found = bare({PREFIX + name: schedule(module.fused[name]) for name in names}, target)
    constants = _constants(provenance, module, primitives)
    ids = {provenance.ids[key]: array for key, array in constants.items()}
    np.savez(Path(request["constants"]), **ids)
    return {
        "kernels": rows,
        "outputs": [output.name for output in model.graph.output],
        "planned_bytes": 0,
        "text": _plain(generated(found, target).inspect_source()) if names else "",
        "calls": [
            {
                "function": "" if row["view"] else PREFIX + call.name,
                "arguments": [provenance.ids[key] for key in (*call.reads, *provenance.parts(call.result))],
                "scratch": found.scratch.get(PREFIX + call.name, ()),
            }
            for call, row in zip(calls, rows, strict=True)
        ],
    }


@functools.cache
def _complete() -> None:
    """Name the functions of C's library that TVM knows of only for other targets."""
    from tvm.tirx import call_pure_extern, register_intrin_lowering

    for name in ("fabs", "nearbyint", "round", "trunc"):
        register_intrin_lowering(
            f"tirx.{name}",
            target="c",
            f=lambda call, function=f"{name}f": call_pure_extern(call.ty, function, *call.args),
            level=99,
        )


def _plain(source: str) -> str:
    """Definitions of functions alone, of which operands do not overlap."""
    lines = []
    for line in source.splitlines():
        definition = _DEFINITION.match(line)
        if definition:
            operands = definition[2].replace("* ", " *restrict ")
            lines.append(f"static void {definition[1]}({operands}) {{")
        elif not line.startswith(("#", "//", "extern", "TVM_DLL", "void* __tvm")):
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _constants(provenance: Provenance, module: Fused, primitives: Primitives) -> dict[Any, Any]:
    """The arrays of all constants that kernels read."""
    inputs = int(module.legal["main"].attrs["num_input"])
    calls = list(provenance.calls(module.groups))
    waiting = [call for call in calls if call.result in provenance.constant]
    wanted = {
        key for call in calls if call not in waiting for key in call.reads if key in provenance.constant
    }
    run = _runner(
        module, {call.name for call in waiting if not primitives.facts(module.fused[call.name])["view"]}
    )
    known: dict[Any, Any] = {}

    def value(key: Any) -> Any:
        if key[0] == "parameter":
            return module.parameters[key[1] - inputs].numpy()
        if key[0] == "constant":
            return _array(key)
        return known[key]

    for call in waiting:
        operands = [value(key) for key in call.reads]
        results = list(provenance.parts(call.result))
        known.update(zip(results, run(call, operands), strict=True))
    return {key: value(key) for key in wanted}


def _array(key: Any) -> Any:
    """The array of a constant that is known by its content."""
    import numpy as np

    return np.frombuffer(key[3], key[1]).reshape(key[2])


def _runner(module: Fused, names: set[str]) -> Any:
    """A function that runs a call of a kernel on arrays: on this machine, through LLVM."""
    import numpy as np
    import tvm

    functions = {name: module.fused[name].with_attr("global_symbol", name) for name in names}
    built = tvm.compile(tvm.IRModule(functions), target="llvm") if functions else None

    def run(call: Call, operands: list[Any]) -> list[Any]:
        parameters = module.fused[call.name].params[len(operands) :]
        shapes = [tuple(int(size) for size in p.shape) for p in parameters]
        if built is None or call.name not in names:
            return [operands[0].reshape(shapes[0])]
        tensors = [tvm.runtime.tensor(np.ascontiguousarray(array)) for array in operands]
        results = [
            tvm.runtime.tensor(np.zeros(shape, str(p.ty.dtype)))
            for shape, p in zip(shapes, parameters, strict=True)
        ]
        built[call.name](*tensors, *results)
        return [result.numpy() for result in results]

    return run
