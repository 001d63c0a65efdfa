"""Scores of single frames and settings of a result, small enough that tests can compute means by hand."""

import numpy as np

from vasal_jax.evaluation import statistics
from vasal_jax.metrics.saliency import METRICS

SETTINGS = {
    "dataset": "mvva",
    "split": "test",
    "split_rule": "test=281-343; training=all others",
    "density": "Gaussian, sigma 28 pixels of 1280x720",
    "sigma": 28.0,
    "truth_resolution": "640x360",
    "centre_prior": "mean density of 219 training videos",
    "negatives_per_video": 4096,
    "seed": 0,
    "truth_sha256": "a" * 64,
    "centre_prior_sha256": "b" * 64,
    "negatives_sha256": "c" * 64,
}


def frames(*values: float) -> dict[str, np.ndarray]:
    """Scores of the frames of a video: `values` times 1 for the first of `METRICS`, times 2 for the second, ..."""
    return {metric: np.array(values, np.float32) * (1 + i) for i, metric in enumerate(METRICS)}


def table(**rows: dict) -> dict:
    """The results of rows, by name the scores of `frames` of each video."""
    return statistics.summarise(rows, SETTINGS)
