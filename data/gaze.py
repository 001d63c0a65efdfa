"""Where 34 simulated subjects look in a synthetic scene, and why.

A subject makes one fixation after another. Each lasts 0.2 to 0.6 s, belongs to one target (a face, the passing
object, the middle of the picture) and follows it. The target is sampled with weights that depend on what the subject
has noticed, which is the scene as it was one individual lag ago:

    the face that speaks             8, times the subject's attention (0.6 to 1.4)
    the face that spoke last         2 while nobody speaks
    a face that only moves its mouth 0.8
    any other face                   0.5
    the passing object               2.5 while it is in the picture
    the middle of the picture        0.8, 2 while nobody speaks, and all before anything is noticed

So with 4 faces and a mouth moving in silence the speaker gets 75% of the fixations of a person of attention 1, the
mouth-mover 8%. Somebody else beginning to speak cuts the fixation short with a chance of 0.8; whatever leaves the
picture always does. Only the sound tells the speaker from the mouth-mover, and only the picture shows the object.

On a face, gaze scatters in proportion to the face's box, around the height on it that the subject likes. Tremor, a
constant error of calibration, the frame of a saccade (lost every other time), blinks and subjects that were never
measured make it look recorded.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from data.gaze_law import GazeLaw
from vasal_jax.config import MVVA_GRID
from vasal_jax.inputs.fixations import valid_points
from vasal_jax.scenes import Scene

PICTURE = np.array((MVVA_GRID.width, MVVA_GRID.height), float)


@dataclass(frozen=True)
class Gaze:
    """The numbers of the model: seconds, pixels of the 1280x720 grid, shares of a face's box; pairs: x, y or limits."""

    subjects: int = 34
    lag: tuple[float, float] = (0.2, 0.6)  # from an event to noticing it, uniform over subjects
    fixation: tuple[float, float] = (0.2, 0.6)  # how long one lasts, uniform
    attention: tuple[float, float] = (0.6, 1.4)  # factor on the speaker's weight, uniform over subjects
    speaker: float = 8.0  # weights of the targets
    last_speaker: float = 2.0
    mouth_mover: float = 0.8
    other_face: float = 0.5
    passing_object: float = 2.5
    centre: float = 0.8
    centre_in_silence: float = 2.0
    capture: float = 0.8  # chance that a new speaker cuts a fixation short
    face_scatter: tuple[float, float] = (0.16, 0.14)  # standard deviations of fixations of one subject
    face_height: tuple[float, float] = (-0.06, 0.10)  # mean and deviation of where subjects look, from the middle down
    object_scatter: float = 0.5  # of the object's radius
    centre_scatter: tuple[float, float] = (110.0, 70.0)
    calibration: float = 8.0  # deviation of a subject's constant error, sampled for every video
    tremor: float = 2.0  # deviation of every frame on its own
    saccade_loss: float = 0.5  # chance that the first frame of a fixation is missing
    blinks: float = 0.2  # a second
    blink: tuple[float, float] = (0.1, 0.3)
    absence: float = 0.03  # chance that a subject has no recording of a video


@dataclass(frozen=True, eq=False)
class Subjects:
    """What stays with a subject from video to video; float (S,) each."""

    lag: np.ndarray  # seconds
    attention: np.ndarray
    face_height: np.ndarray  # where on faces they look, in face heights below the middle

    @classmethod
    def sample(cls, rng: np.random.Generator, gaze: Gaze) -> "Subjects":
        lag, attention = (rng.uniform(*limits, gaze.subjects) for limits in (gaze.lag, gaze.attention))
        return cls(lag, attention, rng.normal(*gaze.face_height, gaze.subjects))


def sample_gaze(scene: Scene, subjects: Subjects, rng: np.random.Generator, gaze: Gaze) -> np.ndarray:
    """Samples the gaze of all subjects on one scene.

    Returns:
      float64 (F, S, 2) x, y in pixels of the 1280x720 grid, NaN where a subject has no fixation.
    """
    frames, people = scene.n_frames, gaze.subjects
    path, scatter, face_heights = _targets(scene, gaze)
    frames, people = scene.n_frames, gaze.subjects
    choices, captures, losses = rng.random((3, frames, people))
    lengths = rng.uniform(*gaze.fixation, (frames, people)) * scene.fps
    units = rng.standard_normal((frames, people, 2))
    target, fresh = _choose_targets(scene, subjects, gaze, choices, captures, lengths)

    now = np.arange(frames)[:, None]
    begun = np.maximum.accumulate(np.where(fresh, now, 0), axis=0)  # the frame in which each fixation began
    points = path[now, target] + scatter[now, target] * units[begun, np.arange(people)]
    points[..., 1] += subjects.face_height * face_heights[now, target]
    points[fresh & (losses < gaze.saccade_loss)] = np.nan
    points += rng.normal(0, gaze.calibration, (people, 2)) + rng.normal(0, gaze.tremor, points.shape)
    # People look at the screen: what would scatter beyond its border is mirrored.
    points = PICTURE - np.abs(PICTURE - np.abs(points))
    points[_blinks(frames, scene.fps, rng, gaze)] = np.nan
    points[:, rng.random(people) < gaze.absence] = np.nan
    points[~valid_points(points)] = np.nan
    return points


