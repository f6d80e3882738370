"""Shapes that no rule infers: those of one run in ONNX Runtime.

Operators of other domains, loops and what depends on values leave shapes open that a run has. Every number that the
run is given is 1: where a shape depends on values, it is that of these.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from hannah_hw.graph.numbers import MOST
from hannah_hw.lowering.learned_shapes import known_shapes
from hannah_hw.lowering.runtime import calculator, runtime_errors

#: Longest time that the run may take, in seconds: a file may hold a loop without an end.
MAX_SECONDS: Final = 20.0


def add_run_shapes(model: Any) -> bool:
    """Write the shapes that a run has and nobody knew into a model; whether there were any.

    A model that ONNX Runtime refuses, or that runs for longer than `MAX_SECONDS`, keeps what it has.

    Args:
        model: An `onnx.ModelProto` after shape inference, whose inputs have shapes; it is changed.
    """
    from onnx import helper

    graph = model.graph
    shapes = known_shapes(graph)
    wanted = [name for node in graph.node for name in node.output if name and name not in shapes]
    if not wanted or any(math.prod(shape) > MOST for shape in shapes.values()):
        return False
    declared = {value.name: value for value in graph.output}
    found = False
    for name, value in _run(model, wanted).items():
        if not isinstance(value, np.ndarray):
            continue  # a sequence or a map has no shape
        found = True
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        typed = helper.make_tensor_value_info(name, kind, value.shape)
        if name in declared:
            declared[name].CopyFrom(typed)
        else:
            graph.value_info.append(typed)
    return found


def _run(model: Any, wanted: list[str]) -> dict[str, Any]:
    """Name of a wanted value -> what one run gives; nothing where there is no run."""
    import onnx
    import onnxruntime as ort

    part = onnx.ModelProto()
    part.CopyFrom(model)
    kept = [value for value in part.graph.output if value.name not in wanted]
    del part.graph.output[:]
    part.graph.output.extend([*kept, *(onnx.ValueInfoProto(name=name) for name in wanted)])
    options = ort.RunOptions()
    try:
        session = calculator(part)
        with _stopped_after(options, MAX_SECONDS):
            values = session.run(wanted, _ones(part.graph), options)
    except runtime_errors():
        return {}
    return dict(zip(wanted, values, strict=True))


def _ones(graph: Any) -> dict[str, Any]:
    """Input name -> an array of ones; of texts, the text 1."""
    from onnx import helper

    constants = {tensor.name for tensor in graph.initializer}
    feeds = {}
    for value in graph.input:
        tensor = value.type.tensor_type
        if value.name not in constants and tensor.elem_type:
            ones = np.ones([dim.dim_value for dim in tensor.shape.dim], np.int8)
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            feeds[value.name] = (ones.astype(str) if dtype.kind == "O" else ones).astype(dtype)
    return feeds


@contextmanager
def _stopped_after(options: Any, seconds: float) -> Iterator[None]:
    """Inside, a run with these options ends with an error when its time is over."""

    def stop() -> None:
        options.terminate = True

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
