"""Sound files as log-mel pictures, the way the released system makes them."""

import os
from collections.abc import Iterable, Iterator
from functools import cache

import cv2
import numpy as np

from vasal_jax.config import MEL_SIZE, MEL_STEPS
from vasal_jax.inputs.sound import SAMPLE_RATE, read_sound

HOP = 512  # samples
N_FFT = 2048
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
MELS = 128
PICTURE_HOPS = 20  # hops that one picture shows, centred on its frame
TOP_DB = 80.0
FLOOR = 1e-10  # power under which everything is silence

_BLOCK_HOPS = 64  # hops transformed at once
_MELS_AT_1000 = 15.0  # Slaney's mels at 1000 Hz, 200 / 3 Hz each up to there
_LOG_STEP = np.log(6.4) / 27  # of the natural logarithm, a mel from there on


def load_spectrogram(path: str | os.PathLike, track: int | None = None) -> np.ndarray:
    """`spectrogram` of the sound of a video or sound file: float32 (128, hops), 0..255; hop 0 is at 0 s.

    Arguments and errors as `read_sound`.
    """
    return spectrogram(read_sound(path, track))


def spectrogram(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Log-mel spectrogram of a whole track, computed block by block.

    It is librosa's default mel spectrogram (periodic Hann window of 2048 samples centred on each hop, zeros
    beyond the ends, 128 Slaney bands of power), in decibels under the loudest value, cut at -80, then stretched
    from the track's minimum..maximum to 0..255. A constant track (silence) is all zeros, a track under 20 hops
    is lengthened with silence.

    Args:
      blocks: float (n,) mono samples at `SAMPLE_RATE`, any block lengths.

    Returns:
      float32 (128, hops), low to high frequency, hops = max(20, 1 + samples // 512), values 0..255.
    """
    return decibels(np.concatenate(list(_mel_power(blocks)), axis=1))


def decibels(power: np.ndarray) -> np.ndarray:
    """Mel power float32 (128, hops), which is overwritten, as `spectrogram` gives it."""
    # In place and in float32: a long film's matrix is not copied about, and rounding is librosa's.
    loudest = np.float32(10) * np.log10(np.maximum(np.float32(FLOOR), power.max()))
    levels = np.log10(np.maximum(FLOOR, power, out=power), out=power)
    levels *= 10
    levels -= loudest
    np.maximum(levels, levels.max() - np.float32(TOP_DB), out=levels)
    levels -= levels.min()
    if not levels.any():
        return levels
    levels /= levels.max()
    levels *= 255
    return levels


def hop_at(time: float) -> int:
    """The hop that `time` (seconds from the first frame) falls into."""
    # The slack, 23 ns, keeps times that are exactly on a hop from falling before it by float rounding.
    return int(np.floor(time * SAMPLE_RATE / HOP + 1e-6))


def mel_picture(spectrogram: np.ndarray, hop: int) -> np.ndarray:
    """The model's picture of the sound around one hop.

    Shows the 20 hops [hop - 10, hop + 10), shifted inwards at both ends of the track. Where these lie wholly
    behind the end, there is nothing to hear and the picture is silence.

    Args:
      spectrogram: float32 (128, hops), 0..255, hops >= 20.

    Returns:
      float32 (64,64), 0..255.
    """
    hops = spectrogram.shape[1]
    start = hop - PICTURE_HOPS // 2
    if start >= hops:
        return np.zeros((MEL_SIZE, MEL_SIZE), np.float32)
    start = min(max(start, 0), hops - PICTURE_HOPS)
    window = np.ascontiguousarray(spectrogram[:, start : start + PICTURE_HOPS])
    return cv2.resize(window, (MEL_SIZE, MEL_SIZE))


def window_indices(i: int | np.ndarray, n: int) -> np.ndarray:
    """Frames whose pictures the model hears for frame i of n: [i - 8, i + 8), shifted inwards at both ends.

    Returns:
      int64 (16,), or (*i.shape, 16), within 0..n-1. With fewer than 16 frames the last one is repeated.
    """
    start = np.clip(np.asarray(i) - MEL_STEPS // 2, 0, max(n - MEL_STEPS, 0))
    return np.minimum(start[..., None] + np.arange(MEL_STEPS), n - 1)


def mel_filters() -> np.ndarray:
    """The 128 triangular filters of librosa's default mel spectrogram: Slaney's scale and norm, from 0 Hz up.

    They are computed here because loading librosa takes seconds and asks for a home folder that can be written to. A
    test holds them equal to librosa's.

    Returns:
      float32 (128, 1025), from power in the bins of the transform to power in the bands.
    """
    edges = _hertz(np.linspace(0.0, _mels(SAMPLE_RATE / 2), MELS + 2))
    bins = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    ramps = np.subtract.outer(edges, bins)
    widths = np.diff(edges)[:, None]
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:])).astype(np.float32)
    filters *= 2 / (edges[2:] - edges[:-2])[:, None]
    return filters


def _mels(hertz: float) -> float:
    """Slaney's scale for frequencies from 1000 Hz on."""
    return _MELS_AT_1000 + np.log(hertz / 1000) / _LOG_STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear up to 1000 Hz, then logarithmic."""
    return np.where(mels < _MELS_AT_1000, mels * 200 / 3, 1000 * np.exp(_LOG_STEP * (mels - _MELS_AT_1000)))


def mel_power(signal: np.ndarray) -> np.ndarray:
    """Mel power of the windows that lie wholly in a signal, which begin every `HOP` samples.

    Args:
      signal: float32 (samples,) at `SAMPLE_RATE`, `N_FFT` or more.

    Returns:
      float32 (128, 1 + (samples - 2048) // 512).
    """
    windows = np.lib.stride_tricks.sliding_window_view(signal, N_FFT)[::HOP]
    power = np.zeros((MELS, len(windows)), np.float32)
    heard = windows.any(axis=1)  # hours of silence are soon heard
    spectrum = np.fft.rfft(windows[heard] * _HANN, axis=1).astype(np.complex64)
    # The few bins of each band, summed in order. How a product of matrices is rounded depends on how many cores there
    # are, and what is prepared on one machine would not be what another prepares.
    weights, bins, starts = _bands()
    power[:, heard] = np.add.reduceat(weights * (np.abs(spectrum) ** 2)[:, bins], starts, axis=1).T
    return power


@cache
def _bands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights of `mel_filters` that are not 0, band after band; their bins; where each band begins among them."""
    filters = mel_filters()
    bands, bins = filters.nonzero()
    return filters[bands, bins], bins, np.searchsorted(bands, np.arange(MELS))


def _mel_power(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """float32 (128,k) pieces of the mel power spectrogram."""
    half = np.zeros(N_FFT // 2, np.float32)  # the first hop's window begins, the last one's ends, outside the track
    signal, samples = half, 0
    pieces = (block[i : i + SAMPLE_RATE] for block in blocks for i in range(0, len(block), SAMPLE_RATE))
    for piece in pieces:
        samples += len(piece)
        signal = np.concatenate((signal, piece), dtype=np.float32)
        while len(signal) >= N_FFT + (_BLOCK_HOPS - 1) * HOP:
            yield mel_power(signal[: N_FFT + (_BLOCK_HOPS - 1) * HOP])
            signal = signal[_BLOCK_HOPS * HOP :]
    missing = max(0, (PICTURE_HOPS - 1) * HOP - samples)
    signal = np.concatenate((signal, np.zeros(missing, np.float32), half))
    if len(signal) >= N_FFT:
        yield mel_power(signal)
