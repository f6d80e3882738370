"""A folder of WAV files by class as log-mel spectrograms of clips of one length."""

from __future__ import annotations

import math
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError, require
from hannah_hw.sources.folders import files_by_class
from hannah_hw.sources.log_mel import LogMel
from hannah_hw.sources.reading import Reading

if TYPE_CHECKING:
    from hannah_hw.sources.section import AudioSource

#: Largest WAV file, and most samples of a recording after it was brought to the rate of all.
MAX_FILE_BYTES: Final = 64 << 20
MAX_SAMPLES: Final = 128 << 20
#: Most bytes of all spectrograms.
MAX_BYTES: Final = 4 << 30
#: Rates in hertz that recordings may have.
LEAST_RATE: Final = 100
MOST_RATE: Final = 400_000
#: Bytes in which a file says its rate.
_HEAD: Final = 65_536
#: What damaged files make the reader raise: the first where more is announced than there is memory for, the last where
#: a chunk is missing.
_DAMAGED: Final = (
    MemoryError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    struct.error,
    UnboundLocalError,
)
#: Least share of a clip that the rest of a longer recording must fill to be a clip of its own.
_REST: Final = 0.5

Floats = NDArray[np.float32]


def read_audio(source: AudioSource) -> Reading:
    """Spectrograms as float32; clips of one recording belong to one group.

    Raises:
        DataError: The folder or one of its files cannot be used, and which.
        MissingExtraError: SciPy is not installed.
    """
    require("scipy", "data")
    folder = Path(source.path).expanduser()
    filed = files_by_class(folder, {".wav"})
    rates = Counter(_rate(file) for file in filed.files)
    rate = round(source.rate) if source.rate is not None else max(rates, key=lambda r: (rates[r], r))
    front = LogMel(
        rate_hz=rate,
        samples=round(source.clip * rate),
        frame=round(source.frame * rate),
        hop=max(1, round(source.hop * rate)),
        mels=source.mels,
        low_hz=source.low,
        high_hz=source.high if source.high is not None else rate / 2,
        layout=source.layout,
    )
    cut: Counter[str] = Counter()
    arrays: dict[str, NDArray[Any]] = {}
    groups: list[int] = []
    held = 0
    for part, entries in filed.parts.items():
        samples, labels, groups_here = [], [], []
        for number, (file, label) in enumerate(entries):
            clips = np.stack(list(_clips(_waveform(file, rate), front.samples, cut)))
            samples.append(front(clips))
            held += samples[-1].nbytes
            if held > MAX_BYTES:
                raise DataError(
                    f"spectrograms are more than the limit of {MAX_BYTES} bytes", where=str(folder)
                )
            labels += [label] * len(clips)
            groups_here += [number] * len(clips)
        arrays[f"x_{part}"] = np.concatenate(samples)
        arrays[f"y_{part}"] = np.array(labels, np.int64)
        groups = groups_here if part == "train" else groups
    facts = {
        "format": "audio",
        "recordings": len(filed.files),
        "clip": f"{source.clip:g} s: {cut['whole']} recordings of this length, {cut['padded']} padded with silence, "
        f"{cut['cut']} longer ones cut into several",
        "rate": _rate_fact(rate, rates),
        "front_end": front.to_dict(),
    }
    if filed.ignored:
        facts["ignored_files"] = filed.ignored
    return Reading(
        arrays, filed.class_names, facts, np.array(groups, np.int64), front, series=source.layout == "series"
    )


def _rate_fact(rate: int, rates: Counter[int]) -> str:
    others = sum(number for own, number in rates.items() if own != rate)
    return f"{rate} Hz" + (f"; {others} recordings with another rate were resampled" if others else "")


def _clips(waveform: Floats, length: int, cut: Counter[str]) -> Iterator[Floats]:
    """A recording in pieces of one length; how it was cut is counted."""
    rest = len(waveform) % length
    whole = len(waveform) // length
    cut["whole" if whole == 1 and not rest else "padded" if not whole else "cut"] += 1
    for start in range(0, whole * length, length):
        yield waveform[start : start + length]
    if not whole or rest >= _REST * length:
        before = (length - rest) // 2
        yield np.pad(waveform[whole * length :], (before, length - rest - before))


def _rate(file: Path) -> int:
    """Samples a second of a WAV file, from its header.

    Raises:
        DataError: It is damaged, too large, or no WAV file.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(file)) from error
    at = 12
    while head[:4] == b"RIFF" and at + 16 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt ":
            return _possible(int.from_bytes(head[at + 12 : at + 16], "little"), file)
        at += 8 + size + size % 2
    return _load(file)[0]


def _load(file: Path) -> tuple[int, NDArray[Any]]:
    """Rate and samples of a WAV file.

    Raises:
        DataError: It is damaged, too large, or no WAV file.
    """
    from scipy.io import wavfile

    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"the file is larger than {MAX_FILE_BYTES} bytes", where=str(file))
        with warnings.catch_warnings():
            # What stands beside the sound, such as a title, is of no interest; that it ends too early is.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            rate, samples = wavfile.read(file)
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(file)) from error
    except (*_DAMAGED, wavfile.WavFileWarning) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise DataError(
            f"no WAV file, or a damaged one{why}; replace or remove it", where=str(file)
        ) from error
    if not samples.size:
        raise DataError("the recording is empty; remove it", where=str(file))
    return _possible(int(rate), file), samples


def _possible(rate: int, file: Path) -> int:
    """A rate that recordings may have.

    Raises:
        DataError: It is none.
    """
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise DataError(
            f"a rate of {rate} Hz is none of sound; allowed are {LEAST_RATE} to {MOST_RATE} Hz",
            where=str(file),
        )
    return rate


def _waveform(file: Path, rate: int) -> Floats:
    """A recording with one channel, the mean of its own, values from -1 to 1, at a given rate."""
    from scipy.signal import resample_poly

    own, samples = _load(file)
    if len(samples) * rate > MAX_SAMPLES * own:
        raise DataError(
            f"{len(samples)} samples at {own} Hz are more than {MAX_SAMPLES} at {rate} Hz; cut the recording, or "
            "give a lower rate",
            where=str(file),
        )
    with np.errstate(invalid="ignore"):
        values = samples.astype(np.float64)
    if samples.dtype == np.uint8:
        values = (values - 128.0) / 128.0
    elif samples.dtype.kind == "i":
        values /= float(np.iinfo(samples.dtype).max) + 1.0
    if values.ndim > 1:
        values = values.mean(axis=1)
    if own != rate:
        common = math.gcd(own, rate)
        values = resample_poly(values, rate // common, own // common)
    with np.errstate(over="ignore", invalid="ignore"):
        waveform = values.astype(np.float32)
    if not np.isfinite(waveform).all():
        raise DataError(
            "the recording holds NaN, infinity or a value beyond float32; replace or remove it",
            where=str(file),
        )
    return waveform
