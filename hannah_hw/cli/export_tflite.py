"""``hannah-hw export --to tflite``: int8 models as .tflite files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.errors import UnsupportedError

if TYPE_CHECKING:
    from hannah_hw.lowering.open_shapes import GivenShapes


def tflite_of(model: Path, calibration: str | None, shapes: GivenShapes | None = None) -> bytes:
    """The .tflite file of a model: int8 inputs and outputs, channels last.

    Args:
        model: An ONNX file.
        calibration: For a float32 model; see `hannah_hw.measure.models.int8_model`.
        shapes: Input name -> shape, or that of the only input, where the file leaves it open.

    Raises:
        ModelError: The file cannot be read, or is float32 without a calibration.
        UnsupportedError: TFLite has no operator for a layer.
        MissingExtraError: A package of the extra ``tflite`` is not installed.
    """
    from hannah_hw.cli.export_c import int8_source
    from hannah_hw.firmware.network import read_network
    from hannah_hw.firmware.tflite import to_tflite

    network = read_network(int8_source(model, calibration, shapes), shapes=shapes)
    try:
        return to_tflite(network)
    except UnsupportedError as error:
        raise UnsupportedError(f"{model}: {error}") from error
