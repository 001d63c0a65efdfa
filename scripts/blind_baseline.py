"""How far the timing of mouths alone gives the speaker away in synthetic videos: a check of the data, without a model.

    python scripts/blind_baseline.py --scenes 200

On every frame on which one person speaks and another moves the mouth in silence, a logistic regression is told when
either mouth started, when it stops, and how long the pauses around that are; not what is heard or seen. It is
cross-validated over scenes and should name the speaker on half of the frames, as chance does. Where it does better,
a model can learn who speaks from the picture alone. It takes about a minute for 200 scenes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout

from vasal_jax.errors import InputError
from vasal_jax.scenes import Scene
from vasal_jax.scenes.turns import Turn, number_of_faces, turns_of
from vasal_jax.system.terminal import run

FAR = 3.0  # seconds; what is farther away counts as this
RATE = 25.0  # frames a second
FOLDS = 5


@dataclass(frozen=True)
class BaselineArgs:
    """Name the speaker of synthetic videos from the starts and stops of mouths alone."""

    scenes: int = 200
    """How many scenes."""
    seconds: float = 8.0
    """Length of each."""
    seed: int = 0
    """Of the first scene; the others follow."""
    version: int = Scene.VERSION
    """Law of the scenes: 1 or 2."""
    style: str = "drawn"
    """Style of the scenes: drawn or filmed."""


def baseline(
    scenes: int, seconds: float = 8.0, seed: int = 0, version: int = Scene.VERSION, style: str = "drawn"
) -> tuple[float, int]:
    """The share of frames on which the speaker is named, cross-validated over scenes, and the number of frames."""
    pairs = [
        _pairs(*turns_of(number, number_of_faces(number), seconds, version, style), seconds)
        for number in range(seed, seed + scenes)
    ]
    right = frames = 0
    for fold in range(FOLDS):
        told = np.concatenate([pair for index, pair in enumerate(pairs) if index % FOLDS != fold])
        asked = np.concatenate([pair for index, pair in enumerate(pairs) if index % FOLDS == fold])
        weights = _fit(told)
        right += int((asked @ weights > 0).sum())
        frames += len(asked)
    return right / max(frames, 1), frames


def _pairs(speech: list[Turn], mimes: list[Turn], seconds: float) -> np.ndarray:
    """(frames, features): the speaker's timing less that of the mime, on frames that have both."""
    moves = sorted(speech + mimes, key=lambda turn: turn.start)
    rows = []
    for time in (np.arange(round(seconds * RATE)) + 0.5) / RATE:
        spoken, silent = ([turn for turn in turns if turn.start <= time < turn.end] for turns in (speech, mimes))
        if len(spoken) == len(silent) == 1:
            rows.append(np.subtract(*(_features(turn, moves, time, seconds) for turn in (*spoken, *silent))))
    return np.array(rows).reshape(len(rows), -1)


def _features(turn: Turn, moves: list[Turn], time: float, seconds: float) -> np.ndarray:
    """What starts and stops say of one moving mouth: its own, and those of all mouths just before and after it."""
    own = [move for move in moves if move.face == turn.face]
    before = max([move.end for move in own if move.end <= turn.start], default=-FAR)
    after = min([move.start for move in own if move.start >= turn.end], default=seconds + FAR)
    stopped = max([move.end for move in moves if move.end <= turn.start], default=-FAR)
    starts = min([move.start for move in moves if move.start >= turn.end], default=seconds + FAR)
    spans = np.array([
        time - turn.start, turn.end - time, turn.end - turn.start, turn.start - before, after - turn.end,
        turn.start - stopped, starts - turn.end, turn.start, seconds - turn.end,
    ])  # fmt: skip
    spans = np.minimum(spans, FAR)
    steps = np.concatenate([spans < limit for limit in (0.151, 0.3, 0.6, 0.9, 1.0, 2.0)])
    return np.concatenate([spans, steps, [len(own)]])


def _fit(differences: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression without intercept: each pair counts both ways round."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = differences @ weights
        slopes = -1 / (1 + np.exp(np.clip(margins, -50, 50))) / len(differences)
        return np.logaddexp(0, -margins).mean() + 1e-3 * weights @ weights, differences.T @ slopes + 2e-3 * weights

    return minimize(loss, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B").x


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parsed = tyro.cli(BaselineArgs, args=args)

    def tell() -> int:
        if not FOLDS <= parsed.scenes <= 10_000 or not 1 <= parsed.seconds <= 600 or parsed.seed < 0:
            raise InputError(f"expected 5 to 10000 scenes of 1 to 600 s and a seed from 0 on, found {parsed}")
        if parsed.version not in Scene.VERSIONS:
            raise InputError(f"--version: expected 1 or 2, found {parsed.version}")
        if parsed.style not in Scene.STYLES:
            raise InputError(f"--style: expected {' or '.join(Scene.STYLES)}, found {parsed.style}")
        share, frames = baseline(parsed.scenes, parsed.seconds, parsed.seed, parsed.version, parsed.style)
        where = f"{frames} frames of {parsed.scenes} scenes"
        print(f"timing alone names the speaker on {share:.1%} of {where} (chance 50%)")
        return 0

    return run(tell)


if __name__ == "__main__":
    sys.exit(main())
