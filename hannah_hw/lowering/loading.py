"""ONNX files of anybody: loaded, checked, and with the shapes of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import ModelError
from hannah_hw.lowering.constants import fold_constants
from hannah_hw.lowering.functions import inlined

#: Largest file that is read.
MAX_BYTES: Final = 1 << 30


def load(path: Path) -> Any:
    """The model of a file.

    Raises:
        ModelError: It cannot be read, or is too large.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(f"the file has {size} bytes; at most {MAX_BYTES} are read", where=str(path))
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except DecodeError as error:
        raise ModelError("not an ONNX file, or a truncated one; export it again", where=str(path)) from error


def with_shapes(model: Any, shapes: Mapping[str, tuple[int, ...]], where: str) -> Any:
    """A checked copy of a model with the shapes of its values, as far as they can be known.

    Functions of the file are replaced by what they consist of, and what follows from constants is computed.

    Args:
        model: An `onnx.ModelProto`.
        shapes: Input name -> shape, where the file leaves it open.
        where: File name, for messages.

    Raises:
        ModelError: No valid or no whole model, or an input whose shape is not known.
    """
    import onnx

    if not model.graph.output:
        raise ModelError("not an ONNX file, or a truncated one: it has no graph", where=where)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError("its weights are in another file; save it as one file", where=where)
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {tensor.name for tensor in fixed.graph.initializer}
    _fix_inputs([value for value in fixed.graph.input if value.name not in constants], shapes, where)
    try:
        fixed = inlined(fixed, where)
        onnx.checker.check_model(fixed)
        inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
        # Shapes that follow from constants make more shapes constant.
        while fold_constants(inferred, where=where):
            inferred = onnx.shape_inference.infer_shapes(inferred, data_prop=True)
        return inferred
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"not a valid ONNX model: {str(error).splitlines()[0]}", where=where) from error


def _fix_inputs(inputs: Sequence[Any], shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Give the inputs of a model their shapes.

    Raises:
        ModelError: A shape of no input, one that does not fit, or an input that is left open.
    """
    names = [value.name for value in inputs]
    unknown = next((name for name in shapes if name not in names), None)
    if unknown is not None:
        raise ModelError(f"there is no input {unknown!r}", where=where, allowed=names, given=unknown)
    for value in inputs:
        kind = value.type.tensor_type
        dims = kind.shape.dim
        if not kind.HasField("shape"):
            raise ModelError(f"the input {value.name!r} does not say how many dimensions it has", where=where)
        if value.name in shapes:
            if len(dims) != len(shapes[value.name]):
                raise ModelError(
                    f"the input {value.name!r} has {len(dims)} dimensions, not {len(shapes[value.name])}",
                    where=where,
                )
            for dim, size in zip(dims, shapes[value.name], strict=True):
                if dim.dim_value > 0 and dim.dim_value != size:
                    raise ModelError(
                        f"the shape {shapes[value.name]} does not fit the input {value.name!r}, "
                        f"which is ({', '.join(str(d.dim_value or d.dim_param or '?') for d in dims)})",
                        where=where,
                    )
                dim.dim_value = size
        left = [d.dim_param or "?" for d in dims if d.WhichOneof("value") != "dim_value" or d.dim_value < 1]
        if left:
            raise ModelError(
                f"the input {value.name!r} has a dynamic shape ({', '.join(left)} is open); "
                f"give it one: --shape {value.name}=1,...",
                where=where,
            )
