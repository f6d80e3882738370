"""ONNX files of anybody: loaded, checked, and with the shapes of their values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import ModelError
from hannah_hw.lowering.constants import fold_constants
from hannah_hw.lowering.external import external_bytes, is_external
from hannah_hw.lowering.functions import check_functions, inlined
from hannah_hw.lowering.learned_shapes import add_learned_shapes

#: Largest file that is read.
MAX_BYTES: Final = 1 << 30


def load(source: Path | bytes) -> Any:
    """The model of a file with the weights that are in files beside it, or of a file's content.

    Raises:
        ModelError: It or a file with its weights cannot be read, or is too large.
    """
    import onnx
    from google.protobuf.message import DecodeError

    where = name_of(source)
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        check_size(size, where)
        if isinstance(source, bytes):
            return onnx.load_from_string(source)
        model = onnx.load(source, load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read the file: {error.strerror or error}", where=where) from error
    except DecodeError as error:
        raise ModelError("not an ONNX file, or a truncated one; export it again", where=where) from error
    beside = external_bytes(model, source)
    if size + beside > MAX_BYTES:
        raise ModelError(f"its weights have {beside} bytes; at most {MAX_BYTES} are read", where=where)
    if beside:
        with refusing(where):  # a place outside of the model's folder, among others
            onnx.load_external_data_for_model(model, str(source.parent))
    return model


def check_size(size: int, where: str) -> None:
    """Refuse a model that is too large to be read.

    Args:
        size: Bytes of its file.
        where: File name, for messages.

    Raises:
        ModelError: There are more than `MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise ModelError(f"the file has {size} bytes; at most {MAX_BYTES} are read", where=where)


def name_of(source: Any) -> str:
    """What a model is called in messages: by its path, if it has one."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "the model"


def checked(model: Any, where: str) -> Any:
    """A valid and whole model, without functions but the package's own.

    Args:
        model: An `onnx.ModelProto`; it is not changed.
        where: File name, for messages.

    Raises:
        ModelError: It is not valid, or not whole.
    """
    import onnx

    if not model.graph.output:
        raise ModelError("not an ONNX file, or a truncated one: it has no graph", where=where)
    if any(is_external(tensor) for tensor in model.graph.initializer):
        raise ModelError("its weights are in another file; save it as one file", where=where)
    check_functions(model, where)
    with refusing(where):
        onnx.checker.check_model(model)
        return inlined(model)


def with_shapes(model: Any, shapes: Mapping[str, tuple[int, ...]], where: str) -> Any:
    """A copy of a model with the shapes of its values, as far as they can be known.

    What follows from constants is computed.

    Args:
        model: An `onnx.ModelProto` that is `checked`.
        shapes: Input name -> shape, where the file leaves it open.
        where: File name, for messages.

    Raises:
        ModelError: Shapes that do not fit, or an input whose shape is not known.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {tensor.name for tensor in fixed.graph.initializer}
    _fix_inputs([value for value in fixed.graph.input if value.name not in constants], shapes, where)
    with refusing(where):
        inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
        # Shapes that follow from constants make more shapes constant.
        while fold_constants(inferred, where=where) or add_learned_shapes(inferred):
            inferred = onnx.shape_inference.infer_shapes(inferred, data_prop=True)
    return inferred


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Inside, what the package onnx raises about a model is a `ModelError`."""
    import onnx

    try:
        yield
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        RuntimeError,  # what its parts in C++ raise, also where a name is no text
        TypeError,
        ValueError,
    ) as error:
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
        dims = value.type.tensor_type.shape.dim
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
