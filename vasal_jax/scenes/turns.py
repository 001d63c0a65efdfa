"""Who speaks when, and who only moves the mouth."""

from typing import NamedTuple

import numpy as np

from vasal_jax.scenes.streams import stream

FEWEST_FACES, MOST_FACES = 2, 6
TURN = (1.0, 3.0)  # seconds that a turn lasts
PAUSE = (0.15, 0.6)  # seconds from one turn to the next
REST = 0.15  # seconds, at least, between two movements of one mouth
SHORTEST = 0.6  # seconds; no turn begins so late that less is left
OVERLAP, MOST_OVERLAP = 0.5, 1.5  # of filmed scenes: how often a turn begins early, and by how many seconds at most
LEFT_OUT = 0.12  # of filmed scenes: how often a turn is left out, for a long pause


class Turn(NamedTuple):
    """`face` moves its mouth from `start` to `end`, seconds."""

    face: int
    start: float
    end: float


def number_of_faces(seed: int) -> int:
    """How many people the scene of a seed has where nobody says."""
    return int(stream(seed, "faces").integers(FEWEST_FACES, MOST_FACES + 1))


def turns_of(seed: int, n: int, seconds: float, version: int, style: str = "drawn") -> tuple[list[Turn], list[Turn]]:
    """Those who speak and those who only move the mouth in the scene of a seed, of `n` people.

    They follow a version's law; in scenes of the style "filmed" they then interrupt each other.
    """
    if version == 1:
        return sample_turns_apart(n, seconds, stream(seed, "turns"), stream(seed, "mimes"))
    sequences = sample_turns(n, seconds, stream(seed, "turns"))
    return interrupted(sequences, stream(seed, "overlaps")) if style == "filmed" else sequences


def sample_turns(n: int, seconds: float, rng: np.random.Generator) -> tuple[list[Turn], list[Turn]]:
    """The turns of those who speak, and of those who only move the mouth, by one law for both.

    Each is a sequence of turns of 1 to 3 s with short pauses, nobody twice running; a turn waits until a face is free
    of the other sequence, and two people change places at about the same time. The sequences are exchangeable: when
    mouths start and stop says nothing about which are heard.
    """
    sequences: tuple[list[Turn], list[Turn]] = ([], [])
    begins = rng.uniform(0.1, 0.5, 2)
    free_from = np.zeros(n)  # of each face
    while (start := begins.min()) < seconds - SHORTEST:
        which = int(begins.argmin())
        last = sequences[which][-1].face if sequences[which] else None
        others = np.array([face for face in range(n) if face != last])
        free = others[free_from[others] <= start]
        if not len(free):
            begins[which] = free_from[others].min()
            continue
        end = start + rng.uniform(*TURN)
        if n == 2 and sequences[1 - which] and (other := sequences[1 - which][-1].end) > start:
            end = max(start + SHORTEST, other + rng.uniform(-REST, REST))  # else one would wait long for the other
        turn = Turn(int(rng.choice(free)), float(start), float(min(seconds, end)))
        sequences[which].append(turn)
        free_from[turn.face] = turn.end + REST
        begins[which] = turn.end + rng.uniform(*PAUSE)
    return sequences


def interrupted(sequences: tuple[list[Turn], list[Turn]], rng: np.random.Generator) -> tuple[list[Turn], list[Turn]]:
    """The turns of speakers and of mimes with overlaps and long pauses, by one law for both.

    Args:
      sequences: of `sample_turns`.
      rng: draws what changes.
    """
    moves = [turn for sequence in sequences for turn in sequence]
    changed: tuple[list[Turn], list[Turn]] = ([], [])
    for sequence, kept in zip(sequences, changed, strict=True):
        for turn in sequence:
            early, amount, left_out = rng.random(3)
            if left_out < LEFT_OUT and kept:
                continue
            free = max((move.end for move in moves if move.face == turn.face and move.end <= turn.start), default=-REST)
            start = turn.start - MOST_OVERLAP * amount * (early < OVERLAP)
            kept.append(turn._replace(start=float(np.clip(start, max(0.0, free + REST), turn.start))))
    return changed


def sample_turns_apart(
    n: int, seconds: float, turns_rng: np.random.Generator, mimes_rng: np.random.Generator
) -> tuple[list[Turn], list[Turn]]:
    """As `sample_turns` did in version 1 of the scenes: mimes fill what the speakers leave free.

    They are longer or shorter, later and cut off by the turns of their own face, which tells them from speakers
    (`scripts/blind_baseline.py`). Only data of that version is made with it.
    """
    turns, start, face = [], turns_rng.uniform(0.1, 0.5), int(turns_rng.integers(n))
    while seconds - start > SHORTEST:
        end = min(seconds, start + turns_rng.uniform(*TURN))
        turns.append(Turn(face, start, end))
        start, face = end + turns_rng.uniform(*PAUSE), int((face + turns_rng.integers(1, n)) % n)
    mimes, start = [], mimes_rng.uniform(0.0, 0.8)
    while seconds - start > SHORTEST:
        end = min(seconds, start + mimes_rng.uniform(*TURN))
        spans = []
        for face in range(n):
            own = [turn for turn in turns if turn.face == face]
            first = max([start, *(t.end + REST for t in own if t.start <= start)])
            last = min([end, *(t.start - REST for t in own if t.start > start)])
            if last - first > SHORTEST:
                spans.append(Turn(face, first, last))
        if spans:
            mimes.append(spans[mimes_rng.integers(len(spans))])
            end = mimes[-1].end
        start = end + mimes_rng.uniform(0.1, 0.9)
    return turns, mimes
