"""Small sources on the disk, whose content is known."""

from __future__ import annotations

import struct

import numpy as np


def write_images(folder, counts, size=(12, 10), suffix=".png", seed=0):
    """``folder/CLASS/NUMBER.png``: noise, brighter from class to class; the pixels by class, in order."""
    image = __import__("PIL.Image").Image
    rng = np.random.default_rng(seed)
    made = {}
    for level, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        made[name] = rng.integers(40 * level, 40 * level + 100, (count, *size), np.uint8)
        for number, pixels in enumerate(made[name]):
            image.fromarray(pixels).save(folder / name / f"{number:03}{suffix}")
    return made


def wav(samples, rate, bits=16, form=1):
    """The bytes of a WAV file, written by hand; samples of -1 to 1, (N,) or (N, channels)."""
    samples = np.asarray(samples, float)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if form == 3:
        data = samples.astype("<f4").tobytes()
    elif bits == 8:
        data = (np.rint(samples * 127) + 128).astype(np.uint8).tobytes()
    elif bits == 24:
        data = b"".join(
            int(v).to_bytes(4, "little", signed=True)[:3] for v in np.rint(samples.ravel() * 8388607)
        )
    else:
        data = np.rint(samples * 32767).astype("<i2").tobytes()
    block = channels * bits // 8
    form_chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, form, channels, rate, rate * block, block, bits)
    data_chunk = struct.pack("<4sI", b"data", len(data)) + data
    return (
        struct.pack("<4sI4s", b"RIFF", 4 + len(form_chunk) + len(data_chunk), b"WAVE")
        + form_chunk
        + data_chunk
    )


def tone(hertz, rate, seconds, seed=0):
    """A sine of half the full scale, with a little noise."""
    time = np.arange(round(rate * seconds)) / rate
    return 0.5 * np.sin(2 * np.pi * hertz * time) + 0.001 * np.random.default_rng(seed).normal(size=len(time))


def write_tones(folder, counts, rate=8000, seconds=0.5):
    """``folder/CLASS/NUMBER.wav``: a tone of 400 Hz for the first class, twice as high for every other."""
    for octave, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            content = wav(tone(400 * 2**octave, rate, seconds, seed=number), rate)
            (folder / name / f"{number:03}.wav").write_bytes(content)


def write_walk(path, subjects=6, rows=120, separator=","):
    """A CSV with two channels and a subject; ``x`` counts all rows, so that a window says where it comes from."""
    lines = [separator.join(("time", "subject", "x", "y", "activity"))]
    at = 0
    for subject in range(subjects):
        for activity in ("rest", "walk"):
            for _ in range(rows):
                values = (at / 50, f"s{subject}", at, -1 if activity == "rest" else 1, activity)
                lines.append(separator.join(map(str, values)))
                at += 1
    path.write_text("\n".join(lines) + "\n")
