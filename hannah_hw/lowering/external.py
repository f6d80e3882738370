"""Weights of an ONNX model that are in files of their own beside it, as torch and models above 2 GiB have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hannah_hw.errors import ModelError


def is_external(tensor: Any) -> bool:
    """Whether the values of an `onnx.TensorProto` are in another file."""
    import onnx

    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def external_bytes(model: Any, path: Path) -> int:
    """Bytes of a model's weights in other files.

    Args:
        model: An `onnx.ModelProto`.
        path: Its file.

    Raises:
        ModelError: A file is missing, or ends before a weight does.
    """
    return sum(_bytes(tensor, path) for tensor in model.graph.initializer if is_external(tensor))


def _bytes(tensor: Any, path: Path) -> int:
    """Bytes of a tensor in another file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    data = path.parent / name
    if not name or not data.is_file():
        raise ModelError(
            f"the weight {tensor.name!r} is in the file {name!r}, which is not beside the model; "
            "copy it there, or save the model as one file",
            where=str(path),
        )
    held = data.stat().st_size
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or held - offset)
    except ValueError as error:
        raise ModelError(
            f"the place of the weight {tensor.name!r} in {name!r} is no number; export the model again",
            where=str(path),
        ) from error
    if offset < 0 or length < 0 or offset + length > held:
        raise ModelError(
            f"the weight {tensor.name!r} ends at byte {offset + length} of {name!r}, which has {held}; "
            "the file is cut off: copy it again",
            where=str(path),
        )
    return length
