"""That the face branch learns who speaks, trained here and now: minutes, so not by default."""

import pytest

from data.datasets import open_dataset
from scripts.train_synthetic import ProofArgs, faces_first, prepare, speaker_found, variant
from train import train
from vasal_jax import weights
from vasal_jax.evaluation import Evaluation
from vasal_jax.rows import model_rows
from vasal_jax.truth import Scoring, Truth, centre_prior

STEPS = 150


@pytest.mark.slow
def test_the_face_branch_learns_who_speaks_from_lips_and_sound(tmp_path):
    """On videos that it was not trained on, far above chance, and further with sound than without."""
    args = ProofArgs(tmp_path, videos=40)
    dataset, splits = open_dataset(tmp_path / "faces", split=prepare(args))
    videos, scoring = splits.select(dataset.records, "test"), Scoring()
    truths = [Truth.of(video) for video in videos]
    evaluation = Evaluation(truths, scoring, centre_prior(videos, scoring), tmp_path / "scores")
    right = {}
    for name in ("visual, faces", "all"):
        first = faces_first(variant(name, args), STEPS)
        assert train(first) == 0
        row, *_ = model_rows(name, {}, [])
        evaluation.run([row], model=weights.load(first.export))
        found = {video.id: evaluation.face_weights(row, video) for video in videos}
        right[name], chance, frames = speaker_found(videos, found)
        print(f"{name}: {right[name]:.1%} of {frames} frames, chance {chance:.1%}")
    assert right["all"] > 0.65 > 2 * chance
    assert right["all"] > right["visual, faces"] + 0.1
