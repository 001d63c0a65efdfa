"""One scene: people who take turns to speak, one who only moves the mouth, a thing that passes by, and the sound.

Every part of a scene samples from its own random stream of the seed, so a change to one leaves the others alone.
Places and sizes are kept relative to the picture, so a scene looks the same at any resolution of one aspect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import ClassVar, Literal, NamedTuple

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.scenes import filmed, seating
from vasal_jax.scenes.backdrops import paint_backdrop, paint_desk
from vasal_jax.scenes.camera import Camera
from vasal_jax.scenes.motion import Motion, Passing
from vasal_jax.scenes.people import CLOTHES, FACE_WIDTH, Head, Look, paint_body
from vasal_jax.scenes.streams import stream
from vasal_jax.scenes.turns import FEWEST_FACES, MOST_FACES, Turn, number_of_faces, turns_of
from vasal_jax.scenes.voices import SAMPLE_RATE, Voice, laugh, music, noise, speak

_BEDS = ("none", "music", "noise")
_BED_BELOW = {"drawn": (11, 18), "filmed": (4, 14)}  # decibels below speech, by style
_SPEECH_LEVEL, _LAUGHTER_LEVEL = 0.14, 0.08  # root mean square


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthetic clip, from `Scene.make`. F frames, N faces; pixels count from the picture's upper left corner.

    The mouth of whoever speaks opens with the loudness of the sound. At other times some other face moves its
    mouth just as a speaker would, to syllables nobody hears. Eyes wander and heads sway without regard to who
    speaks, so that the sound alone, with the mouths, tells who does.

    In the style "filmed" the scene is seen through a camera (`camera.Camera`), and people behave as `filmed` says:
    they interrupt each other, laugh, turn their heads, lift a hand before the mouth; a room echoes.
    """

    STYLES: ClassVar[tuple[str, ...]] = ("drawn", "filmed")
    VERSION: ClassVar[Literal[1, 2]] = 2  # of what a seed means; goes up when it gives another scene
    VERSIONS: ClassVar[tuple[int, ...]] = (1, 2)

    fps: float
    width: int
    height: int
    n_frames: int
    voices: tuple[Voice, ...]  # of each face
    bed: str  # under the voices: none, music or noise
    sound: np.ndarray  # float32 (samples,) mono at SAMPLE_RATE, within -0.95..0.95
    boxes: np.ndarray  # float32 (F,N,4) pixels x1,y1,x2,y2, forehead to chin, inside the picture; NaN while out of it
    talking: np.ndarray  # int8 (N,F), 1 = speaks; at most one face in a frame of a drawn scene
    mouth_moving: np.ndarray  # int8 (N,F), 1 = speaks or moves the mouth without a sound
    openings: np.ndarray  # float32 (N,F) of the mouths, 0 shut .. 1 wide
    object_kind: str  # ball, bird, car, plane or balloon
    object_positions: np.ndarray  # float32 (F,2) pixels x,y of the passing object, NaN while out of the picture
    object_radius: float  # pixels
    _paint: "_Painter | _FilmedPainter" = field(repr=False)

    @classmethod
    def make(
        cls,
        seed: int,
        seconds: float = 8.0,
        fps: float = 25.0,
        width: int = 640,
        height: int = 360,
        faces: int | None = None,
        version: int = VERSION,
        style: str = STYLES[0],
    ) -> "Scene":
        """The scene of `seed` (>= 0).

        Args:
          seed: another one is another scene.
          seconds, fps, width, height: of the video.
          faces: 2 to 6; None leaves it to the seed.
          version: of the law, one of `VERSIONS`. In version 1 the timing of the mimes gives them away.
          style: one of `STYLES`; "filmed" needs version 2.

        Raises:
          InputError: a seed, number of faces, length or size out of range, or no such style.
        """
        _check_style(style, version)
        n_frames = _frame_count(seed, seconds, fps, width, height, faces)
        n = faces or number_of_faces(seed)
        registers = (stream(seed, "registers").permutation(n) + 0.5) / n  # spread, so voices are told apart
        talk = _talk(seed, registers, n_frames, fps, version, style)
        paint, boxes, passing = _stage(seed, registers, talk, fps, (width, height), style)
        path = passing.path
        if style == "filmed":
            camera = Camera(seed, boxes, fps, width, height)
            hands = [filmed.Hand.draw(n_frames / fps, stream(seed, "hand", k)) for k in range(n)]
            paint = _FilmedPainter(paint, camera, hands, fps)
            boxes, path = camera.boxes(boxes), camera.points(path[:, None])[:, 0]
        inside = ((path >= 0) & (path < (width, height))).all(axis=1, keepdims=True)
        positions = np.where(inside, path, np.nan).astype(np.float32)
        return cls(
            fps, width, height, n_frames, talk.voices, talk.bed, talk.sound, boxes, talk.talking, talk.moving,
            talk.openings, passing.kind, positions, passing.radius, paint,
        )  # fmt: skip

    def frame(self, index: int) -> np.ndarray:
        """Paints frame `index` in 0..n_frames-1: uint8 (height, width, 3) RGB. IndexError outside."""
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame {index} of a scene of {self.n_frames} frames")
        return self._paint(index)