def gaze_law(scene: Scene, rng: np.random.Generator, gaze: Gaze, viewers: int = 4000) -> GazeLaw:
    """The density of all people who could look at a scene.

    How often each target is looked at is counted over simulated viewers, so a weight is known to 0.008; where gaze lies
    given its target is exact.
    """
    subjects = Subjects.sample(rng, dataclasses.replace(gaze, subjects=viewers))
    shape = scene.n_frames, viewers
    choices, captures = rng.random((2, *shape))
    target, fresh = _choose_targets(
        scene, subjects, gaze, choices, captures, rng.uniform(*gaze.fixation, shape) * scene.fps
    )
    path, scatter, face_heights = _targets(scene, gaze)
    seen = 1 - gaze.saccade_loss * fresh
    weights = np.stack([(seen * (target == index)).sum(1) for index in range(path.shape[1])], axis=1)
    mean, deviation = gaze.face_height
    centres = path + np.stack([np.zeros_like(face_heights), mean * face_heights], axis=-1)
    spread = np.stack([np.zeros_like(face_heights), deviation * face_heights], axis=-1)
    deviations = np.sqrt(scatter**2 + spread**2 + gaze.calibration**2 + gaze.tremor**2)
    weights = weights / weights.sum(1, keepdims=True)
    return GazeLaw(*(array.astype(np.float32) for array in (weights, centres, deviations)))


def _choose_targets(
    scene: Scene, subjects: Subjects, gaze: Gaze, choices: np.ndarray, captures: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The target of each subject in each frame, int (F, S), and in which frames a fixation begins, bool (F, S).

    Args:
      choices, captures: (F, S) uniform numbers that decide on the next target and on whether news cuts a fixation.
      lengths: (F, S) of the fixation that begins in a frame, in frames.
    """
    interest, speech, news = _interest(scene, gaze)
    present = np.isfinite(_targets(scene, gaze)[0][..., 0])
    centre, (frames, people) = present.shape[1] - 1, choices.shape
    lag = np.rint(subjects.lag * scene.fps).astype(int)
    targets, begins = np.empty((frames, people), int), np.empty((frames, people), bool)
    target, left = np.full(people, centre), np.zeros(people)
    for index in range(frames):
        noticed = index - lag
        known, noticed = noticed >= 0, np.maximum(noticed, 0)
        captured = known & news[noticed] & (captures[index] < gaze.capture)
        fresh = (left <= 0) | captured | ~present[index, target]
        weights = interest[noticed] + subjects.attention[:, None] * speech[noticed]
        weights = np.where(known[:, None], weights, np.arange(centre + 1) == centre) * present[index]
        steps = weights.cumsum(axis=1)
        picks = (steps <= choices[index, :, None] * steps[:, -1:]).sum(axis=1)
        target = np.where(fresh, picks, target)
        left = np.where(fresh, lengths[index], left) - 1
        targets[index], begins[index] = target, fresh
    return targets, begins


def grid_scale(scene: Scene) -> np.ndarray:
    """(x, y) factors from the pixels of a scene to those of the 1280x720 grid."""
    return PICTURE / (scene.width, scene.height)


def _targets(scene: Scene, gaze: Gaze) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles (F,T,2), scatter (F,T,2) and face heights (F,T) on the grid; targets are the faces, object, centre."""
    frames, scale = scene.n_frames, grid_scale(scene)
    low, high = scene.boxes[..., :2] * scale, scene.boxes[..., 2:] * scale
    passing = scene.object_positions[:, None] * scale
    middle = np.broadcast_to(PICTURE / 2, (frames, 1, 2))
    path = np.concatenate([(low + high) / 2, passing, middle], axis=1)
    scatter = np.empty_like(path)
    scatter[:, :-2] = (high - low) * gaze.face_scatter
    scatter[:, -2] = gaze.object_scatter * scene.object_radius * scale
    scatter[:, -1] = gaze.centre_scatter
    return path, scatter, np.pad((high - low)[..., 1], ((0, 0), (0, 2)))


def _interest(scene: Scene, gaze: Gaze) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of the targets without the speaker's (F,T), the speaker's (F,T), and when somebody else begins (F,)."""
    talking, moving = scene.talking.T == 1, scene.mouth_moving.T == 1
    speaks, numbers = talking.any(axis=1), np.arange(talking.shape[1])
    begins = np.where(speaks, np.arange(scene.n_frames), -1)
    latest = np.maximum.accumulate(begins)
    last = np.where(latest >= 0, talking[latest].argmax(axis=1), -1)
    faces = np.where(moving, gaze.mouth_mover, gaze.other_face)
    faces = np.where(~speaks[:, None] & (last[:, None] == numbers), gaze.last_speaker, faces)
    faces = np.where(talking, 0.0, faces)
    others = np.stack(
        [
            np.where(np.isfinite(scene.object_positions[:, 0]), gaze.passing_object, 0.0),
            np.where(speaks, gaze.centre, gaze.centre_in_silence),
        ],
        axis=1,
    )
    speech = np.pad(talking * gaze.speaker, ((0, 0), (0, 2)))
    return np.concatenate([faces, others], axis=1), speech, np.diff(last, prepend=-1) != 0


def _blinks(frames: int, fps: float, rng: np.random.Generator, gaze: Gaze) -> np.ndarray:
    """bool (F,S), true while the eyes are shut."""
    shape = (frames, gaze.subjects)
    now = np.arange(frames)[:, None]
    opens = now + rng.uniform(*gaze.blink, shape) * fps
    begins = rng.random(shape) < gaze.blinks / fps
    return np.maximum.accumulate(np.where(begins, opens, 0), axis=0) > now
