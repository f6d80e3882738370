"""The log-mel front end: from a waveform to the spectrogram that a network sees, in NumPy and as an ONNX model.

One frame of N samples, windowed with a periodic Hann window w, has the power spectrum |DFT(w x)|² / sum(w²). Bands are
triangles on the mel scale of O'Shaughnessy, m = 2595 log10(1 + f / 700), of height 1, with their corners evenly spaced
between the lowest and the highest frequency. What a network sees is the natural logarithm of a band's power, of at
least `FLOOR`. Frames follow each other without padding, so a device can compute each as soon as its samples are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError

if TYPE_CHECKING:
    from onnx import ModelProto

Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]

#: Least power of a band, so that silence has a logarithm; that of a sine of full scale is about 0.25 N.
FLOOR: Final = 1e-6
_FORMULA: Final = (
    "ln(max(M |DFT(w x)|^2 / sum(w^2), floor)), w = Hann (periodic), M = triangles on 2595 log10(1 + f / 700)"
)


@dataclass(frozen=True)
class LogMel:
    """Constants of a front end.

    Attributes:
        rate_hz: Samples a second; a waveform has values from -1 to 1.
        samples: Of a clip.
        frame: Samples of a frame.
        hop: Samples from one frame to the next.
        mels: Bands.
        low_hz: Lower corner of the lowest band.
        high_hz: Upper corner of the highest.
        layout: ``image``: (1, frames, mels); ``series``: (mels, frames).
    """

    rate_hz: int
    samples: int
    frame: int
    hop: int
    mels: int
    low_hz: float
    high_hz: float
    layout: Literal["image", "series"]

    def __post_init__(self) -> None:
        if not 0 <= self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise DataError(
                f"bands from {self.low_hz:g} to {self.high_hz:g} Hz do not lie between 0 and {self.rate_hz / 2:g} Hz, "
                "half of the rate; change low, high or rate",
                where="data",
            )
        empty = np.flatnonzero(mel_matrix(self).sum(axis=1) == 0)
        if len(empty):
            raise DataError(
                f"{len(empty)} of {self.mels} mel bands lie between two frequencies of a frame of {self.frame} samples "
                f"({self.rate_hz / self.fft:.3g} Hz apart) and would always be silent; take fewer mels, a longer frame "
                "or a higher low",
                where="data",
            )

    @property
    def fft(self) -> int:
        """Points of the transform: the power of two that a frame, padded with zeros, fits in."""
        return 1 << (self.frame - 1).bit_length()

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return 1 + (self.samples - self.frame) // self.hop

    @property
    def window(self) -> _Doubles:
        """(frame,) the window, divided so that its squares sum to 1."""
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.frame) / self.frame)
        scaled: _Doubles = window / np.sqrt((window**2).sum())
        return scaled

    def __call__(self, clips: NDArray[Any]) -> Floats:
        """Spectrograms of clips.

        Args:
            clips: (N, samples), -1 to 1.

        Returns:
            (N, 1, frames, mels) or (N, mels, frames), as `layout` says.
        """
        at = self.hop * np.arange(self.frames)[:, None] + np.arange(self.frame)
        matrix, window = mel_matrix(self), self.window
        found = np.empty((len(clips), self.frames, self.mels), np.float32)
        for row, clip in zip(found, clips, strict=True):
            power = np.abs(np.fft.rfft(clip[at] * window, self.fft)) ** 2
            row[:] = np.log(np.maximum(power @ matrix.T, FLOOR))
        return found[:, None] if self.layout == "image" else np.ascontiguousarray(found.transpose(0, 2, 1))

    def to_dict(self) -> dict[str, Any]:
        """All that is needed to build it elsewhere; ready for YAML."""
        return {**asdict(self), "fft": self.fft, "frames": self.frames, "floor": FLOOR, "formula": _FORMULA}


def mel_matrix(front: LogMel) -> _Doubles:
    """(mels, fft / 2 + 1) weight of each frequency of the transform in each band."""

    def mel(hertz: _Doubles | float) -> _Doubles:
        return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0))

    corners = 700.0 * (
        10.0 ** (np.linspace(float(mel(front.low_hz)), float(mel(front.high_hz)), front.mels + 2) / 2595.0)
        - 1.0
    )
    hertz = np.arange(front.fft // 2 + 1) * front.rate_hz / front.fft
    rising = (hertz - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - hertz) / np.diff(corners)[1:, None]
    weights: _Doubles = np.maximum(0.0, np.minimum(rising, falling))
    return weights


def front_end_model(front: LogMel, mean: Sequence[float], std: Sequence[float]) -> ModelProto:
    """The front end and the normalisation as an ONNX model: from ``waveform`` to what the network's input takes.

    The transform is a convolution with windowed cosines and sines, so that any runtime has its operators.

    Args:
        front: The constants.
        mean: Of each channel of the network's input, before normalisation.
        std: Its standard deviation.

    Returns:
        A model from (batch, samples) to (batch, 1, frames, mels) or (batch, mels, frames), float32.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    angles = 2 * np.pi * np.outer(np.arange(front.fft // 2 + 1), np.arange(front.frame)) / front.fft
    waves = np.concatenate([np.cos(angles), np.sin(angles)]) * front.window
    image = front.layout == "image"
    shape = [1, -1, 1, 1] if image else [1, -1, 1]
    constants = {
        "waves": waves[:, None],
        "bands": np.tile(mel_matrix(front), 2),
        "floor": np.array(FLOOR),
        "mean": np.reshape(mean, shape),
        "std": np.reshape(std, shape),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "channel"], ["signal"]),
        helper.make_node("Conv", ["signal", "waves"], ["spectrum"], strides=[front.hop]),
        helper.make_node("Mul", ["spectrum", "spectrum"], ["squares"]),
        helper.make_node("MatMul", ["bands", "squares"], ["power"]),
        helper.make_node("Max", ["power", "floor"], ["audible"]),
        helper.make_node("Log", ["audible"], ["spectrogram"]),
    ]
    if image:
        nodes += [
            helper.make_node("Transpose", ["spectrogram"], ["frames"], perm=[0, 2, 1]),
            helper.make_node("Unsqueeze", ["frames", "channel"], ["picture"]),
        ]
    nodes += [
        helper.make_node("Sub", ["picture" if image else "spectrogram", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["input"]),
    ]
    output: list[str | int | None] = (
        ["batch", 1, front.frames, front.mels] if image else ["batch", front.mels, front.frames]
    )
    graph = helper.make_graph(
        nodes,
        "log_mel",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", front.samples])],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, output)],
        [
            *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()),
            numpy_helper.from_array(np.array([1], np.int64), "channel"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="hannah_hw")
    model.ir_version = 8
    model.doc_string = f"log-mel front end for waveforms of {front.rate_hz} Hz, values from -1 to 1"
    checker.check_model(model)
    return model
