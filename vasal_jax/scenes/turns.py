"""Who speaks when, and who only moves the mouth."""

from typing import NamedTuple

import numpy as np


class Turn(NamedTuple):
    """`face` moves its mouth from `start` to `end`, seconds."""

    face: int
    start: float
    end: float


def draw_turns(n: int, seconds: float, rng: np.random.Generator) -> list[Turn]:
    """Who speaks when: turns of 1 to 3 s, nobody twice running, short gaps."""
    turns, start, face = [], rng.uniform(0.1, 0.5), int(rng.integers(n))
    while seconds - start > 0.6:
        end = min(seconds, start + rng.uniform(1.0, 3.0))
        turns.append(Turn(face, start, end))
        start, face = end + rng.uniform(0.15, 0.6), int((face + rng.integers(1, n)) % n)
    return turns


def draw_mimes(turns: list[Turn], n: int, seconds: float, rng: np.random.Generator) -> list[Turn]:
    """Who moves the mouth in silence when: stretches of 1 to 3 s, never within 0.15 s of one's own turn."""
    mimes, start = [], rng.uniform(0.0, 0.8)
    while seconds - start > 0.6:
        end = min(seconds, start + rng.uniform(1.0, 3.0))
        spans = []
        for face in range(n):
            own = [turn for turn in turns if turn.face == face]
            first = max([start, *(t.end + 0.15 for t in own if t.start <= start)])
            last = min([end, *(t.start - 0.15 for t in own if t.start > start)])
            if last - first > 0.6:
                spans.append(Turn(face, first, last))
        if spans:
            mimes.append(spans[rng.integers(len(spans))])
            end = mimes[-1].end
        start = end + rng.uniform(0.1, 0.9)
    return mimes
