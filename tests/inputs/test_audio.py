"""Sound to log-mel pictures, in time with the frames."""

import os
import subprocess
import sys

import librosa
import numpy as np
import pytest
import soxr

from tests.helpers.media import write_video, write_wav
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.inputs.audio import HOP, hop_at, load_spectrogram, mel_filters, mel_picture, spectrogram, window_indices
from vasal_jax.inputs.sound import SAMPLE_RATE, read_sound


def _tone(seconds: float, rate: int = SAMPLE_RATE, hertz: float = 440.0) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * t) * (0.6 + 0.4 * np.sin(9 * t))).astype(np.float32)


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(samples).astype(np.float32) * 0.1


def _sound(path) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *read_sound(path)])


def _librosa_spectrogram(samples: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE)
    decibels = librosa.power_to_db(power, ref=np.max)
    return (decibels - decibels.min()) / (decibels.max() - decibels.min()) * 255


def _onset(samples: np.ndarray) -> float:
    """Seconds at which the sound first gets loud."""
    return np.flatnonzero(np.abs(samples) > 0.02)[0] / SAMPLE_RATE


@pytest.mark.parametrize("samples", [19 * HOP, 20 * HOP - 1, 20 * HOP, 33333, 5 * SAMPLE_RATE + 7])
@pytest.mark.parametrize("block", [1, 777, 30000, 10**9])
def test_blocks_give_what_librosa_gives_in_one_go(samples, block):
    block = max(block, samples // 500)
    track = _noise(samples) + _tone(samples / SAMPLE_RATE)[:samples]
    found = spectrogram(track[i : i + block] for i in range(0, samples, block))
    assert found.dtype == np.float32
    assert found.shape == (128, 1 + samples // HOP)
    np.testing.assert_allclose(found, _librosa_spectrogram(track), atol=255e-4)


def test_any_number_of_cores_gives_the_same_to_the_bit():
    """What is prepared on one machine is what another prepares. Cores are those of NumPy's products of matrices."""
    code = (
        "import hashlib, numpy as np; from vasal_jax.inputs.audio import spectrogram\n"
        "sound = np.float32(np.random.default_rng(0).normal(0, 0.1, 60_000))\n"
        "print(hashlib.sha256(spectrogram([sound]).tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": cores},
        ).stdout
        for cores in ("1", "2")
    }
    assert len(found) == 1


@pytest.mark.parametrize("samples", [1, 300, 3000, 19 * HOP - 1])
def test_short_track_is_lengthened_with_silence(samples):
    track = _tone(1)[5 : 5 + samples]
    found = spectrogram([track])
    assert found.shape == (128, 20)
    np.testing.assert_allclose(found, _librosa_spectrogram(np.pad(track, (0, 19 * HOP - samples))), atol=255e-4)
    assert np.isfinite(mel_picture(found, 0)).all()


@pytest.mark.parametrize("blocks", [[], [np.zeros(0, np.float32)], [np.zeros(50000, np.float32)]])
def test_silence_is_all_zeros(blocks):
    found = spectrogram(blocks)
    assert found.shape[1] >= 20
    assert not found.any()


