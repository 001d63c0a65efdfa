"""From scores of frames to tables: means, intervals, comparisons, files."""

import numpy as np
import pytest

from tests.helpers.scores import SETTINGS, frames, table
from vasal_jax.evaluation import statistics
from vasal_jax.metrics.saliency import METRICS


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


def test_frames_are_written_down_as_ranges():
    for text in ("", "0", "0-3", "0,2-3", "1,3,5-6"):
        flags = np.isin(np.arange(7), sorted(statistics.frames_in(text)))
        assert statistics.frame_ranges(flags) == text
    row = table(m={"1": frames(1, np.nan, 2), "2": frames(np.nan)})["rows"][0]
    assert row["frames"] == {"1": "0,2", "2": ""}
