"""Turns and mimes: one law for both, so that their timing tells nothing."""

import itertools

import numpy as np
import pytest

from scripts.blind_baseline import baseline
from vasal_jax.scenes.turns import REST, sample_turns


@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_mouth_has_one_movement_at_a_time_and_rests_in_between(n):
    for seed in range(40):
        speech, mimes = sample_turns(n, 12.0, np.random.default_rng(seed))
        for turns in (speech, mimes):
            assert len(turns) >= 3
            for turn, following in itertools.pairwise(turns):
                assert turn.end < following.start
                assert turn.face != following.face
            assert all(0 <= turn.start < turn.end <= 12 for turn in turns)
        for face in range(n):
            own = sorted((turn for turn in speech + mimes if turn.face == face), key=lambda turn: turn.start)
            for turn, following in itertools.pairwise(own):
                assert following.start - turn.end >= REST - 1e-9


def test_somebody_speaks_most_of_the_time_even_where_there_are_two():
    shares = []
    for seed in range(100):
        speech, _ = sample_turns(2, 8.0, np.random.default_rng(seed))
        shares.append(sum(turn.end - turn.start for turn in speech) / 8)
    assert 0.6 < min(shares) < np.mean(shares) < 0.9


def test_timing_alone_does_not_name_the_speaker():
    """A logistic regression on starts and stops is at chance; on version 1, where mimes fill gaps, it is not."""
    share, frames = baseline(60)
    assert frames > 6000
    assert share == pytest.approx(0.5, abs=0.07)
    assert baseline(60, version=1)[0] > 0.7
