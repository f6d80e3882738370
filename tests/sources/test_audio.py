from __future__ import annotations

import struct

import numpy as np
import onnxruntime
import pytest

from hannah_hw.errors import DataError
from hannah_hw.scoring import load_data
from hannah_hw.scoring.describing import describe_data
from hannah_hw.sources.log_mel import FLOOR, LogMel, front_end_model, mel_matrix
from tests.sources.made import tone, wav, write_tones

scipy_signal = pytest.importorskip("scipy.signal")

FRONT = LogMel(8000, 8000, 240, 160, 20, 100.0, 4000.0, "image")


def test_the_spectrum_is_that_of_scipy():
    clip = np.random.default_rng(0).normal(size=8000) * 0.1
    window = scipy_signal.get_window("hann", 240)
    _, _, truth = scipy_signal.stft(
        clip, nperseg=240, noverlap=80, nfft=256, window=window, boundary=None, padded=False, scaling="psd"
    )
    power = np.abs(truth) ** 2
    assert power.shape == (129, FRONT.frames)
    expected = np.log(np.maximum(mel_matrix(FRONT) @ power, FLOOR)).T
    np.testing.assert_allclose(FRONT(clip[None])[0, 0], expected, atol=2e-4)


def test_bands_are_evenly_spaced_on_the_mel_scale():
    # Two bands from 0 to 700 Hz: 0, m/3, 2m/3 and m for m = 2595 log10(2), so corners at 700 (2^(k/3) - 1).
    front = LogMel(1400, 1400, 128, 64, 2, 0.0, 700.0, "series")
    matrix = mel_matrix(front)
    corners = 700 * (2 ** (np.arange(4) / 3) - 1)
    hertz = np.arange(65) * 1400 / 128
    for band in range(2):
        expected = np.interp(hertz, corners[band : band + 3], [0, 1, 0])
        np.testing.assert_allclose(matrix[band], expected, atol=1e-12)


@pytest.mark.parametrize("layout", ["image", "series"])
def test_the_exported_front_end_computes_the_same(layout, tmp_path):
    front = LogMel(16000, 16000, 480, 320, 40, 20.0, 8000.0, layout)
    rng = np.random.default_rng(0)
    clips = np.stack([rng.normal(size=16000) * 0.2, tone(440, 16000, 1), np.zeros(16000)]).astype(np.float32)
    mean, std = ([-3.0], [2.5]) if layout == "image" else (rng.normal(size=40), rng.uniform(1, 2, 40))
    path = tmp_path / "front_end.onnx"
    path.write_bytes(front_end_model(front, mean, std).SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {"waveform": clips})[0]
    shape = (1, -1, 1, 1) if layout == "image" else (1, -1, 1)
    expected = (front(clips) - np.reshape(mean, shape)) / np.reshape(std, shape)
    assert found.shape == expected.shape == ((3, 1, 49, 40) if layout == "image" else (3, 40, 49))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert path.stat().st_size < 2_500_000


def test_a_folder_of_recordings(tmp_path):
    write_tones(tmp_path / "tones", {"high": 8, "low": 9})
    source = {"path": str(tmp_path / "tones"), "kind": "audio", "clip": "500 ms", "mels": 16, "low": 200}
    data = load_data(source)
    assert data.class_names == ("high", "low")
    assert data.input_shape == (1, 24, 16)
    assert data.reading["rate"] == "8000 Hz"
    assert data.reading["clip"].startswith("0.5 s: 17 recordings of this length, 0 padded")
    bands = np.concatenate([data.x_train, data.x_val])[:, 0].mean(axis=1).argmax(axis=1)
    labels = np.concatenate([data.y_train, data.y_val])
    # 400 Hz is louder in one band, 800 Hz in another, the higher one.
    assert len(set(bands[labels == 0])) == len(set(bands[labels == 1])) == 1
    assert bands[labels == 0][0] < bands[labels == 1][0]
    series = load_data({**source, "layout": "series"})
    assert series.input_shape == (16, 24)
    found = [describe_data({**source, "layout": layout}) for layout in ("image", "series")]
    assert {one["content"] for one in found} == {"recordings as spectrograms"}
    assert [one["axes"] for one in found] == [["channels", "frames", "mel bands"], ["mel bands", "frames"]]


