"""A float32 model as kernels in C, with a place in one arena for each of its values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hannah_hw.errors import ModelError, UnsupportedError
from hannah_hw.firmware.objects import KERNEL_FOLDER
from hannah_hw.lowering.loading import name_of
from hannah_hw.lowering.reader import OnnxModel, read_onnx
from hannah_hw.workload import Workload
from hannah_hw.workload.arena import DEFAULT_ALIGNMENT, plan_arena

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.lowering.tvm import TvmWorker
    from hannah_hw.lowering.tvm.c_kernels import CKernels

#: What declares the functions of C's library that kernels may call.
_FUNCTIONS: Final = KERNEL_FOLDER / "hn_float.h"
_CALLED: Final = re.compile(r"\b([A-Za-z_]\w*)\(")
_KEYWORDS: Final = frozenset(("for", "if", "while", "sizeof", "return", "switch"))
#: Element types of graph inputs and outputs -> in C.
C_TYPES: Final = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "bool": "uint8_t",
}


@dataclass(frozen=True)
class FloatValue:
    """A graph input or output.

    Attributes:
        name: Of the ONNX value.
        shape: As the file has it.
        dtype: Of its elements: a key of `C_TYPES`.
        offset: Its first byte in the arena.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class FloatLayer:
    """One call of a kernel.

    Attributes:
        name: Of the kernel of the Workload.
        kind: Its kind.
        macs: Multiply-accumulates.
        function: Its kernel in C.
        arguments: Offsets in the arena of what it is called with; ids of constants.
        results: ONNX name of a result -> its offset and size in bytes, for those that have a name.
    """

    name: str
    kind: str
    macs: int
    function: str
    arguments: tuple[int | str, ...]
    results: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class FloatNetwork:
    """A float32 network on any core.

    Attributes:
        name: Of the model.
        model: The model that it is of, with shapes.
        workload: TVM's kernels and values.
        kernels: In C.
        layers: Calls, in order.
        inputs: Graph inputs that something reads.
        outputs: Graph outputs.
        arena_bytes: Of values and scratch memory.
        alignment: Of the arena.
    """

    name: str
    model: ModelProto
    workload: Workload
    kernels: CKernels
    layers: tuple[FloatLayer, ...]
    inputs: tuple[FloatValue, ...]
    outputs: tuple[FloatValue, ...]
    arena_bytes: int
    alignment: int

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights and biases."""
        return sum(array.nbytes for array in self.kernels.constants.values())


def read_float_network(
    source: str | os.PathLike[str] | ModelProto,
    worker: TvmWorker,
    *,
    shapes: GivenShapes | None = None,
    planner: str = "greedy_best_fit",
    alignment: int = DEFAULT_ALIGNMENT,
) -> FloatNetwork:
    """Have TVM write a float32 ONNX model as C, and place its values.

    Args:
        source: A file, or a model.
        worker: TVM's process.
        shapes: See `hannah_hw.lowering.read_onnx`.
        planner: A key of `hannah_hw.workload.arena.PLANNERS`.
        alignment: Of values in the arena, in bytes: a power of two; less than 8 is taken as 8.

    Raises:
        ModelError: No readable ONNX, or an output that is a constant.
        InputError: The model is quantised.
        UnsupportedError: TVM has no operator of the model, a kernel calls a function that firmware does not have, or
            an input or output is of a type that it does not have.
        EvaluationError: TVM crashed, took too long or failed.
    """
    from hannah_hw.lowering.tvm.agreement import float_workload
    from hannah_hw.lowering.tvm.c_kernels import c_kernels

    where = name_of(source)
    name = Path(source).stem if isinstance(source, str | os.PathLike) else source.graph.name
    model = read_onnx(source, shapes=shapes)
    float_workload(model)  # refuses what is quantised before TVM sees it
    kernels = c_kernels(model.model, worker)
    _check_functions(kernels.text, where)
    return _placed(model, kernels, name or "model", where, planner, max(8, alignment))


def _placed(
    model: OnnxModel, kernels: CKernels, name: str, where: str, planner: str, alignment: int
) -> FloatNetwork:
    from hannah_hw.lowering.tvm.workload import LoweredValues, lowered_workload

    workload = lowered_workload(model, kernels.lowered)
    values = LoweredValues(model, kernels.lowered)
    scratch = np.array([[_room(call.scratch, alignment) for call in kernels.calls]], np.int64).reshape(1, -1)
    plan = plan_arena(workload, np.zeros(scratch.shape, np.bool_), scratch, planner, alignment)
    place = dict(zip(values.names, plan.offsets[0].tolist(), strict=True))

    def argument(value: Any) -> int | str:
        return value.id if value.constant else int(place[values.of(value)])

    layers = []
    for k, call in enumerate(kernels.calls):
        given: list[int | str] = [argument(value) for value in call.arguments]
        top = int(plan.scratch_offsets[0, k])
        for size in call.scratch:
            given.append(top)
            top += _room((size,), alignment)
        results = {v.name: (int(place[v.id]), v.bytes) for v in call.kernel.writes if v.name}
        kernel = workload.kernels
        layers.append(
            FloatLayer(
                kernel.names[k], kernel.kinds[k], call.kernel.macs, call.function, tuple(given), results
            )
        )
    known = {value.name: argument(value) for value in _all_values(kernels) if value.name}
    constants = {tensor.name for tensor in model.model.graph.initializer}
    graph = model.model.graph
    read = [value for value in graph.input if value.name not in constants and value.name in known]
    inputs = [_value(value, known[value.name], where) for value in read]
    outputs = []
    for value in graph.output:
        offset = known.get(value.name)
        if not isinstance(offset, int):
            raise ModelError(f"the output {value.name!r} is computed by no kernel", where=where)
        outputs.append(_value(value, offset, where))
    return FloatNetwork(
        name,
        model.model,
        workload,
        kernels,
        tuple(layers),
        tuple(inputs),
        tuple(outputs),
        int(plan.arena_bytes[0]),
        alignment,
    )


def _all_values(kernels: CKernels) -> list[Any]:
    return [v for kernel in kernels.lowered.kernels for v in (*kernel.reads, *kernel.writes)]


def _value(value: Any, offset: Any, where: str) -> FloatValue:
    """A graph input or output at its place.

    Raises:
        UnsupportedError: Firmware has no such type.
    """
    from onnx import helper

    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    if dtype not in C_TYPES:
        raise UnsupportedError(
            f"{where}: {value.name!r} is {dtype}, and inputs and outputs of float firmware are {', '.join(C_TYPES)}; "
            "export the model as float32"
        )
    return FloatValue(value.name, tuple(d.dim_value for d in tensor.shape.dim), dtype, int(offset))


def _room(sizes: tuple[int, ...], alignment: int) -> int:
    """Bytes of several buffers, each aligned."""
    return sum(-(-size // alignment) * alignment for size in sizes)


def _check_functions(text: str, where: str) -> None:
    """Refuse kernels that call what firmware does not have.

    Raises:
        UnsupportedError: One does.
    """
    brought = set(re.findall(r"^float (\w+)\(", _FUNCTIONS.read_text(encoding="utf-8"), re.MULTILINE))
    defined = set(re.findall(r"^static void (\w+)\(", text, re.MULTILINE))
    missing = sorted(set(_CALLED.findall(text)) - brought - _KEYWORDS - defined)
    if missing:
        raise UnsupportedError(
            f"{where}: kernels of TVM call {', '.join(missing)}, and float firmware has only "
            f"{', '.join(sorted(brought))}; replace the operator in the model"
        )
