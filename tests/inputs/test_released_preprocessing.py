"""Frames, mel pictures and face maps against arrays that the released loaders computed from the same signals."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.media import write_wav
from vasal_jax.inputs import audio, video
from vasal_jax.inputs.faces import maps as face_maps

FIXTURE = Path(__file__).parent.parent / "fixtures" / "released_preprocessing.npz"
TRACK_LENGTH = 3 * audio.SAMPLE_RATE


@pytest.fixture(scope="module")
def released():
    with np.load(FIXTURE) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def mel_spectrogram(tmp_path_factory):
    t = np.arange(TRACK_LENGTH) / audio.SAMPLE_RATE
    sound = 0.4 * np.sin(2 * np.pi * (180 + 120 * t) * t) * (0.5 + 0.5 * np.sin(6 * np.pi * t))
    sound += 0.15 * np.sin(2800 * np.pi * t) * (np.sin(2.6 * np.pi * t) > 0)
    file = write_wav(tmp_path_factory.mktemp("sound") / "a.wav", np.round(32767 * sound) / 32768)
    return audio.load_spectrogram(file)


def _drawn_frame(t: int) -> np.ndarray:
    yy, xx = np.mgrid[:180, :320].astype(np.float64)
    blue = 127.5 + 127.5 * np.sin(xx / 17 + t / 5)
    green = 127.5 + 127.5 * np.sin(yy / 11 - t / 7)
    red = 127.5 + 127.5 * np.sin((xx + yy) / 23 + t / 3)
    return np.round(np.stack([red, green, blue], axis=-1)).astype(np.uint8)


def test_frames(released):
    # The first clip shows frames 5 to 16; the fixture keeps every sixth of them.
    frames = np.stack([video.model_frame(_drawn_frame(t)) for t in (5, 11)])
    np.testing.assert_allclose(frames.transpose(0, 3, 1, 2)[:, :, ::8, ::8], released["frames_batch"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "fps", "indices"),
    [("mel_images", 24, (0, 1, 5, 12, 20, 23)), ("mel_images_25fps", 25, (0, 10, 36, 60, 71))],
)
def test_mel_pictures(released, mel_spectrogram, name, fps, indices):
    pictures = [audio.mel_picture(mel_spectrogram, audio.hop_at(i / fps)) for i in indices]
    np.testing.assert_allclose(pictures, released[name], atol=1e-2)


def test_picture_windows_of_a_clip(released, mel_spectrogram):
    pictures = np.stack([audio.mel_picture(mel_spectrogram, audio.hop_at(i / 24)) for i in range(24)])
    windows = [pictures[audio.window_indices(i, 24)][::5] for i in (5, 10, 16)]
    np.testing.assert_allclose(windows, released["audio_batch"][:, 0], atol=1e-2)


def test_face_maps(released):
    yy, xx = np.mgrid[:32, :32]
    maps = []
    for t in range(24):
        blobs = np.exp(-((xx - 8 - t / 4) ** 2 + (yy - 12) ** 2) / 18)
        blobs += 0.6 * np.exp(-((xx - 22) ** 2 + (yy - 14 + t / 6) ** 2) / 18)
        maps.append(np.zeros((32, 32)) if t == 5 else np.round(235 * blobs / blobs.max() + 7))
    normalised = [face_maps.normalise_face_map(grey.astype(np.uint8)) for grey in maps[5:17]]
    np.testing.assert_allclose(normalised, released["gmm_batch"][:, 0], atol=1e-3)
