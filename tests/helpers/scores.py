"""Scores of frames and settings as an evaluation has them, small enough to work out by hand."""

import numpy as np

from vasal_jax.evaluation import statistics
from vasal_jax.metrics.saliency import METRICS

SETTINGS = {"dataset": "mvva", "split": "test", "sigma": 28.0, "seed": 0, "truth_resolution": "640x360"}


def frames(*values: float) -> dict[str, np.ndarray]:
    """Every metric with these values, times its place in the list."""
    return {metric: np.array(values, np.float32) * (1 + i) for i, metric in enumerate(METRICS)}


def table(**rows: dict) -> dict:
    return statistics.summarise(rows, SETTINGS)
