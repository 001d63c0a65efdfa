"""Sound of synthetic scenes: formant-synthesised voices, a music bed and a noise bed, from NumPy alone.

A voice is a glottal pulse train shaped by the resonances of a vocal tract (source-filter model, Klatt 1980), in
syllables of one consonant and one vowel each. The mouth's opening and the loudness come from the same envelope,
so what is heard and what is seen belong together; the words are nonsense.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 22050

# First three formants in Hz of a grown man (after Peterson and Barney 1952), how far the jaw opens, how far the
# lips spread (0 rounded, 1 spread).
_VOWELS = np.array(
    [
        (730, 1090, 2440, 1.00, 0.5),  # a
        (660, 1720, 2410, 0.90, 0.8),  # ae
        (530, 1840, 2480, 0.70, 0.9),  # e
        (270, 2290, 3010, 0.50, 1.0),  # i
        (570, 840, 2410, 0.75, 0.1),  # o
        (300, 870, 2240, 0.50, 0.0),  # u
    ]
)
# Centre and width in Hz of a consonant's noise, its level beside the vowel's, seconds it lasts.
_CONSONANTS = np.array(
    [
        (6500, 1500, 0.35, 0.09),  # s
        (3800, 1000, 0.35, 0.09),  # sh
        (5000, 3500, 0.14, 0.07),  # f
        (1800, 900, 0.30, 0.03),  # k
        (4200, 1500, 0.35, 0.03),  # t
        (700, 500, 0.25, 0.03),  # p
        (300, 100, 0.00, 0.05),  # none: a voiced onset
    ]
)
_WINDOW, _HOP = 1024, 256


@dataclass(frozen=True)
class Voice:
    """What makes one talker's voice its own."""

    pitch: float  # mean fundamental frequency in Hz
    melody: float  # how far the pitch moves, in octaves
    tract: float  # formant frequencies relative to a grown man's
    tilt: float  # fall of the source's spectrum beyond the glottal pulse's own, dB per octave
    breath: float  # share of noise in the source, 0..1
    rate: float  # syllables per second

    @classmethod
    def make(cls, rng: np.random.Generator, register: float | None = None) -> "Voice":
        """Samples a voice; `register` in 0 (low) .. 1 (high) sets pitch and tract length, None samples it too."""
        register = rng.uniform() if register is None else register
        return cls(
            pitch=float(85.0 * (290.0 / 85.0) ** register * rng.uniform(0.96, 1.04)),
            melody=float(rng.uniform(0.15, 0.45)),
            tract=float(0.94 + 0.30 * register + rng.uniform(-0.04, 0.04)),
            tilt=float(rng.uniform(0.0, 5.0)),
            breath=float(rng.uniform(0.02, 0.25)),
            rate=float(rng.uniform(3.0, 4.6)),
        )


class Speech(NamedTuple):
    """Sound and mouth of one utterance, each float32 (samples,)."""

    samples: np.ndarray  # -1..1
    opening: np.ndarray  # of the mouth, 0 shut .. 1 wide; the loudness follows it
    spread: np.ndarray  # of the lips, 0 rounded .. 1 spread


