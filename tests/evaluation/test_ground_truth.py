"""`GroundTruth` at a resolution, its halves, the centre prior, the negatives and the derangement of sounds."""

import numpy as np
import pytest

from tests.helpers.recorded_video import RecordedVideo
from vasal_jax.evaluation.ground_truth import Conventions, GroundTruth, centre_prior, derangement, negatives
from vasal_jax.inputs.fixations import fixation_counts, fixation_density

GRID = (720, 1280)
CONVENTIONS = Conventions(size=(45, 80), sigma=60.0, negatives=50, seed=1)


def video(name: str, seed: int, frames: int = 6, subjects: int = 9) -> RecordedVideo:
    """A video with fixations around one random place; the last subject has none."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((200, 100), (1000, 600)) + rng.normal(0, 60, (frames, subjects, 2))
    points[:, -1] = np.nan
    points[2, 0] = -5, 10
    points = points.astype(np.float32)
    return RecordedVideo(name, frames, grid=GRID, points=points)


@pytest.fixture
def videos() -> list[RecordedVideo]:
    return [video(name, seed) for seed, name in enumerate("abcd")]


def test_points_fall_into_the_pixels_that_are_counted(videos):
    pixels, mask = GroundTruth.of(videos[0]).pixels(CONVENTIONS)
    for frame, (points, real) in enumerate(zip(pixels, mask, strict=True)):
        counts = np.zeros(CONVENTIONS.size, int)
        np.add.at(counts, (points[real, 1], points[real, 0]), 1)
        np.testing.assert_array_equal(counts, fixation_counts(videos[0].fixations()[frame], CONVENTIONS.size))
    assert mask.sum() == 6 * 8 - 1


def test_density_is_that_of_the_points_or_the_dataset_s_own(videos):
    truth = GroundTruth.of(videos[0])
    expected = fixation_density(videos[0].fixations(), CONVENTIONS.size, GRID, 60.0)
    np.testing.assert_array_equal(truth.density([4, 4], CONVENTIONS), expected[[4, 4]])
    own = np.zeros((90, 160), np.uint8)
    own[20:40, 30:60] = 200
    videos[0].own_map = own
    density = GroundTruth.of(videos[0]).density([4], CONVENTIONS)
    assert density.shape == (1, 45, 80)
    assert density[0, 15, 20] == 200
    assert density[0, 30, 60] == 0
    assert not GroundTruth.of(videos[0]).halves(CONVENTIONS)[0].has_pictures


def test_halves_split_the_subjects_who_looked(videos):
    truth = GroundTruth.of(videos[0])
    halves = [np.isfinite(half.points[..., 0]).any(0) for half in truth.halves(CONVENTIONS)]
    assert [half.sum() for half in halves] == [4, 4]
    assert not (halves[0] & halves[1]).any()
    assert (halves[0] | halves[1]).tolist() == [True] * 8 + [False]
    joined = np.where(np.isnan(truth.halves(CONVENTIONS)[0].points), truth.halves(CONVENTIONS)[1].points, truth.points)
    np.testing.assert_array_equal(joined, truth.points)
    others = {tuple(np.isfinite(truth.halves(Conventions(seed=s))[0].points[0, :, 0])) for s in range(9)}
    assert len(others) > 3


def test_the_centre_prior_is_the_mean_density(videos):
    prior = centre_prior(videos, CONVENTIONS)
    densities = [
        fixation_density(v.fixations().reshape(-1, 2), CONVENTIONS.size, GRID, CONVENTIONS.sigma).astype(float)
        for v in videos
    ]
    expected = 0.99 * np.mean(densities, axis=0) + 0.01 / (45 * 80)
    assert prior.dtype == np.float32
    assert prior.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(prior, expected, atol=0.02 * expected.max())  # points are rounded to pixels of the map


def test_without_training_videos_the_prior_is_a_gaussian():
    prior = centre_prior([], CONVENTIONS)
    assert prior.sum() == pytest.approx(1, abs=1e-5)
    assert np.unravel_index(prior.argmax(), prior.shape) in [(22, 39), (22, 40)]
    np.testing.assert_allclose(prior, prior[::-1, ::-1], rtol=1e-5)
    floor = 0.01 / prior.size
    # A quarter of the width from the middle, the height is exp(-1/2) of the peak.
    ratio = (prior[22, 59:61].mean() - floor) / (prior[22, 39:41].mean() - floor)
    assert ratio == pytest.approx(np.exp(-0.5), rel=0.02)


def test_negatives_are_fixations_of_the_other_videos(videos):
    truths = [GroundTruth.of(v) for v in videos]
    chosen = negatives(truths, CONVENTIONS)
    for truth in truths:
        points, mask = chosen[truth.video.id]
        assert points.shape == (50, 2)
        assert mask.all()
        others = {
            tuple(p) for t in truths if t is not truth for p in t.pixels(CONVENTIONS)[0][t.pixels(CONVENTIONS)[1]]
        }
        assert {tuple(p) for p in points} <= others
    again = negatives(truths, CONVENTIONS)
    assert all(np.array_equal(again[v][0], chosen[v][0]) for v in chosen)
    other = negatives(truths, Conventions(CONVENTIONS.size, CONVENTIONS.sigma, 50, seed=2))
    assert not np.array_equal(other["a"][0], chosen["a"][0])
    assert not negatives(truths[:1], CONVENTIONS)["a"][1].any()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_derangement_gives_each_video_once_and_none_to_itself(videos, count):
    for seed in range(20):
        partners = derangement(videos[:count], Conventions(seed=seed))
        assert sorted(partner.id for partner in partners.values()) == list("abcd")[:count]
        assert all(partner.id != name for name, partner in partners.items())