def _frame_count(seed: int, seconds: float, fps: float, width: int, height: int, faces: int | None) -> int:
    """Frames of a scene; raises `InputError` for what `Scene.make` cannot make."""
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, found {seed}; choose another")
    if faces is not None and not FEWEST_FACES <= faces <= MOST_FACES:
        raise InputError(f"faces: expected {FEWEST_FACES} to {MOST_FACES}, found {faces}; choose fewer or more")
    n_frames = round(seconds * fps) if fps > 0 else 0
    if n_frames < 1 or min(width, height) < 64:
        found = f"{seconds} s, {fps} fps, {width}x{height}"
        raise InputError(f"scene: expected at least one frame of 64x64 pixels, found {found}; ask for more")
    return n_frames


def _check_style(style: str, version: int) -> None:
    if style not in Scene.STYLES:
        raise InputError(f"style: expected {' or '.join(Scene.STYLES)}, found {style!r}")
    if style == "filmed" and version == 1:
        raise InputError("style: filmed scenes are of version 2 of the law, found version 1; leave one of them out")


class _Talk(NamedTuple):
    """What is heard in a scene, and how each of its faces moves the mouth."""

    voices: tuple[Voice, ...]
    bed: str
    sound: np.ndarray
    talking: np.ndarray
    moving: np.ndarray
    openings: np.ndarray
    spreads: np.ndarray  # float32 (N,F) of the lips


def _talk(seed: int, registers: np.ndarray, n_frames: int, fps: float, version: int, style: str) -> _Talk:
    n, seconds = len(registers), n_frames / fps
    voices = tuple(Voice.make(stream(seed, "voice", k), registers[k]) for k in range(n))
    turns, mimes = turns_of(seed, n, seconds, version, style)
    laughs: list[Turn] = []
    if style == "filmed":
        laughs = filmed.laughs(turns + mimes, n, seconds, stream(seed, "laughs"))
    speech, *mouths = _perform(seed, voices, turns, mimes, laughs, n_frames, fps)
    if style == "filmed":
        speech = filmed.echoing(speech, stream(seed, "room"))
    bed, sound = _mix(speech, seconds, stream(seed, "bed"), _BED_BELOW[style])
    return _Talk(voices, bed, sound, *mouths)


def _perform(seed: int, voices, turns, mimes, laughs, n_frames: int, fps: float):
    """What is heard, (samples,), and each face's talking, moving, opening and lip spread, (N,F)."""
    speech = np.zeros(round(n_frames / fps * SAMPLE_RATE), np.float32)
    talking, moving = np.zeros((2, len(voices), n_frames), np.int8)
    openings, spreads = np.zeros((2, len(voices), n_frames), np.float32)
    for index, turn in enumerate(turns + mimes + laughs):
        speaks, laughing = index < len(turns), index >= len(turns) + len(mimes)
        first, last = round(turn.start * fps), round(turn.end * fps)
        # Heard or not, a mouth moves by the same law: nothing in the picture alone gives a mime away.
        utter = laugh if laughing else speak
        utterance = utter(voices[turn.face], (last - first) / fps, stream(seed, "speech", index))
        openings[turn.face, first:last] = _per_frame(utterance.opening, last - first, fps)
        spreads[turn.face, first:last] = _per_frame(utterance.spread, last - first, fps)
        moving[turn.face, first:last] = 1
        if speaks:
            talking[turn.face, first:last] = 1
        if speaks or laughing:
            at = round(first / fps * SAMPLE_RATE)
            part = utterance.samples[: len(speech) - at]
            level = _LAUGHTER_LEVEL if laughing else _SPEECH_LEVEL
            part = part * (level / max(1e-9, np.sqrt(np.mean(part**2))))
            there = speech[at : at + len(part)]
            there[:] = np.where(there == 0, part, there + part)  # 0 + -0 would be another zero than drawn scenes have
    return speech, talking, moving, openings, spreads