def test_whole_numbers_and_floats_and_channels(tmp_path):
    left, right = _tone(0.5), _noise(SAMPLE_RATE // 2)
    for codec in ("pcm_s16le", "pcm_f32le"):
        path = write_wav(tmp_path / "a.wav", np.stack([left, right], axis=1), codec=codec)
        np.testing.assert_allclose(_sound(path), (left + right) / 2, atol=2 / 32768)


def test_not_a_number_in_a_float_file_is_silence(tmp_path):
    track = _tone(1)
    track[1000:1004] = np.nan, np.inf, -np.inf, 1e30
    found = load_spectrogram(write_wav(tmp_path / "a.wav", track, codec="pcm_f32le"))
    assert np.isfinite(found).all()
    assert found.max() == 255


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_resampling_in_a_stream_is_resampling_in_one_go(tmp_path, rate):
    track = _tone(1.3, rate)
    found = _sound(write_wav(tmp_path / "a.wav", track, rate, codec="pcm_f32le"))
    expected = soxr.resample(track, rate, SAMPLE_RATE, quality="HQ")
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sound_of_a_video(tmp_path):
    track = _tone(1)
    path = write_video(tmp_path / "a.mkv", 25, sound=track)
    np.testing.assert_allclose(_sound(path), track, atol=1e-3)


def test_compressed_sound_keeps_its_place(tmp_path):
    track = np.concatenate([np.zeros(22050), _noise(22050) * 3]).astype(np.float32)
    path = write_video(tmp_path / "a.mp4", 50, sound=track, sound_codec="aac")
    assert _onset(_sound(path)) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_that_begins_late_is_preceded_by_silence(tmp_path, suffix):
    codec = {"mkv": "pcm_s16le", "mp4": "aac"}[suffix]
    path = write_video(tmp_path / f"a.{suffix}", 50, sound=_noise(22050) * 3, sound_codec=codec, sound_start=0.75)
    assert _onset(_sound(path)) == pytest.approx(0.75, abs=0.05)


def test_sound_that_begins_before_the_picture_is_trimmed(tmp_path):
    track = np.concatenate([np.zeros(33075), _noise(22050) * 3]).astype(np.float32)
    path = write_video(tmp_path / "a.mkv", 5, stamps_ms=[1000, 1040, 1080, 1120, 1160], sound=track)
    found = _sound(path)
    assert _onset(found) == pytest.approx(0.5, abs=0.003)
    assert len(found) == pytest.approx(1.5 * SAMPLE_RATE, abs=30)


def test_no_sound_is_silence_with_a_note(tmp_path, caplog):
    found = load_spectrogram(write_video(tmp_path / "a.mp4"))
    assert not found.any()
    assert [r.getMessage() for r in caplog.records] == [f"{tmp_path / 'a.mp4'}: no sound, silence is used"]


def test_damage_part_way_keeps_the_rest_in_its_place(tmp_path, caplog):
    track = _tone(4)
    path = write_video(tmp_path / "a.mkv", 100, sound=track, sound_codec="flac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    found = _sound(path)
    assert len(caplog.records) >= 1
    assert all("\n" not in r.getMessage() for r in caplog.records)
    kept = min(len(found), SAMPLE_RATE)
    np.testing.assert_allclose(found[:kept], track[:kept], atol=1e-3)
    last = np.arange(int(3.5 * SAMPLE_RATE), int(3.9 * SAMPLE_RATE))
    assert len(found) == pytest.approx(len(track), abs=30)
    errors = [np.abs(found[last + shift] - track[last]).max() for shift in range(-30, 31)]
    assert min(errors) < 1e-3


def test_truncated_wav_keeps_what_there_is(tmp_path):
    track = _tone(1)
    path = write_wav(tmp_path / "a.wav", track)
    path.write_bytes(path.read_bytes()[:22050])
    found = _sound(path)
    assert 9000 < len(found) < 12000
    np.testing.assert_allclose(found, track[: len(found)], atol=1e-4)


@pytest.mark.parametrize("content", [None, b"", b"RIFF and no more", b"words\n" * 300])
def test_what_is_no_sound_file_raises_one_line(tmp_path, content):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_spectrogram(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_filters_are_librosas():
    np.testing.assert_array_equal(mel_filters(), librosa.filters.mel(sr=SAMPLE_RATE, n_fft=2048, n_mels=128))


def test_sound_is_read_without_librosa_which_needs_a_home_folder(tmp_path):
    path = write_wav(tmp_path / "a.wav", _tone(1))
    program = """if True:
        import sys
        from vasal_jax.inputs.audio import load_spectrogram
        assert load_spectrogram(sys.argv[1]).any()
        assert not {"librosa", "numba", "pooch"} & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_hop_at():
    assert hop_at(0.0) == 0
    assert hop_at(HOP / SAMPLE_RATE - 1e-4) == 0
    assert [hop_at(k * HOP / SAMPLE_RATE) for k in range(2000)] == list(range(2000))
    assert hop_at(10.24) == 441  # frame 256 at 25 frames a second is exactly on a hop


def test_picture_shows_the_hops_around_its_own():
    ramp = np.tile(np.arange(100, dtype=np.float32), (128, 1))
    for hop, first in [(0, 0), (10, 0), (11, 1), (50, 40), (90, 80), (99, 80), (109, 80)]:
        found = mel_picture(ramp, hop)
        assert found.shape == (64, 64)
        assert (found.min(), found.max()) == (first, first + 19)
    assert not mel_picture(ramp, 110).any()
    assert not mel_picture(ramp, 10**9).any()
    rows = mel_picture(np.tile(np.arange(128, dtype=np.float32)[:, None], (1, 20)), 0)
    assert (np.diff(rows[:, 0]) > 0).all()  # low frequencies stay on top


def test_window_indices():
    np.testing.assert_array_equal(window_indices(20, 100), np.arange(12, 28))
    np.testing.assert_array_equal(window_indices(3, 100), np.arange(16))
    np.testing.assert_array_equal(window_indices(99, 100), np.arange(84, 100))
    np.testing.assert_array_equal(window_indices(2, 5), [0, 1, 2, 3, 4] + [4] * 11)
    np.testing.assert_array_equal(window_indices(0, 1), [0] * 16)


def test_silence_that_stamps_ask_for_is_bounded(monkeypatch, tmp_path):
    """Found by damaging files: a few packets asked for days of it."""
    monkeypatch.setattr(limits, "MAX_SILENCE", 1.0)
    path = write_video(tmp_path / "a.mkv", 25, sound=_tone(1), sound_start=5.0)
    assert len(_sound(path)) < 2.1 * SAMPLE_RATE
