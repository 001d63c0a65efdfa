"""All metrics of a frame beside pysaliency: `python -m benchmarks.metrics`.

Maps of 360x640 with 34 fixations, 4096 shuffled and 4096 uniform negatives each. Ours takes four frames a call, so that
what it puts aside stays in the cache, from JAX arrays, as evaluate.py has them; a round is many calls, as a video is,
since a core that has been idle takes 50 ms to be at its speed. pysaliency takes a frame at a time, and the areas either
as its models' AUC does (a whole ROC curve) or as their AUCs does (the area of each fixation, faster). All see the same
maps and points and must agree. Needs the test extra besides the core.
"""

import sys
from collections.abc import Callable

import jax
import numpy as np
from pysaliency import metrics as referee
from pysaliency.numba_utils import fill_fixation_map
from pysaliency.roc import general_roc, general_rocs_per_positive

from benchmarks.harness.processes import in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Call, Comparison, compare
from vasal_jax import metrics

setattr(np, "trapz", np.trapezoid)  # noqa: B010, the name pysaliency knows; NumPy 2.4 dropped it

HEIGHT, WIDTH = 360, 640
FRAMES, FRAMES_A_CALL, FIXATIONS, NEGATIVES = 120, 4, 34, 4096
NAMES = ("CC", "SIM", "KL", "NSS", "AUC-J", "AUC-B", "sAUC", "IG")
AREAS = {
    "pysaliency, AUC": lambda *values: general_roc(*values)[0],
    "pysaliency, AUCs": lambda *values: general_rocs_per_positive(*values).mean(),
}


def measure(rounds: int = 7) -> list[Comparison]:
    """Times both sides, after a check that they have the same numbers."""
    goals = dict.fromkeys([("float32", side) for side in AREAS])
    if in_fresh_process(checked) == "cpu":
        goals["float32", "pysaliency, AUC"] = 10.0
    work = f"{len(NAMES)} metrics of {FRAMES} maps, {HEIGHT}x{WIDTH}"
    return compare(work, goals, ours, theirs, rounds)


def ours(_: str) -> Call:
    """Our eight metrics on a block of frames."""
    batch, baseline = drawn_batch()
    parts = [tuple(x[i : i + FRAMES_A_CALL] for x in batch) for i in range(0, FRAMES, FRAMES_A_CALL)]
    parts, *others = jax.device_put((parts, baseline, np.arange(FRAMES_A_CALL)))

    @jax.jit
    def score(*values):
        scores = metrics.score(*values)
        return {name: scores[name] for name in NAMES}  # SIM in one of its two conventions, as theirs

    return lambda: jax.block_until_ready([score(*part, *others) for part in parts])


def theirs(side: str) -> Call:
    """The same eight as they are usually computed, in NumPy and by pysaliency."""
    batch, baseline = drawn_batch()
    uniform = drawn_points(np.random.default_rng(1), NEGATIVES)
    area = AREAS[side]
    return lambda: [pysaliency_scores(*frame, uniform[i], baseline, area) for i, frame in enumerate(frames(batch))]


def checked() -> str:
    """The device on which all sides have the same numbers."""
    parts = ours("float32")()
    found = {name: np.concatenate([part[name] for part in parts]) for name in NAMES}
    for side in AREAS:
        check(found, theirs(side)())
    return jax.default_backend()


def check(found: dict[str, np.ndarray], expected: list[dict[str, float]]) -> None:
    """Raises where the two sides differ."""
    for name in NAMES:
        reference = np.array([scores[name] for scores in expected])
        # Each side draws its own uniform negatives, so AUC-B agrees as far as chance lets it.
        tolerance = 0.05 if name == "AUC-B" else 1e-6 * max(1, np.abs(reference).max())
        np.testing.assert_allclose(found[name], reference, rtol=0, atol=tolerance, err_msg=name)


def drawn_batch() -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Blobs as predictions, densities and baseline, fixations near the densities' blobs, in `score`'s order."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]

    def blob():
        centre = rng.uniform((100, 100), (WIDTH - 100, HEIGHT - 100))
        return centre, np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 60.0**2))

    truths = [blob() for _ in range(FRAMES)]
    density = np.stack([values for _, values in truths]).astype(np.float32)
    prediction = np.stack([values + blob()[1] for values in density]) + 0.1 * rng.random(density.shape)
    near = np.stack([rng.normal(centre, 60, (FIXATIONS, 2)) for centre, _ in truths]).astype(np.int32)
    fixations = near.clip(0, (WIDTH - 1, HEIGHT - 1))
    negatives = drawn_points(rng, NEGATIVES)
    everywhere = (np.ones(points.shape[:-1], bool) for points in (fixations, negatives))
    baseline = (blob()[1] + 0.1).astype(np.float32)
    points = fixations, next(everywhere), negatives, next(everywhere)
    return (prediction.astype(np.float32), density, *points), baseline


def drawn_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points of so many fixations a frame, uniform over the picture: x, y."""
    return rng.integers(0, (WIDTH, HEIGHT), (FRAMES, count, 2))


def frames(batch: tuple[np.ndarray, ...]):
    """Prediction, density, fixations and negatives of each frame, in pysaliency's float64."""
    prediction, density, fixations, _, negatives, _ = batch
    for i in range(FRAMES):
        yield prediction[i].astype(float), density[i].astype(float), fixations[i], negatives[i]


def pysaliency_scores(
    prediction: np.ndarray,
    density: np.ndarray,
    fixations: np.ndarray,
    negatives: np.ndarray,
    uniform: np.ndarray,
    baseline: np.ndarray,
    area: Callable[[np.ndarray, np.ndarray], float],
) -> dict[str, float]:
    """A frame's scores as pysaliency's models work them out, without what its datasets and caches add."""
    fixated = np.zeros(prediction.shape)
    fill_fixation_map(fixated, fixations[:, ::-1])
    positives = at(prediction, fixations)
    others = {"AUC-J": prediction[fixated == 0], "AUC-B": at(prediction, uniform), "sAUC": at(prediction, negatives)}
    p, b = (referee.convert_saliency_map_to_density(values) for values in (prediction, baseline))
    return {
        "CC": referee.CC(prediction, density),
        "SIM": referee.SIM(prediction, density),
        "KL": referee.MIT_KLDiv(prediction, density),
        "NSS": referee.NSS(prediction, *fixations.T).mean(),
        "IG": np.log2(at(p, fixations) / at(b, fixations)).mean(),
    } | {name: area(positives, values) for name, values in others.items()}


def at(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The values of a map at points x, y."""
    return values[points[:, 1], points[:, 0]]


if __name__ == "__main__":
    sys.exit(command("metrics", __doc__))
