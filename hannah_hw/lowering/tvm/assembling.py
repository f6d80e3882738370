"""The fused kernels of a model as assembly and object files, each a plain function of pointers.

Runs in the worker process only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hannah_hw.lowering.tvm.bare import PREFIX, bare, generated
from hannah_hw.lowering.tvm.lowering import Provenance, fuse
from hannah_hw.lowering.tvm.primitive import Primitives
from hannah_hw.lowering.tvm.scheduling import schedule


def answer(model: Any, request: Mapping[str, Any], primitives: Primitives) -> dict[str, Any]:
    """Generate code for a processor.

    Args:
        model: An `onnx.ModelProto` of float32 with known shapes.
        request: ``target`` has the options of a ``tvm.target.Target``, ``folder`` is where files go: for each kernel of
            another name that is no view, ``NAME.s`` and ``NAME.o``, whose function is ``tvm_NAME``.
        primitives: What is known of kernels from models before.

    Returns:
        ``kernels``, ``outputs`` and ``planned_bytes`` (0) as `hannah_hw.lowering.tvm.lowering.answer` gives them, and
        ``scratch``: name of a kernel -> bytes of the buffers that its function takes after its operands.
    """
    from tvm.target import Target

    module = fuse(model, primitives)
    provenance = Provenance(model, module.importer, module.imported, module.legal)
    rows = provenance.kernels(module.groups, module.fused, primitives)
    target, folder = Target(request["target"]), Path(request["folder"])
    scratch = {}
    for name in dict.fromkeys(row["name"] for row in rows if not row["view"]):
        found = bare({PREFIX + name: schedule(module.fused[name])}, target)
        code = generated(found, target)
        folder.joinpath(f"{name}.s").write_text(code.inspect_source("asm"), encoding="utf-8")
        code.write_to_file(str(folder / f"{name}.o"))
        scratch[name] = list(found.scratch[PREFIX + name])
    return {
        "kernels": rows,
        "outputs": [output.name for output in model.graph.output],
        "planned_bytes": 0,
        "scratch": scratch,
    }
