"""The ranges of a model's values over calibration data.

Smallest and largest value are taken in one pass over a session that returns every intermediate tensor, in a fraction of
the time of ONNX Runtime's calibrators. Cutting off 0.01 % of the values at each end was measured on ten small CNNs
trained on 3,500 digits: it moved the accuracy by at most 0.8 points either way, without a trend, and took two to six
times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError
from hannah_hw.lowering.nodes import array_of
from hannah_hw.lowering.runtime import calculator, runtime_errors

Ranges = dict[str, tuple[np.float32, np.float32]]

#: Samples that run through the calibration session at a time; keeps the intermediate tensors in cache.
_BATCH: Final = 32


def collect_ranges(model: Any, calibration: NDArray[np.float32], *, where: str = "") -> Ranges:
    """Smallest and largest value of every float tensor over the calibration data.

    Args:
        model: An `onnx.ModelProto` with inferred shapes and one input; it is not changed.
        calibration: (N, ...) inputs, float32.
        where: File name, for messages.

    Raises:
        ModelError: The model cannot be run on the data, or a tensor is not finite.
    """
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    constants = {tensor.name for tensor in probe.graph.initializer}
    inputs = [value for value in probe.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(f"the model has {len(inputs)} inputs; one is supported", where=where)
    if not inputs[0].type.tensor_type.shape.dim:
        raise ModelError(f"the input {inputs[0].name!r} has no dimensions, so no batch", where=where)
    if len(calibration) == 0:
        raise ModelError("no calibration samples were given", where=where)
    floats = [name for name in float_values(probe) if name != inputs[0].name]
    batch = free_batch(probe) or _BATCH
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in floats)
    try:
        session = calculator(probe)
        rows = [
            [(v.min(), v.max()) for v in (chunk, *session.run(floats, {inputs[0].name: chunk}))]
            for chunk in _chunks(calibration, batch)
        ]
    except runtime_errors() as error:
        raise ModelError(f"the model does not run on the calibration data: {error}", where=where) from error
    table = np.array(rows, np.float32)  # (chunks, tensors, 2)
    lows, highs = table[..., 0].min(axis=0), table[..., 1].max(axis=0)
    names = [inputs[0].name, *floats]
    for name, low, high in zip(names, lows, highs, strict=True):
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ModelError(f"the tensor {name!r} is not finite on the calibration data", where=where)
    return dict(zip(names, zip(lows, highs, strict=True), strict=True))


def float_values(model: Any) -> list[str]:
    """Names of the inputs of a model and of what its nodes compute, as far as they are float32."""
    from onnx import TensorProto

    constants = {tensor.name for tensor in model.graph.initializer}
    known = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    kinds = {value.name: value.type.tensor_type.elem_type for value in known}
    names = [value.name for value in model.graph.input if value.name not in constants]
    names += [name for node in model.graph.node for name in node.output if name]
    return [name for name in names if kinds.get(name, TensorProto.FLOAT) == TensorProto.FLOAT]


def free_batch(model: Any) -> int | None:
    """Make the batch of a model's inputs symbolic where that is safe.

    A reshape may hold the batch as a constant, so a model with one that does not copy it (by a size of 0) keeps its
    batch.

    Args:
        model: An `onnx.ModelProto`; it is changed.

    Returns:
        The batch that is kept, or None if any batch is taken now.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    axes = [value.type.tensor_type.shape.dim[0] for value in inputs]
    fixed = [axis for axis in axes if axis.HasField("dim_value")]
    if not fixed:
        return None
    copying = {tensor.name for tensor in model.graph.initializer if _copies_batch(tensor)}
    if any(node.op_type == "Reshape" and node.input[1] not in copying for node in model.graph.node):
        return int(fixed[0].dim_value)
    for axis in fixed:
        axis.dim_param = "N"
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return None


def _copies_batch(shape: Any) -> bool:
    """Whether a constant, as the shape of a reshape, takes the first size from the data."""
    from onnx import TensorProto

    return (
        shape.data_type == TensorProto.INT64
        and len(shape.dims) == 1
        and shape.dims[0] > 0
        and int(array_of(shape)[0]) == 0
    )


def _chunks(samples: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    """Batches of exactly `size` samples where there are that many; the last ones repeat earlier samples."""
    samples = np.ascontiguousarray(samples, np.float32)
    if len(samples) < size:
        samples = np.resize(samples, (size, *samples.shape[1:]))
    for start in range(0, len(samples), size):
        yield samples[min(start, len(samples) - size) :][:size]
