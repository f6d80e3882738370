"""Operator sets: bringing a model to one that has what is written into it."""

from __future__ import annotations

from typing import Any

from hannah_hw.errors import ModelError


def opset_of(model: Any) -> int:
    """Version of ONNX's own operators that a model uses.

    Args:
        model: An `onnx.ModelProto`.
    """
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=1)


def at_least(model: Any, opset: int, where: str) -> Any:
    """A model with at least some operator set; the model itself where it has one so new.

    Args:
        model: An `onnx.ModelProto`.
        opset: The least version.
        where: File name, for messages.

    Raises:
        ModelError: An operator cannot be brought to that version.
    """
    from onnx import version_converter

    found = opset_of(model)
    if found >= opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"its operator set is {found}, and what is written into it needs {opset}; it cannot be converted "
            f"({reason}): export it again with that",
            where=where,
        ) from error
