"""From scores of frames to tables: means, intervals, comparisons, files."""

import numpy as np
import pytest

from tests.helpers.scores import SETTINGS, frames, table
from vasal_jax.errors import InputError
from vasal_jax.evaluation import statistics
from vasal_jax.metrics.saliency import METRICS


def drawn(seed: int, shift: float = 0.0, videos: int = 20) -> dict:
    rng = np.random.default_rng(seed)
    return {str(v): frames(*(rng.normal(v / 10 + shift, 0.3, 9))) for v in range(videos)}


def test_means_over_videos_and_over_frames_are_two_things():
    found = table(m={"1": frames(1, 2, 3), "2": frames(10, np.nan), "3": frames(np.nan)})
    row = found["rows"][0]
    assert row["name"] == "m"
    assert row["videos"]["1"] == {metric: 2 * (1 + i) for i, metric in enumerate(METRICS)}
    assert row["videos"]["2"]["CC"] == 10
    assert row["videos"]["3"]["CC"] is None
    assert row["mean_over_videos"] == {metric: 6 * (1 + i) for i, metric in enumerate(METRICS)}
    assert row["mean_over_frames"] == {metric: 4 * (1 + i) for i, metric in enumerate(METRICS)}
    assert (row["frames_scored"], row["frames_skipped"]) == (4, 2)
    assert found["settings"] == SETTINGS


def test_one_metric_may_be_unknown():
    scores = frames(1, 2)
    scores["sAUC"][:] = np.nan
    row = table(m={"1": scores})["rows"][0]
    assert row["mean_over_videos"]["sAUC"] is None
    assert row["mean_over_videos"]["CC"] == 1.5
    assert row["frames_skipped"] == 0
    assert row["ci95"]["CC"] is None  # one video says nothing of others


def test_the_interval_is_that_of_a_bootstrap_over_videos():
    values = np.random.default_rng(0).normal(3, 2, 60)
    low, high = statistics.interval(values)
    half = 1.96 * values.std() / np.sqrt(60)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert statistics.interval(values) == [low, high]
    assert statistics.interval(np.array([0.5, 0.5, np.nan])) == [0.5, 0.5]
    assert statistics.interval(np.array([0.5, np.nan])) is None


def test_an_exact_permutation_test():
    """5 videos, one model always better: of the 32 ways to swap, 2 are as far apart."""
    better = {str(v): frames(v + 1 + 0.1 * v) for v in range(5)}
    worse = {str(v): frames(v) for v in range(5)}
    found = statistics.compare(table(a=better), table(b=worse))
    for i, metric in enumerate(METRICS):
        assert found[metric]["first"] == pytest.approx(3.2 * (1 + i))
        assert found[metric]["second"] == pytest.approx(2 * (1 + i))
        assert found[metric]["difference"] == pytest.approx(1.2 * (1 + i))
        assert found[metric]["p"] == pytest.approx(2 / 32)
        assert found[metric]["videos"] == 5
        assert found[metric]["ci95"][0] >= 1 + i


def test_chance_and_a_true_difference_are_told_apart():
    first, same, better = table(m=drawn(1)), table(m=drawn(2)), table(m=drawn(2, shift=0.5))
    assert statistics.compare(first, same)["NSS"]["p"] > 0.05
    assert statistics.compare(first, better)["NSS"]["p"] < 0.001
    assert statistics.compare(first, better)["NSS"]["difference"] < 0
    assert statistics.compare(first, first)["NSS"]["p"] == 1


def test_rows_are_chosen_by_name_and_videos_by_what_both_have():
    both = table(m=drawn(1), n=drawn(1, shift=1.0))
    found = statistics.compare(both, both, second_row="n")
    assert found["CC"]["difference"] == pytest.approx(-1, abs=1e-6)
    fewer = table(m={video: scores for video, scores in drawn(1).items() if int(video) < 7})
    assert statistics.compare(both, fewer)["CC"]["videos"] == 7
    assert statistics.compare(both, fewer)["CC"]["difference"] == 0


def test_what_cannot_be_compared():
    first = table(m=drawn(1))
    other = {**first, "settings": SETTINGS | {"sigma": 20.0}}
    with pytest.raises(InputError, match=r"same conventions, found sigma 28\.0 and 20\.0"):
        statistics.compare(first, other)
    with pytest.raises(InputError, match="expected one of the rows m, found 'n'"):
        statistics.compare(first, first, second_row="n")
    elsewhere = table(m={"other": frames(1)})
    with pytest.raises(InputError, match="found none in common"):
        statistics.compare(first, elsewhere)