def speak(voice: Voice, seconds: float, rng: np.random.Generator, sample_rate: int = SAMPLE_RATE) -> Speech:
    """Nonsense speech of `seconds` in phrases of a few syllables with short pauses between, ending in silence."""
    n = max(1, round(seconds * sample_rate))
    level, hiss_level = np.zeros(n), np.zeros(n)
    accent, spread = np.zeros(n), np.full(n, 0.5)
    formants = np.tile(_VOWELS[0, :3], (n, 1))
    hiss_band = np.tile(_CONSONANTS[0, :2], (n, 1)).astype(float)
    start, left_in_phrase = 0.0, int(rng.integers(4, 9))
    while start < seconds - 0.12:
        vowel, consonant = _VOWELS[rng.integers(len(_VOWELS))], _CONSONANTS[rng.integers(len(_CONSONANTS))]
        length = min(rng.uniform(0.75, 1.3) / voice.rate, seconds - start)
        stress, lift = rng.uniform(0.55, 1.0), rng.uniform(-0.5, 0.5)
        begin, end = round(start * sample_rate), min(n, round((start + length) * sample_rate))
        onset = min(end, begin + round(consonant[3] * sample_rate))
        whole, noise, nucleus = slice(begin, end), slice(begin, onset), slice(onset, end)
        level[nucleus] = vowel[3] * stress * _bump(end - onset)
        hiss_level[noise] = consonant[2] * stress * _bump(onset - begin)
        hiss_band[whole] = consonant[:2]
        formants[begin:], spread[begin:], accent[whole] = vowel[:3], vowel[4], lift * stress
        start, left_in_phrase = start + length, left_in_phrase - 1
        if not left_in_phrase:
            start, left_in_phrase = start + rng.uniform(0.15, 0.4), int(rng.integers(4, 9))
    level = _smooth(level, round(0.03 * sample_rate))
    opening = level**0.8
    glide = round(0.06 * sample_rate)  # tongue and lips take their time
    formants = np.stack([_smooth(track, glide) for track in formants.T], axis=1) * voice.tract
    falling = 0.15 - 0.3 * np.linspace(0, 1, n)
    octaves = voice.melody * (_smooth(accent, round(0.12 * sample_rate)) + falling)
    octaves += 0.01 * _smooth(rng.standard_normal(n), 200) * np.sqrt(200)
    source = _glottal_pulses(voice.pitch * 2.0**octaves / sample_rate)
    source = source / _rms(source) + 2 * voice.breath * rng.standard_normal(n)
    vowels = _filter(source, lambda f, at: _tract(f, formants[at], voice), sample_rate, even=True)
    hiss = _filter(
        rng.standard_normal(n),
        lambda f, at: np.exp(-0.5 * ((f - hiss_band[at, :1]) / hiss_band[at, 1:]) ** 2),
        sample_rate,
        even=True,
    )
    samples = vowels * level + hiss * hiss_level
    samples *= 0.95 / max(1e-9, float(np.abs(samples).max()))
    return Speech(*(track.astype(np.float32) for track in (samples, opening, _smooth(spread, glide))))


def laugh(voice: Voice, seconds: float, rng: np.random.Generator, sample_rate: int = SAMPLE_RATE) -> Speech:
    """Laughter of `seconds`: breathy open vowels, five or so a second, that fall in pitch and loudness."""
    n = max(1, round(seconds * sample_rate))
    level, length = np.zeros(n), round(sample_rate / rng.uniform(4.3, 5.8))
    for begin in range(0, n, length):
        voiced = min(round(0.6 * length), n - begin)
        level[begin : begin + voiced] = _bump(voiced) * (1 - 0.6 * begin / n)
    level = _smooth(level, round(0.02 * sample_rate))
    source = _glottal_pulses(1.4 * voice.pitch * 2.0 ** (-0.5 * np.linspace(0, 1, n)) / sample_rate)
    source = source / _rms(source) + (1 + 2 * voice.breath) * rng.standard_normal(n)
    formants = np.tile(_VOWELS[0, :3] * voice.tract, (n, 1))
    samples = _filter(source, lambda f, at: _tract(f, formants[at], voice), sample_rate, even=True) * level
    samples *= 0.95 / max(1e-9, float(np.abs(samples).max()))
    shut = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / length)  # at both ends
    opening = np.clip(0.35 + 0.65 * level, 0, 1) * shut
    return Speech(*(track.astype(np.float32) for track in (samples, opening, np.ones(n))))


