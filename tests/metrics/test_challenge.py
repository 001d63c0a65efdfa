"""The challenge's scores, held against what the challenge's own program gave for a drawn set."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from data.challenge import read_challenge
from vasal_jax.inputs.map_videos import read_maps
from vasal_jax.metrics import challenge

FIXTURE = Path(__file__).parents[1] / "fixtures" / "challenge"
EXPECTED = json.loads((FIXTURE / "expected_scores.json").read_text())
KEYS = {"AUC-J": "auc_judd", "CC": "cc", "SIM": "sim", "NSS": "nss"}


@pytest.mark.parametrize("video", sorted(EXPECTED))
def test_every_frame_scores_as_the_challenge_s_program_has_it(video):
    dataset, _ = read_challenge(FIXTURE, progress=False)
    record = next(record for record in dataset.records if record.id == video)
    submitted = list(read_maps(FIXTURE / "Submission" / f"{video}.mp4"))
    truth, fixations = read_maps(record.maps), record.fixated_pixels()
    scores = [challenge.score(*frame) for frame in zip(submitted, truth, fixations, strict=True)]
    for name, key in KEYS.items():
        np.testing.assert_allclose([frame[name] for frame in scores], EXPECTED[video][key], rtol=0, atol=1e-6)


def test_auc_judd_is_exact_where_pixels_tie():
    """Against the definition, pixel by pixel."""
    rng = np.random.default_rng(3)
    prediction = rng.integers(0, 4, (9, 11)).astype(float)
    fixations = np.stack([rng.integers(0, 9, 7), rng.integers(0, 11, 7)], axis=1)
    thresholds = sorted((prediction[r, c] for r, c in fixations), reverse=True)
    points = [(0.0, 0.0)]
    for k, threshold in enumerate(thresholds, 1):
        above = sum(value >= threshold for value in prediction.ravel())
        points.append(((above - k) / (prediction.size - 2), k / 7))
    points.append((1.0, 1.0))
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(points))
    assert challenge.auc_judd(prediction, fixations) == pytest.approx(area, abs=1e-12)


def test_one_column_is_counted_where_row_and_column_agree_everywhere():
    """The program counts distinct columns of the list: one where every fixation lies on the diagonal."""
    prediction = np.arange(16.0).reshape(4, 4)
    diagonal = np.array([[0, 0], [2, 2]])
    # Values 10 and 0: at or above are 6 and 16 pixels, less the hits 5 and 14, of 15.
    assert challenge.auc_judd(prediction, diagonal) == pytest.approx(
        np.trapezoid([0, 0.5, 1, 1], [0, 5 / 15, 14 / 15, 1])
    )


def test_a_frame_without_fixations_has_no_score_that_needs_them():
    rng = np.random.default_rng(0)
    scores = challenge.score(rng.random((5, 6)), rng.random((10, 12)), np.empty((0, 2), int))
    assert np.isnan([scores["AUC-J"], scores["NSS"]]).all()
    assert np.isfinite([scores["CC"], scores["SIM"]]).all()


def test_a_constant_map_gives_numbers():
    fixations = np.array([[1, 2], [3, 4]])
    scores = challenge.score(np.full((8, 8), 7.0), np.random.default_rng(0).random((8, 8)), fixations)
    assert scores["CC"] == scores["NSS"] == scores["SIM"] == 0
    assert np.isfinite(scores["AUC-J"])
