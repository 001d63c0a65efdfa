"""Where the people of a scene sit, and whether there is a desk before them."""

import numpy as np


def places_of(n: int, width: int, height: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Resting middles of the faces (n,2) and their height, pixels, back row first: one row, or two where it pays."""
    two = rng.uniform() < 0.5
    zoom, jitter, shift = rng.uniform(0.82, 1.0), rng.uniform(-1, 1, (n, 2)), rng.uniform(-1, 1)
    best: tuple[float, int, int, float] = (0.0, 0, 0, 0.0)
    for rows in (2, 1) if two and n >= 4 else (1, 2):
        per_row = -(-n // rows)
        room = min(width / (per_row + 0.5 * (rows > 1)) / 1.45, height * 0.72 / (rows * 1.5))
        size = min(room, min(width, height) * (0.34 - 0.03 * (n - 2)))
        if size > 1.25 * best[0]:
            best = size, rows, per_row, room
    size, rows, per_row, room = best
    size *= zoom
    counts = [per_row] if rows == 1 else [n - per_row, per_row]
    places = []
    for row, count in enumerate(counts):
        pitch = width / (count + 0.35 * (rows > 1))
        stagger = 0.3 if counts[0] == counts[-1] and rows > 1 else 0.0
        y = height * (0.42 if rows == 1 else (0.27, 0.62)[row]) + 0.05 * height * shift
        for column in range(count):
            x = width / 2 + (column - (count - 1) / 2 + stagger * (row - 0.5)) * pitch
            loose = np.array((max(0, pitch - 1.4 * size) / 2, 0.18 * size)) * (0.8, 1.0 if rows == 1 else 0.4)
            places.append(np.array((x, y)) + loose * jitter[len(places)])
    return np.array(places), float(size)


def desk_of(highest: float, height: int, rng: np.random.Generator) -> float | None:
    """Row of a desk's top edge, below `highest`; None for no desk."""
    top = max(highest, 0.78 * height)
    return top if rng.uniform() < 0.45 and top < 0.94 * height else None