def music(seconds: float, rng: np.random.Generator, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """A plucked arpeggio over slow chords: float32 (samples,), -1..1."""
    n = max(1, round(seconds * sample_rate))
    out = np.zeros(n + 3 * sample_rate)
    root = 110.0 * 2 ** (rng.integers(12) / 12)
    beat = 60.0 / rng.uniform(80, 120) / 2
    progression = ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12))
    order = rng.permutation(3)
    for step in range(int(seconds / beat) + 1):
        chord = progression[(step // 8) % 4]
        at = round(step * beat * sample_rate)
        pluck = root * 2 ** (1 + chord[order[step % 3]] / 12)
        _add_note(out, at, 1.0, pluck, 0.9, 5.0, 5, sample_rate)
        if step % 8 == 0:
            for tone in chord:
                _add_note(out, at, 0.2, root * 2 ** (tone / 12), 8 * beat, 0.6, 3, sample_rate)
    out = out[:n]
    return (out * (0.95 / max(1e-9, np.abs(out).max()))).astype(np.float32)


def noise(seconds: float, rng: np.random.Generator, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Steady coloured noise (wind, a street, a fan) that swells slowly: float32 (samples,), -1..1."""
    n = max(1, round(seconds * sample_rate))
    slope, hum, width = rng.uniform(0.4, 1.2), rng.uniform(150, 900), rng.uniform(0.5, 1.5)

    def colour(frequency, _):
        f = np.maximum(frequency, 40.0)
        return (f / 100.0) ** -slope * (1 + 2 * np.exp(-0.5 * (np.log2(f / hum) / width) ** 2))

    out = _filter(rng.standard_normal(n), colour, sample_rate)
    swell = 1 + 0.3 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.3) * np.arange(n) / sample_rate + rng.uniform()))
    out *= swell
    return (out * (0.95 / max(1e-9, np.abs(out).max()))).astype(np.float32)


def _bump(n: int) -> np.ndarray:
    """A syllable's loudness: quick rise, slow fall, 0 at both ends."""
    return np.sin(np.pi * np.linspace(0, 1, max(n, 0)) ** 0.7) ** 0.8


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    """Moving average over `width` samples, twice, the ends held."""
    for _ in range(2):
        padded = np.concatenate([np.full(width // 2 + 1, x[0]), x, np.full(width - width // 2 - 1, x[-1])])
        total = np.cumsum(padded)
        x = (total[width:] - total[:-width]) / width
    return x


def _rms(x: np.ndarray) -> float:
    return max(1e-9, float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))))


def _glottal_pulses(cycles_per_sample: np.ndarray) -> np.ndarray:
    """Derivative of the glottal flow with open quotient 0.6 (Klatt and Klatt 1990), one pulse a cycle."""
    phase = np.cumsum(cycles_per_sample) % 1.0
    return np.where(phase < 0.6, 2 * phase * 0.6 - 3 * phase**2, 0.0)


def _tract(frequency: np.ndarray, formants: np.ndarray, voice: Voice) -> np.ndarray:
    """Complex response (blocks, bins) of resonances in series, the source's tilt with it."""
    upper = np.tile([3500.0 * voice.tract, 4500.0 * voice.tract], (len(formants), 1))
    response = (np.maximum(frequency, 100.0) / 100.0) ** (-voice.tilt / 6.02)
    for centre in np.concatenate([formants, upper], axis=1).T[:, :, None]:
        bandwidth = 50.0 + centre / 25.0
        response = response * centre**2 / (centre**2 - frequency**2 + 1j * frequency * bandwidth)
    return response


def _filter(signal, response, sample_rate: int, even: bool = False) -> np.ndarray:
    """Time-varying filter by overlap-add of short-time spectra, to unit RMS (of every block where `even`).

    `response(frequencies (bins,), sample index of each block (blocks,))` gives (blocks, bins) or (bins,).
    """
    n = len(signal)
    blocks = -(-n // _HOP) + 3
    padded = np.pad(signal, (_WINDOW - _HOP, blocks * _HOP - n))
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(_WINDOW) + 0.5) / _WINDOW))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:blocks]
    at = np.clip(np.arange(blocks) * _HOP - _WINDOW // 2 + _HOP, 0, n - 1)
    spectra = np.fft.rfft(pieces * window, axis=1)
    spectra = spectra * response(np.fft.rfftfreq(_WINDOW, 1 / sample_rate), at)
    pieces = np.fft.irfft(spectra, _WINDOW, axis=1)
    if even:
        pieces /= np.maximum(1e-9, np.sqrt(np.mean(pieces**2, axis=1, keepdims=True)))
    pieces *= window
    out = np.zeros((blocks + 3) * _HOP)
    for part in range(_WINDOW // _HOP):
        out[part * _HOP : (part + blocks) * _HOP] += pieces[:, part * _HOP : (part + 1) * _HOP].ravel()
    out = out[_WINDOW - _HOP :][:n]
    return out / _rms(out)


def _add_note(out, at, gain, pitch, seconds, decay, harmonics, sample_rate) -> None:
    """Adds a struck tone to `out` in place, faded at both ends."""
    t = np.arange(min(round(seconds * sample_rate), len(out) - at)) / sample_rate
    tone = sum(np.sin(2 * np.pi * k * pitch * t) / k**1.5 for k in range(1, harmonics + 1))
    out[at : at + len(t)] += gain * tone * np.exp(-decay * t) * np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
