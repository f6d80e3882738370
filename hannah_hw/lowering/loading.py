"""ONNX files of anybody: loaded, checked, and with the shapes of their values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import ModelError
from hannah_hw.lowering.constants import fold_constants
from hannah_hw.lowering.external import external_bytes, is_external
from hannah_hw.lowering.functions import check_functions, inlined
from hannah_hw.lowering.learned_shapes import add_learned_shapes
from hannah_hw.lowering.open_shapes import GivenShapes, closed_shapes
from hannah_hw.lowering.run_shapes import add_run_shapes

#: Producer of the files of this package.
PRODUCER: Final = "hannah_hw"
#: Newest format version that copies of models have: onnx may write newer ones than an ONNX Runtime beside it reads,
#: and what they add are element types that no operator here has.
IR_VERSION: Final = 10
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
        if not isinstance(source, bytes) and source.is_dir():
            raise ModelError(
                "is a folder; give an .onnx file, for example of a run: `hannah-hw export RUN --to onnx` writes them",
                where=where,
            )
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
        onnx.checker.check_model(_with_output_shapes(model))
        return inlined(model)


def _with_output_shapes(model: Any) -> Any:
    """A model for ONNX's checker, which wants shapes of outputs that runtimes do without."""
    tensors = [value for value in model.graph.output if value.type.WhichOneof("value") == "tensor_type"]
    if all(value.type.tensor_type.HasField("shape") for value in tensors):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for value in copy.graph.output:
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.shape.SetInParent()
    return copy


def with_shapes(model: Any, shapes: GivenShapes | None, where: str) -> Any:
    """A copy of a model with the shapes of its values, as far as they can be known.

    What follows from constants is computed; what no rule infers is that of a run, where the model can be run.

    Args:
        model: An `onnx.ModelProto` that is `checked`.
        shapes: Input name -> shape, or that of the only input; see `hannah_hw.lowering.open_shapes`.
        where: File name, for messages.

    Raises:
        ModelError: Shapes that do not fit, or an input whose shape is not known.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.ir_version = min(fixed.ir_version, IR_VERSION)
    _fix_inputs(fixed.graph, shapes, where)
    with refusing(where):
        inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
        # Shapes that follow from constants make more shapes constant.
        while (
            fold_constants(inferred, where=where) or add_learned_shapes(inferred) or add_run_shapes(inferred)
        ):
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


def _fix_inputs(graph: Any, shapes: GivenShapes | None, where: str) -> None:
    """Give the inputs of a graph their shapes, and drop what the file says of shapes that were open.

    Raises:
        ModelError: A shape of no input, one that does not fit, or a size that is left open.
    """
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in constants}
    closed = closed_shapes({name: _declared(value) for name, value in inputs.items()}, shapes, where=where)
    for name, shape in closed.items():
        if inputs[name].type.WhichOneof("value") != "tensor_type":
            continue
        dims = inputs[name].type.tensor_type.shape.dim
        for dim, size in zip(dims, shape, strict=True):
            dim.dim_value = size
    known = [value for value in graph.value_info if all(isinstance(size, int) for size in _declared(value))]
    del graph.value_info[:]
    graph.value_info.extend(known)
    for value in graph.output:
        if None in _declared(value) or any(isinstance(size, str) for size in _declared(value)):
            value.type.tensor_type.ClearField("shape")


def _declared(value: Any) -> list[int | str | None]:
    """Sizes of a value as a file declares them: a positive number, or a name or None where it is open."""
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in dims]
