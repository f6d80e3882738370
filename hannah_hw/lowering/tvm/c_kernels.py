"""A model as kernels in C, as TVM's worker writes them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hannah_hw.lowering.tvm.lowered import Lowered, TvmKernel, Value

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.lowering.tvm.process import TvmWorker


@dataclass(frozen=True)
class CCall:
    """A call of a kernel in C.

    Attributes:
        kernel: The kernel of the lowered model.
        function: Its name in C.
        arguments: What it is called with: operands, then results.
        scratch: Bytes of the buffers that are its last arguments.
    """

    kernel: TvmKernel
    function: str
    arguments: tuple[Value, ...]
    scratch: tuple[int, ...]


@dataclass(frozen=True)
class CKernels:
    """A model in C.

    Attributes:
        lowered: Its kernels.
        text: Definitions of functions in C; they need the types of ``stdint.h`` and functions of ``math.h``.
        calls: The kernels that are no views, in order.
        constants: Id of a value -> its elements.
    """

    lowered: Lowered
    text: str
    calls: tuple[CCall, ...]
    constants: Mapping[str, NDArray[Any]]


def c_kernels(model: ModelProto, worker: TvmWorker) -> CKernels:
    """Have TVM write a model as C.

    Args:
        model: Of float32, with shapes; see `hannah_hw.lowering.OnnxModel.model`.
        worker: TVM's process.

    Raises:
        UnsupportedError: TVM has no operator of the model.
        EvaluationError: TVM crashed, took too long or failed.
    """
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        path = Path(folder, "constants.npz")
        answer = worker.request("c_source", model, "write C for", constants=str(path))
        with np.load(path, allow_pickle=False) as arrays:
            constants = {name: arrays[name] for name in arrays.files}
    lowered = Lowered.from_dict(answer)
    calls = []
    for kernel, call in zip(lowered.kernels, answer["calls"], strict=True):
        if kernel.view:
            continue
        values = {value.id: value for value in (*kernel.reads, *kernel.writes)}
        arguments = tuple(values[name] for name in call["arguments"])
        calls.append(CCall(kernel, call["function"], arguments, tuple(call["scratch"])))
    return CKernels(lowered, answer["text"], tuple(calls), constants)
