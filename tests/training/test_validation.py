"""Validation: its scores for each memory against explicit runs of the model, and the choice of the best weights."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from tests.helpers.batches import drawn_batch, drawn_params
from tests.helpers.models import small_config
from vasal_jax.config import Memory
from vasal_jax.training import losses, sharding
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig
from vasal_jax.training.step import Training
from vasal_jax.training.validation import Validator, score

FRAMES, LENGTH = 12, 4  # of each video, of a clip


class Log:
    """Stands in for the run's log and keeps what it is given."""

    def validation(self, number, terms, memory):
        self.memory = memory

    def overlay(self, number, index, batch, logits):
        self.logits = logits


@pytest.fixture(scope="module")
def training() -> Training:
    # Without a face branch: less to compile, and the state of the ConvLSTM is what matters.
    return Training(small_config(face=(), face_audio=0), LossWeights(), OptimizerConfig(), 10)


@pytest.fixture(scope="module")
def videos() -> dict[str, np.ndarray]:
    """Two videos as two long clips."""
    batch = drawn_batch(2, steps=FRAMES, seed=3)
    for name in ("mel", "face_map"):  # smaller, so that the visual branch, which has a memory, counts
        batch[name] = batch[name] * np.float32(0.01)
    batch["density"] = np.roll(batch["density"], 1, axis=0) + batch["density"]  # `drawn_batch` gives clip 0 none
    return batch


@pytest.fixture(scope="module")
def run(training):
    params, compiled = drawn_params(training.model), jax.jit(training.forward)
    params["fusion.head.kernel"] *= 20  # so that maps are far from uniform
    return params, lambda part: np.asarray(compiled(params, part)[0])


def of_steps(batch, training, begin, end):
    return {name: batch[name][:, begin:end] for name in training.fields}


def by_hand(training, videos, logits) -> float:
    """Mean KL of the videos' logits (2, FRAMES, 32, 32)."""
    fields = of_steps(videos, training, 0, FRAMES)
    sums, counts = losses.sums(logits, None, fields), losses.counts(fields)
    return float(sums["kl"] / counts["kl"])


@pytest.mark.parametrize(
    ("memory", "runs"),  # of each run: its first frame, and first and end of the frames that are scored
    [
        ("reset/4", [(0, 0, 4), (4, 4, 8), (8, 8, 12)]),
        ("continuous", [(0, 0, 12)]),
        ("overlap/4", [(0, 0, 4), (2, 4, 6), (4, 6, 8), (6, 8, 10), (8, 10, 12)]),
    ],
)
def test_a_validation_measures_the_memory_that_it_says(training, videos, run, memory, runs):
    params, logits_of = run
    logits = [logits_of(of_steps(videos, training, begin, end))[:, first - begin :] for begin, first, end in runs]
    expected = by_hand(training, videos, np.concatenate(logits, axis=1))
    mesh, log = sharding.make_mesh(), Log()
    clips = [
        {name: value[:, i : i + LENGTH] if value.ndim > 1 else value for name, value in videos.items()}
        for i in range(0, FRAMES, LENGTH)
    ]
    found = Validator(training, mesh, Memory.parse(memory), 1)(sharding.replicate(params, mesh), clips, log, 5)
    assert found["kl"] == pytest.approx(expected, rel=1e-5)
    assert log.memory == memory
    assert log.logits.shape == (1, LENGTH, 32, 32)
    if memory != "continuous":
        other = by_hand(training, videos, logits_of(of_steps(videos, training, 0, FRAMES)))
        assert abs(found["kl"] - other) > 1e-4 * other


@pytest.mark.parametrize(("best", "expected"), [("kl", 1.5), ("cc", -0.5), ("loss", 1.5 - 0.2 * 0.5)])
def test_the_best_weights_are_chosen_by(best, expected):
    assert score({"kl": 1.5, "cc": 0.5}, best, LossWeights(kl=1.0, cc=0.2)) == pytest.approx(expected)


def test_weights_without_the_term_are_never_the_best():
    assert math.isnan(score({"kl": 1.5}, "nss", dataclasses.replace(LossWeights(), nss=1.0)))