@pytest.mark.parametrize(("bits", "form"), [(8, 1), (16, 1), (24, 1), (32, 3)])
def test_formats_rates_and_channels_give_the_same_sound(tmp_path, bits, form):
    from hannah_hw.sources.audio import _waveform

    sound = tone(300, 16000, 0.25)
    (tmp_path / "a.wav").write_bytes(wav(np.stack([sound, sound], 1), 16000, bits, form))
    found = _waveform(tmp_path / "a.wav", 8000)
    assert found.shape == (2000,)
    np.testing.assert_allclose(found[200:-200], tone(300, 8000, 0.25)[200:-200], atol=0.02)


def test_long_recordings_stay_in_one_part(tmp_path):
    write_tones(tmp_path / "long", {"a": 7, "b": 7}, seconds=2.3)
    source = {"path": str(tmp_path / "long"), "kind": "audio", "clip": 0.5, "mels": 10, "low": 300}
    data = load_data(source)
    # 4 clips of half a second, and what is left is 0.3 s, more than half of one.
    assert sum(map(sum, data.counts().values())) == 14 * 5
    assert not set(data.groups_train) & set(data.groups_val)
    assert all(number % 5 == 0 for part in data.counts().values() for number in part)
    assert all(all(part) for part in data.counts().values())
    short = load_data({**source, "clip": 4})
    assert "14 padded with silence" in short.reading["clip"]


def test_broken_recordings_are_named(tmp_path):
    write_tones(tmp_path / "s", {"a": 4, "b": 4})
    victim = tmp_path / "s" / "a" / "002.wav"
    whole = victim.read_bytes()
    broken = {
        b"RIFF": "no WAV file, or a damaged one",
        b"": "no WAV file",
        whole[: len(whole) // 2]: "no WAV file, or a damaged one",
        wav([], 8000): "empty",
        wav(np.full(100, np.nan), 8000, 32, 3): "NaN",
        whole[:36] + b"junk" + whole[40:]: "no WAV file, or a damaged one;",
        wav([0.1] * 50, 3): "3 Hz is none of sound",
        # 64 bits of length, of which a reader would make memory.
        struct.pack("<4sI4s4sIQQQI", b"RF64", 2**32 - 1, b"WAVE", b"ds64", 28, 2**50, 2**50, 2**49, 0)
        + whole[12:40]
        + struct.pack("<I", 2**32 - 1)
        + whole[44:]: "no WAV file, or a damaged one;",
    }
    for content, said in broken.items():
        victim.write_bytes(content)
        with pytest.raises(DataError, match=rf"a/002\.wav: .*{said}"):
            load_data(tmp_path / "s")
    for file in (tmp_path / "s").rglob("*.wav"):
        file.write_bytes(wav([0.1] * 50, 2**30))
    with pytest.raises(DataError, match=r"a/000\.wav: a rate of 1073741824 Hz is none of sound"):
        load_data(tmp_path / "s")


def test_a_recording_that_another_rate_makes_huge_is_refused(tmp_path):
    write_tones(tmp_path / "s", {"a": 4, "b": 4}, rate=4000)
    victim = tmp_path / "s" / "b" / "001.wav"
    # 10 kB that would be 160 million samples, 1.3 GB, at the rate of all.
    victim.write_bytes(wav(np.zeros(40_000), 100, 8))
    with pytest.raises(DataError, match=r"b/001\.wav: 40000 samples at 100 Hz are more than .* at 400000 Hz"):
        load_data(
            {"path": str(tmp_path / "s"), "kind": "audio", "rate": "400 kHz", "mels": 10, "low": "20 kHz"}
        )


def test_bands_that_a_frame_cannot_tell_apart_are_refused(tmp_path):
    with pytest.raises(DataError, match="of 64 mel bands lie between two frequencies"):
        LogMel(8000, 8000, 100, 50, 64, 20.0, 4000.0, "image")
    with pytest.raises(DataError, match="between 0 and 4000 Hz"):
        LogMel(8000, 8000, 240, 160, 20, 20.0, 5000.0, "image")
    with pytest.raises(DataError, match="a clip is at least as long as a frame"):
        load_data({"path": str(tmp_path), "kind": "audio", "clip": "10 ms"})