def _stage(
    seed: int, registers: np.ndarray, talk: _Talk, fps: float, picture: tuple[int, int], style: str
) -> tuple["_Painter", np.ndarray, Passing]:
    """Who sits where and what passes by: what paints it, the boxes of the faces (F,N,4), and the passing object."""
    (width, height), n, n_frames = picture, len(registers), talk.openings.shape[1]
    places, size = seating.places_of(n, width, height, stream(seed, "places"))
    sizes, turning = np.full(n, size), 1.0
    if style == "filmed":
        sizes = filmed.face_sizes(size, n, min(width, height), stream(seed, "sizes"))
        turning = filmed.TURN_OF_HEADS
        places[:, 1] = np.maximum(places[:, 1], height - filmed.STANDING * sizes)
    motions = [
        Motion(
            stream(seed, "motion", k), n_frames, fps, places[k], sizes[k], talk.openings[k], talk.spreads[k], turning
        )
        for k in range(n)
    ]
    half = np.array((FACE_WIDTH, 1.0)) * sizes[:, None] / 2
    centres = np.stack([motion.centres for motion in motions], axis=1)
    boxes = np.concatenate([centres - half, centres + half], axis=2).astype(np.float32)
    dress = stream(seed, "clothes").permutation(len(CLOTHES))  # no two alike
    looks = [Look.make(stream(seed, "look", k), registers[k], CLOTHES[dress[k]]) for k in range(n)]
    desk = seating.desk_of(boxes[:, :, 3].max() + 1.2 * sizes.max(), height, stream(seed, "desk"))
    passing = Passing(stream(seed, "object"), n_frames, fps, width, height, boxes, desk)
    return _Painter(seed, width, height, looks, places, sizes, motions, passing, desk), boxes, passing


def _per_frame(track: np.ndarray, count: int, fps: float) -> np.ndarray:
    """Means of a track at SAMPLE_RATE over each of `count` frames."""
    edges = np.minimum(np.rint(np.arange(count + 1) * SAMPLE_RATE / fps).astype(int), len(track))
    total = np.concatenate([[0.0], np.cumsum(track, dtype=np.float64)])
    return np.diff(total[edges]) / np.maximum(1, np.diff(edges))


def _mix(
    speech: np.ndarray, seconds: float, rng: np.random.Generator, below: tuple[float, float]
) -> tuple[str, np.ndarray]:
    """Name of the bed, and the sound: speech over none, music or noise, between two numbers of decibels below it."""
    bed = _BEDS[rng.integers(len(_BEDS))]
    level = _SPEECH_LEVEL * 10 ** (-rng.uniform(*below) / 20)
    sound = speech.astype(np.float64)
    if bed != "none":
        under = (music if bed == "music" else noise)(seconds, rng)[: len(sound)].astype(np.float64)
        sound += np.pad(under, (0, len(sound) - len(under))) * (level / np.sqrt(np.mean(under**2)))
    return bed, (sound * (0.95 / max(0.95, np.abs(sound).max()))).astype(np.float32)


class _Painter:
    """Paints frames: what stands still once, on the first call; heads, object and camera noise on every call."""

    def __init__(self, seed, width, height, looks, places, sizes, motions, passing, desk):
        self._seed, self._width, self._height = seed, width, height
        self._looks, self._places, self._sizes, self._motions, self._passing = looks, places, sizes, motions, passing
        self._desk = desk
        self._still: np.ndarray | None = None

    def __call__(self, index: int, hands: Sequence[filmed.Hand | None] = (), time: float = 0.0) -> np.ndarray:
        image = self._set_up().copy() if self._still is None else self._still.copy()
        for head, motion, hand in zip_longest(self._heads, self._motions, hands):
            head.paint(image, motion.at(index))
            if hand is not None:
                hand.paint(image, head.look, motion.centres[index], head.height, time)
        self._passing.paint(image, index)
        y, x = stream(self._seed, "grain", index).integers(0, 64, 2)
        return cv2.add(image, self._grain[y : y + self._height, x : x + self._width], dtype=cv2.CV_8U)

    def _set_up(self) -> np.ndarray:
        still = paint_backdrop(self._width, self._height, stream(self._seed, "backdrop"))
        self._heads = [Head(look, size) for look, size in zip(self._looks, self._sizes, strict=True)]
        for look, (x, y), size in zip(self._looks, self._places, self._sizes, strict=True):
            paint_body(still, look, x, y, size)
        if self._desk is not None:
            paint_desk(still, self._desk, stream(self._seed, "desk things"))
        rng = stream(self._seed, "grain tile")
        grain = rng.standard_normal((self._height + 64, self._width + 64, 1), np.float32) * rng.uniform(0.5, 2.0)
        self._grain = np.repeat(np.rint(grain).astype(np.int8), 3, axis=2)
        self._still = still
        return still


class _FilmedPainter:
    """Paints frames of a filmed scene: what `_Painter` paints, with hands before it, through a camera."""

    def __init__(self, painter: _Painter, camera: Camera, hands: Sequence[filmed.Hand | None], fps: float):
        self._painter, self._camera, self._hands, self._fps = painter, camera, hands, fps

    def __call__(self, index: int) -> np.ndarray:
        return self._camera.film(self._painter(index, self._hands, index / self._fps), index)
