"""Int8 models for firmware, from whatever a network is given as."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError, ModelError

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.lowering.open_shapes import GivenShapes
    from hannah_hw.spaces import Candidate

#: Samples of noise that stand in for data where only cost is asked for.
NOISE_SAMPLES: Final = 8
#: What a user writes for them.
NOISE: Final = "random"

_QUANTISED: Final = ("DequantizeLinear", "QuantizeLinear")
#: Largest file of calibration samples that is read.
_MAX_BYTES: Final = 1 << 31


class UnusedCalibration(UserWarning):
    """A calibration was given for a model that is int8 already."""


@dataclass(frozen=True)
class Int8Model:
    """An int8 model in the QDQ form.

    Attributes:
        source: Its file, or the model itself where it never was one.
        name: What reports call it.
        weights: Where its weights come from: ``the model's`` or ``random``.
        ranges: Where the ranges of its values come from: ``the model's``, ``calibration data`` or ``noise``.
    """

    source: Path | ModelProto
    name: str
    weights: str
    ranges: str

    @property
    def where(self) -> str:
        """What messages call it."""
        return str(self.source) if isinstance(self.source, Path) else self.name


def int8_model(
    model: str | Path | Candidate,
    calibration: str | Path | NDArray[np.float32] | None = None,
    *,
    shapes: GivenShapes | None = None,
    seed: int = 0,
) -> Int8Model:
    """The int8 model of an ONNX file or of a candidate.

    A candidate gets random weights, and ranges from noise: what firmware costs hardly depends on either. So does a
    float32 file if `calibration` says so; its outputs then mean nothing, but time and memory are right.

    Args:
        model: Path of an ONNX file, or a candidate.
        calibration: For a float32 model: (N, ...) samples, a ``.npy`` file of them, or ``random``.
        shapes: Shape of the input of a float32 file that leaves it open; see `hannah_hw.lowering.open_shapes`.
        seed: Of random weights and noise.

    Raises:
        ModelError: The file cannot be read, or is float32 and there is no calibration.
        UnsupportedError: A float32 file has operators that nothing reads.
        DataError: The calibration cannot be read or does not fit.

    Warns:
        UnusedCalibration: There is a calibration, and the file is int8 already.
    """
    from hannah_hw.firmware.network.reading import refuse_foreign
    from hannah_hw.lowering.loading import checked, load
    from hannah_hw.lowering.reader import read_onnx
    from hannah_hw.spaces import Candidate

    if isinstance(model, Candidate):
        from hannah_hw.lowering import to_onnx

        quantised = _quantised(_bell_shaped(to_onnx(model, seed=seed), seed), NOISE, seed, model.id)
        return Int8Model(quantised, model.id, "random", "noise")
    path = Path(model)
    loaded = checked(load(path), str(path))
    if any(node.op_type in _QUANTISED for node in loaded.graph.node):
        if calibration is not None:
            warn_of_unused_calibration(path)
        return Int8Model(path, path.stem, "the model's", "the model's")
    if calibration is None:
        raise ModelError(
            "a float32 model, where int8 is needed; quantise it with --calibration samples.npy, an array (N, ...) of "
            f"float32 inputs, or with --calibration {NOISE}: then time and memory are right, and outputs mean nothing. "
            "The models that a search writes are int8",
            where=str(path),
        )
    read = read_onnx(path, shapes=shapes)
    input_shape(read.model, str(path))
    refuse_foreign(read, str(path))  # before it is quantised, which takes a while
    quantised = _quantised(read.model, calibration, seed, str(path))
    ranges = "noise" if isinstance(calibration, str) and calibration == NOISE else "calibration data"
    return Int8Model(quantised, path.stem, "the model's", ranges)


def warn_of_unused_calibration(model: Path) -> None:
    """Say that a model is int8 already."""
    warnings.warn(f"{model} is int8 already, so --calibration is not used", UnusedCalibration, stacklevel=3)


def _bell_shaped(model: ModelProto, seed: int) -> ModelProto:
    """The model with normally distributed weights of the same size; it is changed.

    Trained weights are bell-shaped. Uniform ones, as training starts from, are larger on average for the same largest
    weight, and wide layers of them leave the range in which two channels share a multiplication.
    """
    from onnx import TensorProto, numpy_helper

    rng = np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            values = numpy_helper.to_array(tensor)
            drawn = rng.standard_normal(values.shape, np.float32) * values.std()
            tensor.CopyFrom(numpy_helper.from_array(drawn.astype(np.float32), tensor.name))
    return model


def _quantised(
    model: Any, calibration: str | Path | NDArray[np.float32], seed: int, where: str
) -> ModelProto:
    import onnx

    from hannah_hw.lowering.quantise import quantise_int8

    shape = input_shape(model, where)
    if isinstance(calibration, str) and calibration == NOISE:
        samples = noise(shape, NOISE_SAMPLES, seed)
    else:
        samples = read_samples(calibration) if isinstance(calibration, str | Path) else calibration
        if samples.shape[1:] != shape:
            raise DataError(
                f"the calibration samples have the shape {samples.shape[1:]}, and the model takes {shape}",
                where="--calibration",
            )
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        target = Path(folder, "int8.onnx")
        quantise_int8(model.SerializeToString(), target, samples)
        return onnx.load(target)


def input_shape(model: Any, where: str) -> tuple[int, ...]:
    """Shape of a sample of a model with one input of a known shape, without the batch.

    Raises:
        ModelError: It has several inputs, or one that is no float32 data of a batch.
    """
    from onnx import TensorProto, helper

    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ModelError(
            f"the model has {len(inputs)} inputs, {names}; what is quantised has one; make the others constants",
            where=where,
        )
    kind, sizes = inputs[0].type.tensor_type.elem_type, inputs[0].type.tensor_type.shape.dim
    if kind != TensorProto.FLOAT or len(sizes) < 2:
        found = (
            helper.tensor_dtype_to_string(kind).removeprefix("TensorProto.").lower() if kind else "no tensor"
        )
        raise ModelError(
            f"the input {inputs[0].name!r} is {found} with {len(sizes)} dimensions; what is quantised takes float32 "
            "data (N, ...): end the model's preprocessing before it",
            where=where,
        )
    return tuple(axis.dim_value for axis in sizes)[1:]


def noise(shape: Sequence[int], count: int, seed: int) -> NDArray[np.float32]:
    """(count, ...) samples of a shape from a standard normal distribution."""
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def read_samples(path: str | Path) -> NDArray[np.float32]:
    """(N, ...) float32 samples of a ``.npy`` file.

    Raises:
        DataError: It cannot be read, or does not hold numbers.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"the file is larger than {_MAX_BYTES} bytes", where=str(path))
        samples = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"cannot read the calibration samples: {error}; give a .npy file", where=str(path)
        ) from error
    if (
        not isinstance(samples, np.ndarray)
        or samples.dtype.kind not in "fiu"
        or samples.ndim < 2
        or not len(samples)
    ):
        raise DataError("not an array (N, ...) of numbers", where=str(path))
    return samples.astype(np.float32)
