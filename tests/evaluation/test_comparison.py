"""Comparing two tables: the test, what must agree, and frames that only one of them has."""

import re
from functools import partial

import numpy as np
import pytest

from tests.helpers.scores import SETTINGS, frames, table
from vasal_jax.errors import InputError
from vasal_jax.evaluation import result_files, statistics
from vasal_jax.evaluation.comparison import compare
from vasal_jax.metrics.saliency import METRICS


def drawn(seed: int, shift: float = 0.0, videos: int = 20) -> dict:
    rng = np.random.default_rng(seed)
    return {str(v): frames(*(rng.normal(v / 10 + shift, 0.3, 9))) for v in range(videos)}


def test_an_exact_permutation_test():
    """5 videos, one model always better: of the 32 ways to swap, 2 are as far apart."""
    better = {str(v): frames(v + 1 + 0.1 * v) for v in range(5)}
    worse = {str(v): frames(v) for v in range(5)}
    found = compare(table(a=better), table(b=worse))
    for i, metric in enumerate(METRICS):
        assert found[metric]["first"] == pytest.approx(3.2 * (1 + i))
        assert found[metric]["second"] == pytest.approx(2 * (1 + i))
        assert found[metric]["difference"] == pytest.approx(1.2 * (1 + i))
        assert found[metric]["p"] == pytest.approx(2 / 32)
        assert found[metric]["videos"] == 5
        assert found[metric]["ci95"][0] >= 1 + i


def test_chance_and_a_true_difference_are_told_apart():
    first, same, better = table(m=drawn(1)), table(m=drawn(2)), table(m=drawn(2, shift=0.5))
    assert compare(first, same)["NSS"]["p"] > 0.05
    assert compare(first, better)["NSS"]["p"] < 0.001
    assert compare(first, better)["NSS"]["difference"] < 0
    assert compare(first, first)["NSS"]["p"] == 1


def test_rows_are_chosen_by_name_and_videos_by_what_both_have():
    both = table(m=drawn(1), n=drawn(1, shift=1.0))
    found = compare(both, both, second_row="n")
    assert found["CC"]["difference"] == pytest.approx(-1, abs=1e-6)
    fewer = table(m={video: scores for video, scores in drawn(1).items() if int(video) < 7})
    assert compare(both, fewer)["CC"]["videos"] == 7
    assert compare(both, fewer)["CC"]["difference"] == 0


def test_what_cannot_be_compared():
    """`SETTINGS` lists what two tables must share, so that none of it can be dropped from what is checked."""
    first = table(m=drawn(1))
    for key in SETTINGS:
        other = {**first, "settings": SETTINGS | {key: "other"}}
        with pytest.raises(
            InputError, match=rf"same conventions, found {key} {SETTINGS[key]} and other; evaluate both"
        ):
            compare(first, other)
        older = {**first, "settings": {name: value for name, value in SETTINGS.items() if name != key}}
        for pair in ((first, older), (older, first), (older, older)):
            with pytest.raises(InputError, match=f"say their {key}, found some of an earlier version"):
                compare(*pair)
    with pytest.raises(InputError, match="expected one of the rows m, found 'n'"):
        compare(first, first, second_row="n")
    elsewhere = table(m={"other": frames(1)})
    with pytest.raises(InputError, match="found no frame in common"):
        compare(first, elsewhere)


def test_rows_of_different_truths_are_refused():
    scores = {"m": drawn(1), "m, against half": drawn(2)}
    both = statistics.summarise(scores, SETTINGS, {"m, against half": "half of the subjects"})
    expected = "same truth, found m against all subjects and m, against half against half of the subjects"
    with pytest.raises(InputError, match=expected):
        compare(both, both, second_row="m, against half")


@pytest.fixture
def halved(tmp_path):
    """Two files of the same random scores; the second lacks every other frame, so that its means differ."""
    rng = np.random.default_rng(0)
    scores = {str(v): frames(*rng.normal(v, 1, 40)) for v in range(13)}
    missing = {
        video: {m: np.where(np.arange(40) % 2, v, np.nan) for m, v in of.items()} for video, of in scores.items()
    }
    notes = {video: {"seconds": np.arange(40) / 25} for video in scores}
    paths = tmp_path / "whole.json", tmp_path / "half.json"
    for path, of in zip(paths, (scores, missing), strict=True):
        rows = {"m": of}
        result_files.write_all(path, statistics.summarise(rows, SETTINGS), rows, notes, {})
    return paths


def compared(first, second):
    results = [result_files.read_json(path) for path in (first, second)]
    return compare(*results, None, None, *(partial(result_files.read_frames, path) for path in (first, second)))


def test_only_frames_that_both_have_are_compared(halved):
    """On common frames both files have the same scores, so every difference is 0."""
    means = [result_files.read_json(path)["rows"][0]["mean_over_videos"]["CC"] for path in halved]
    assert abs(means[0] - means[1]) > 0.01
    for metric, numbers in compared(*halved).items():
        assert numbers["difference"] == 0, metric
        assert (numbers["videos"], numbers["frames"]) == (13, 13 * 20)
    assert compared(halved[0], halved[0])["CC"]["frames"] == 13 * 40


def test_what_people_would_reach_is_compared_on_its_own_frames(halved):
    """An extrapolated row has no scores of single frames; the other row is averaged over the frames behind it."""
    whole, people = (result_files.read_json(path) for path in halved)
    people["rows"][0]["extrapolated_from"] = {}
    found = compare(whole, people, None, None, partial(result_files.read_frames, halved[0]), None)
    assert found["CC"]["difference"] == pytest.approx(0, abs=1e-5)
    assert found["CC"]["frames"] == 13 * 20
    with pytest.raises(InputError, match="m: was not scored on the frames of the other row"):
        compare(people, whole, None, None, None, None)


def test_other_frames_without_the_scores_of_single_ones_are_refused(halved):
    results = [result_files.read_json(path) for path in halved]
    with pytest.raises(InputError, match="m: was not scored on the frames of the other row"):
        compare(*results)
    path = result_files.beside(halved[0], "_frames.csv")
    path.write_text(re.sub(r"(?m)^m,0,1,0\.04,[^,]*", "m,0,1,0.04,9", path.read_text()))
    with pytest.raises(InputError, match="the scores of the frames of video 0 are of another run"):
        compared(*halved)
    path.write_text("row,video\nm,0\n")
    with pytest.raises(InputError, match=r"whole_frames\.csv: expected the scores of frames .* found something else"):
        compared(*halved)
    path.unlink()
    with pytest.raises(InputError, match=r"whole_frames\.csv: no such file, expected the scores of frames"):
        compared(*halved)
