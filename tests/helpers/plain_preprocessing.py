"""`docs/reference/preprocessing.md` written down a second time, in NumPy alone and as plainly as it reads.

It shares no code with `vasal_jax.inputs` and `vasal_jax.prediction`: the page is right if both give the same.
"""

from collections.abc import Callable

import numpy as np

MEAN = np.array((123.68, 116.779, 103.939), np.float32)


def axis_weights(size: int, new_size: int) -> np.ndarray:
    """(new_size, size), linear interpolation: pixels are cells, the edge's value goes on outside."""
    weights = np.zeros((new_size, size))
    for new in range(new_size):
        place = (new + 0.5) * size / new_size - 0.5
        low = int(np.floor(place))
        weights[new, min(max(low, 0), size - 1)] += 1 - (place - low)
        weights[new, min(max(low + 1, 0), size - 1)] += place - low
    return weights


def axis_shares(size: int, new_size: int) -> np.ndarray:
    """(new_size, size), means over areas: how much of each old cell lies in a new one."""
    edges = np.arange(new_size + 1) * size / new_size
    cells = np.arange(size)
    shares = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.maximum(shares, 0) * new_size / size


def resized(image: np.ndarray, height: int, width: int, weights=axis_weights) -> np.ndarray:
    """float64 (height, width, ...) of (H, W, ...)."""
    rows = np.tensordot(weights(image.shape[0], height), image.astype(np.float64), axes=(1, 0))
    return np.moveaxis(np.tensordot(weights(image.shape[1], width), rows, axes=(1, 1)), 0, 1)


def resized_bytes(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3) of uint8 (H, W, 3), bilinear in fixed point: weights are 2048ths."""

    def neighbours(size: int, new_size: int) -> tuple[np.ndarray, ...]:
        places = np.float32((np.arange(new_size) + 0.5) * size / new_size - 0.5)
        low = np.floor(places).astype(int)
        share = places - low
        clamped = (np.clip(low + k, 0, size - 1) for k in range(2))
        return *clamped, *(np.rint(part * 2048).astype(np.int64) for part in (1 - share, share))

    left, right, of_left, of_right = neighbours(image.shape[1], width)
    pixels = image.astype(np.int64)
    rows = pixels[:, left] * of_left[:, None] + pixels[:, right] * of_right[:, None]
    above, below, of_above, of_below = neighbours(image.shape[0], height)
    parts = ((rows[above] >> 4) * of_above[:, None, None]) >> 16, ((rows[below] >> 4) * of_below[:, None, None]) >> 16
    return ((parts[0] + parts[1] + 2) >> 2).astype(np.uint8)


def frame_input(image: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W, 3) RGB, as the model takes it."""
    return resized_bytes(image, 256, 256).astype(np.float32) - MEAN


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """(128, hops) of a whole track, mono at 22,050 Hz, in 0..255."""
    missing = max(0, 19 * 512 - len(samples))
    signal = np.concatenate([np.zeros(1024), samples, np.zeros(missing + 1024)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    starts = range(0, len(signal) - 2048 + 1, 512)
    power = np.stack([np.abs(np.fft.rfft(window * signal[start : start + 2048])) ** 2 for start in starts], axis=1)
    mel = mel_filters() @ power
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    decibels -= decibels.min()
    return decibels / decibels.max() * 255 if decibels.any() else decibels


def mel_filters() -> np.ndarray:
    """(128, 1025): triangles of Slaney's scale."""
    top = 15 + 27 * np.log(11025 / 1000) / np.log(6.4)
    mels = np.linspace(0, top, 130)
    hertz = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    bins = np.arange(1025) * 22050 / 2048
    filters = np.zeros((128, 1025))
    for band in range(128):
        low, middle, high = hertz[band : band + 3]
        rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
        filters[band] = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    return filters


def mel_picture(track: np.ndarray, time: float) -> np.ndarray:
    """(64, 64), what is heard around a time."""
    hop = int(np.floor(time * 22050 / 512 + 1e-6))
    if hop - 10 >= track.shape[1]:
        return np.zeros((64, 64))
    start = min(max(hop - 10, 0), track.shape[1] - 20)
    return resized(track[:, start : start + 20], 64, 64)


def mel_window(pictures: list[np.ndarray], index: int) -> np.ndarray:
    """(16, 64, 64, 1), the pictures around a frame."""
    count = len(pictures)
    start = max(0, min(index - 8, count - 16))
    return np.stack([pictures[min(start + k, count - 1)] for k in range(16)])[..., None]


def face_map(boxes: np.ndarray) -> np.ndarray:
    """(32, 32, 1), where the faces of a frame (n, 4) are."""
    total, cells = np.zeros((32, 32)), (np.arange(32) + 0.5) / 32
    if len(boxes) == 0:
        return total[..., None]
    for x1, y1, x2, y2 in boxes.astype(np.float64):
        bells = []
        for low, high in ((y1, y2), (x1, x2)):
            sigma = max(0.425 * (high - low), 1 / 64)
            bells.append(np.exp(-0.5 * ((cells - (low + high) / 2) / sigma) ** 2) / sigma)
        total += np.outer(*bells)
    total -= total.min()
    return (total / total.max() * 255 - 14.9)[..., None]


def face_crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(64, 64, 3), a face of a frame."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box * np.array((width, height, width, height))
    side = max(1, round(1.3 * max(x2 - x1, y2 - y1)))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    square = np.empty((side, side, 3), np.uint8)
    for y in range(side):
        for x in range(side):
            inside = 0 <= top + y < height and 0 <= left + x < width
            square[y, x] = image[top + y, left + x] if inside else np.rint(MEAN)
    scaled = np.rint(resized(square, 64, 64, axis_shares)) if side > 64 else resized_bytes(square, 64, 64)
    return scaled.astype(np.float32) - MEAN


def maps_of(
    program: Callable[[dict], dict], inputs: dict[str, np.ndarray], zeros: dict[str, np.ndarray], memory: str | None
) -> np.ndarray:
    """The maps of whole videos of one length, from inputs (B, F, ...), two frames at a time: (B, F, 32, 32)."""
    kind, _, frames = (memory or "continuous").partition("/")
    border = None if kind == "continuous" else int(frames) // 2
    older = younger = zeros
    maps, first, count = [], 0, inputs["frames"].shape[1]
    while first < count:
        end = min(first + 2, count)
        if border is not None:
            if first % border == 0:
                older, younger = younger, zeros
            end = min(end, first - first % border + border)
        clip = {name: array[:, first:end] for name, array in inputs.items()}
        shown = program(clip | older)
        maps.append(np.asarray(shown["maps"]))
        older = {name: shown[name.replace("carry_", "next_")] for name in zeros}
        if border is not None:
            other = program(clip | younger)
            younger = {name: other[name.replace("carry_", "next_")] for name in zeros}
        first = end
    return np.concatenate(maps, axis=1)
