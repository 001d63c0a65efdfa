"""Voices and other sounds of the scenes."""

import numpy as np
import pytest

from vasal_jax.scenes.voices import SAMPLE_RATE, Voice, music, noise, speak


def spectrum(samples):
    """Mean power spectrum in dB over third-octave-like bands, 80 Hz to 8 kHz, of unit total."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    edges = np.searchsorted(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE), np.geomspace(80, 8000, 25))
    bands = np.add.reduceat(power, edges)[:-1]
    return 10 * np.log10(bands / bands.sum() + 1e-6)


def loudness(samples, window=880):
    return np.sqrt(np.convolve(samples.astype(np.float64) ** 2, np.ones(window) / window, "same"))


@pytest.mark.parametrize("register", [0.0, 0.5, 1.0])
def test_mouth_opening_follows_the_loudness(register):
    voice = Voice.make(np.random.default_rng(1), register)
    speech = speak(voice, 4.0, np.random.default_rng(2))
    assert np.corrcoef(loudness(speech.samples), speech.opening)[0, 1] > 0.85
    still = loudness(speech.opening, 2000) == 0
    assert still.any(), "speech has pauses"
    assert np.abs(speech.samples[still]).max() < 0.4  # consonants sound through a nearly shut mouth


def test_speech_has_the_rhythm_of_syllables():
    voice = Voice.make(np.random.default_rng(3), 0.4)
    opening = speak(voice, 8.0, np.random.default_rng(4)).opening
    wide = opening > 0.3
    syllables_per_second = np.count_nonzero(np.diff(wide.astype(int)) == 1) / 8.0
    assert 2.0 < syllables_per_second < 5.0
    assert opening.max() > 0.6


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2, 1.0])
def test_shapes_types_and_ranges(seconds):
    speech = speak(Voice.make(np.random.default_rng(5)), seconds, np.random.default_rng(6))
    n = max(1, round(seconds * SAMPLE_RATE))
    for track in speech:
        assert track.shape == (n,)
        assert track.dtype == np.float32
        assert np.isfinite(track).all()
    assert np.abs(speech.samples).max() <= 1
    assert speech.opening.min() >= 0
    assert speech.opening.max() <= 1
    for bed in (music, noise):
        samples = bed(max(seconds, 0.01), np.random.default_rng(7))
        assert samples.shape == (max(1, round(max(seconds, 0.01) * SAMPLE_RATE)),)
        assert samples.dtype == np.float32
        assert 0.5 < np.abs(samples).max() <= 1


def test_a_seed_is_a_voice():
    def say(seed, words=8):
        return speak(Voice.make(np.random.default_rng(seed)), 1.0, np.random.default_rng(words)).samples

    np.testing.assert_array_equal(say(7), say(7))
    assert not np.array_equal(say(7), say(9))
    assert not np.array_equal(say(7), say(7, words=9))


def test_two_voices_differ_more_than_two_utterances_of_one():
    voices = [Voice.make(np.random.default_rng([10, k]), r) for k, r in enumerate((0.15, 0.5, 0.85))]
    spectra = np.array([[spectrum(speak(v, 6.0, np.random.default_rng(w)).samples) for w in (1, 2)] for v in voices])
    within = np.abs(spectra[:, 0] - spectra[:, 1]).mean(axis=1).max()
    across = min(np.abs(spectra[a, 0] - spectra[b, 1]).mean() for a in range(3) for b in range(3) if a != b)
    assert across > 1.3 * within


def test_pitch_of_the_sound_is_the_voice_s():
    for register in (0.0, 1.0):
        voice = Voice.make(np.random.default_rng(11), register)
        samples = speak(voice, 3.0, np.random.default_rng(12)).samples
        power = np.abs(np.fft.rfft(samples)) ** 2
        autocorrelation = np.fft.irfft(power)
        shortest, longest = int(SAMPLE_RATE / 400), int(SAMPLE_RATE / 60)
        lag = shortest + int(np.argmax(autocorrelation[shortest:longest]))
        assert abs(np.log2(SAMPLE_RATE / lag / voice.pitch)) < 0.5


def test_music_has_tones_and_noise_has_none():
    def flatness(samples):
        power = np.abs(np.fft.rfft(samples))[400:8000].astype(np.float64) ** 2  # 100 Hz to 2 kHz of 4 s
        return np.exp(np.log(power + 1e-12).mean()) / power.mean()

    for seed in range(5):
        tones = flatness(music(4.0, np.random.default_rng(seed)))
        assert 10 * tones < flatness(noise(4.0, np.random.default_rng(seed)))
