"""The scores of human observers on gaze drawn independently from a moving mixture, whose best scores are known."""

import numpy as np
import pytest

from tests.helpers.recorded_video import RecordedVideo
from vasal_jax.evaluation import statistics
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, centre_prior
from vasal_jax.evaluation.people import EXTRAPOLATED, HALVES, extrapolated, half_row, viewer_rows
from vasal_jax.evaluation.rows import GAZE, also_against_half, baseline_rows
from vasal_jax.evaluation.scores import Evaluation
from vasal_jax.inputs.fixations import fixation_density, valid_points
from vasal_jax.metrics.saliency import METRICS

CONVENTIONS = Conventions(size=(36, 64), sigma=3.0, negatives=500, seed=1)
GRID = (72, 128)


def watched(name: str, frames: int = 50, subjects: int = 34, crowd: int = 3000) -> RecordedVideo:
    """Two thirds of the people look at one moving place and one third at another; the law is a crowd's density."""
    rng = np.random.default_rng(ord(name))
    places = rng.uniform((25, 15), (100, 55), (2, 2)) + rng.normal(0, 0.6, (frames, 2, 2)).cumsum(0)
    chosen = (rng.random((frames, crowd + subjects)) < 1 / 3).astype(int)
    points = places[np.arange(frames)[:, None], chosen] + rng.normal(0, 4, (frames, crowd + subjects, 2))
    points[~valid_points(points, GRID)] = np.nan
    law = fixation_density(points[:, subjects:], CONVENTIONS.size, GRID, CONVENTIONS.sigma)
    return RecordedVideo(name, frames, points=points[:, :subjects].astype(np.float32), law=law)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The means over videos of every metric by line of the table, and the extrapolated row."""
    videos = [watched(name) for name in "abcdefgh"]
    truths, prior = [GroundTruth.of(video) for video in videos], centre_prior(videos, CONVENTIONS)
    rows = [*map(also_against_half, baseline_rows(truths, prior, CONVENTIONS)), half_row(CONVENTIONS)]
    viewers = viewer_rows(truths, CONVENTIONS)
    evaluation = Evaluation(truths, CONVENTIONS, prior, tmp_path_factory.mktemp("work"))
    scores = evaluation.run([*rows, *viewers.values()])
    by_number = {n: scores.pop(row.name) for n, row in viewers.items()}
    assert list(by_number) == [2, 4, 8, 17]
    lines = {line: truth for row in rows for line, truth in row.lines.items()}
    found = statistics.summarise(scores, {}, lines, by_number)["rows"]
    return {row["name"]: row for row in found}


def test_infinitely_many_people_reach_what_the_law_reaches(results):
    """Both are scored against the same half. The score of 17 people is much lower, so it is no bound."""
    people, half, law = (results[name] for name in (EXTRAPOLATED, HALVES, f"{GAZE}, against half"))
    assert people["truth"] == half["truth"] == law["truth"] == "half of the subjects"
    for metric, tolerance in {"CC": 0.02, "SIM": 0.03, "NSS": 0.03, "KL": 0.1, "AUC-J": 0.01, "IG": 0.15}.items():
        best, reached, so_far = (row["mean_over_videos"][metric] for row in (law, people, half))
        assert reached == pytest.approx(best, abs=tolerance), metric
        if metric != "AUC-J":  # 17 people are within 0.007 of the best there
            assert abs(reached - best) < 0.7 * abs(so_far - best), metric
    low, high = people["ci95"]["NSS"]
    assert low < people["mean_over_videos"]["NSS"] < high


def test_the_law_scores_more_against_all_than_against_half(results):
    """So a model's score against all subjects must not be compared with people's against half of them."""
    assert results[GAZE]["mean_over_videos"]["CC"] > results[f"{GAZE}, against half"]["mean_over_videos"]["CC"] + 0.02


def test_the_row_says_what_it_was_extrapolated_from(results):
    people = results[EXTRAPOLATED]
    assert list(people["extrapolated_from"]) == ["2", "4", "8", "17"]
    reached = [means["NSS"] for means in people["extrapolated_from"].values()]
    assert reached == sorted(reached)
    assert reached[-1] < people["mean_over_videos"]["NSS"]
    # Half of the subjects are 17 in every video, all of whom look in every frame.
    assert people["extrapolated_from"]["17"] == pytest.approx(results[HALVES]["mean_over_videos"], rel=1e-5)


@pytest.mark.parametrize("subjects", [6, 15])
def test_too_few_subjects_are_not_extrapolated_from(subjects):
    truths = [GroundTruth.of(watched("a", frames=3, crowd=1)), GroundTruth.of(watched("b", 3, subjects, crowd=1))]
    assert viewer_rows(truths, CONVENTIONS) == {}


def test_a_line_is_followed_to_its_end():
    n, limits = np.array([2, 4, 8, 16]), np.array([0.8, 0.7, 0.5, 5.0, 0.9, 0.9, 0.85, 3.0])
    slopes = np.array([2.0, 3.0, 0.7, 0.05, -0.4, -0.4, -0.5, -0.9])
    square = (lambda s: s**-2, lambda y: y**-0.5)
    linear = {m: square if m in ("CC", "SIM", "NSS") else (lambda s: s, lambda y: y) for m in METRICS}
    scores = np.stack(
        [
            linear[m][1](linear[m][0](limit) + slope / n)
            for m, limit, slope in zip(METRICS, limits, slopes, strict=True)
        ],
        -1,
    )
    np.testing.assert_allclose(extrapolated(n, scores), limits, rtol=1e-9)
    scores[0, 0] = -0.01  # worse than chance, so there is no extrapolation
    assert np.isnan(extrapolated(n, scores)).tolist() == [True] + [False] * 7
