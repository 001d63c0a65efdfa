"""The simulated gaze: what draws it, with which delays, and the law that it is drawn from."""

import dataclasses

import numpy as np
import pytest

from data.gaze import PICTURE, Gaze, Subjects, gaze_law, sample_gaze
from vasal_jax.inputs.fixations import fixation_counts, fixation_density
from vasal_jax.scenes import Scene


@pytest.fixture(scope="module")
def scenes():
    """24 scenes of 8 s, each with the simulated gaze on it."""
    subjects = Subjects.sample(np.random.default_rng(0), Gaze())
    scenes = [Scene.make(seed, width=128, height=72) for seed in range(24)]
    return [(scene, sample_gaze(scene, subjects, np.random.default_rng(scene_seed), Gaze()))
            for scene_seed, scene in enumerate(scenes)]  # fmt: skip


def boxes_of(scene: Scene) -> np.ndarray:
    return scene.boxes * np.tile(PICTURE / (scene.width, scene.height), 2)


def shares(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Share of a frame's fixations in each face's box, (F,N)."""
    boxes = boxes_of(scene)[:, :, None]
    inside = ((points[:, None] >= boxes[..., :2]) & (points[:, None] < boxes[..., 2:])).all(-1)
    return inside.sum(-1) / np.maximum(1, np.isfinite(points[..., 0]).sum(-1))[:, None]


def test_gaze_follows_the_speaker_and_hardly_the_mouth_mover(scenes):
    speaker, mime, other = [], [], []
    for scene, points in scenes:
        on, talking, moving = shares(scene, points), scene.talking.T == 1, scene.mouth_moving.T == 1
        someone = talking.any(axis=1)[:, None]
        speaker += on[talking].tolist()
        mime += on[someone & moving & ~talking].tolist()
        other += on[someone & ~moving].tolist()
    assert np.mean(speaker) > 0.45
    assert np.mean(speaker) > 4 * np.mean(mime)
    assert np.mean(other) < np.mean(mime) < 1.8 * np.mean(other)


def test_gaze_changes_some_hundred_ms_after_the_speaker(scenes):
    lags = np.arange(-10, 26)  # frames of 1/25 s
    agreement = np.zeros(len(lags))
    for scene, points in scenes:
        on, talking = shares(scene, points), scene.talking.T - scene.talking.T.mean(axis=0)
        middle = np.arange(10, scene.n_frames - 26)
        agreement += [(on[middle + lag] * talking[middle]).sum() for lag in lags]
    peak = lags[agreement.argmax()] / 25
    assert 0.25 < peak < 0.75
    assert agreement[lags == 0] < 0.85 * agreement.max()


def test_the_lag_is_the_subject_s_own():
    scene, delays = Scene.make(2, faces=2), []
    for lag in (0.2, 0.6):
        gaze = Gaze(lag=(lag, lag), capture=1.0, absence=0.0)
        points = sample_gaze(scene, Subjects.sample(np.random.default_rng(1), gaze), np.random.default_rng(2), gaze)
        on = shares(scene, points)
        begins, face = np.argwhere(np.diff(scene.talking.T, axis=0) == 1)[1] + (1, 0)
        assert on[begins, face] < 0.3
        delays.append((on[begins:, face] > 0.5).argmax() / scene.fps)
    assert delays[0] == pytest.approx(0.2, abs=0.081)
    assert delays[1] == pytest.approx(0.6, abs=0.081)


def test_the_object_draws_gaze_while_it_is_there(scenes):
    there, never = [], []
    for scene, points in scenes:
        path = scene.object_positions * 10
        visible = np.isfinite(path[:, 0])
        seen = np.convolve(visible, np.ones(16), "valid")[: len(visible) - 15] == 16  # for 0.6 s already
        frames = np.flatnonzero(seen) + 15
        radius = 2.5 * scene.object_radius * 10
        there += (np.linalg.norm(points[frames] - path[frames, None], axis=-1) < radius).mean(axis=1).tolist()
        # The same path, long before or after the object.
        other = np.flatnonzero(~visible)[: len(frames)]
        frames = frames[: len(other)]
        never += (np.linalg.norm(points[other] - path[frames, None], axis=-1) < radius).mean(axis=1).tolist()
    assert np.mean(there) > 0.12
    assert np.mean(there) > 3 * np.mean(never)


def test_clips_begin_in_the_middle(scenes):
    start = np.concatenate([points[:4].reshape(-1, 2) for _, points in scenes])
    start = start[np.isfinite(start[:, 0])]
    np.testing.assert_allclose(start.mean(axis=0), (640, 360), atol=15)
    np.testing.assert_allclose(start.std(axis=0), Gaze().centre_scatter, rtol=0.2)


def test_knowing_the_speaker_beats_the_centre_prior(scenes):
    """KL and NSS of three maps at 32x32: a centre prior, all faces equally, and whoever spoke 0.4 s before."""
    cells = (np.stack(np.meshgrid(*[np.arange(32)] * 2), axis=-1) + 0.5) / 32 * PICTURE
    prior = np.exp(-0.5 * (((cells - PICTURE / 2) / (0.2 * PICTURE)) ** 2).sum(-1))
    scores = {"prior": [], "faces": [], "speaker": []}
    for scene, points in scenes:
        boxes = boxes_of(scene)
        for index in range(12, scene.n_frames, 12):
            density = fixation_density(points[index], (32, 32))
            fixated = fixation_counts(points[index], (32, 32)) > 0
            middle, size = (
                (boxes[index, :, :2] + boxes[index, :, 2:]) / 2,
                np.diff(boxes[index].reshape(-1, 2, 2), axis=1),
            )
            blobs = np.exp(-0.5 * (((cells - middle[:, None, None]) / (0.25 * size[:, None])) ** 2).sum(-1))
            spoke = scene.talking[:, index - 10] + 0.06
            for name, face_map in {"prior": 0, "faces": blobs.sum(0), "speaker": np.tensordot(spoke, blobs, 1)}.items():
                mixed = 0.2 * prior / prior.sum() + (0.8 * face_map / face_map.sum() if np.ndim(face_map) else 0)
                mixed = mixed / mixed.sum()
                kl = (density * np.log(1e-12 + density / (mixed + 1e-12))).sum()
                nss = ((mixed - mixed.mean()) / mixed.std())[fixated].mean()
                scores[name].append((kl, nss))
    kl, nss = ({name: np.mean(pairs, axis=0)[k] for name, pairs in scores.items()} for k in (0, 1))
    assert kl["speaker"] < 0.8 * kl["faces"]
    assert kl["speaker"] < 0.55 * kl["prior"]
    assert nss["speaker"] > 1.2 * nss["faces"]
    assert nss["speaker"] > 2 * nss["prior"]


def test_gaze_is_recorded_like_gaze(scenes):
    gaze = Gaze()
    points = np.concatenate([points for _, points in scenes])
    missing = np.isnan(points).any(-1)
    np.testing.assert_array_equal(missing, np.isnan(points).all(-1))
    assert (points[~missing] >= 0).all()
    assert (points[~missing] < PICTURE).all()
    assert 0.05 < missing.mean() < 0.25
    # Steps are small within fixations and large between them.
    steps = np.concatenate([np.linalg.norm(np.diff(points, axis=0), axis=-1).ravel() for _, points in scenes])
    steps = steps[np.isfinite(steps)]
    assert np.median(steps) < 8
    jumps = (steps > 30).mean() * 25 / (1 - gaze.saccade_loss)
    assert 1 < jumps < 5  # a second


def test_the_law_is_the_limit_of_the_density_of_many_people():
    """The density of 3000 people, drawn apart from the law, is near it; that of 34 is ten times as far away."""
    scene, size = Scene.make(5, 4.0, 24.0, 320, 180), (36, 64)
    law = gaze_law(scene, np.random.default_rng(0), Gaze())
    np.testing.assert_allclose(law.weights.sum(1), 1, rtol=1e-5)
    crowd = dataclasses.replace(Gaze(), subjects=3000)
    points = sample_gaze(scene, Subjects.sample(np.random.default_rng(1), crowd), np.random.default_rng(2), crowd)
    frames = range(0, scene.n_frames, 7)
    expected = law.density(frames, size, 28.0)
    for people, limit in ((3000, 0.04), (34, 0.4)):
        found = fixation_density(points[list(frames), :people], size, sigma=28.0)
        distance = np.abs(found - expected).sum((1, 2)) / 2  # total variation
        assert distance.mean() < limit, people
        assert distance.mean() > limit / 3, people
