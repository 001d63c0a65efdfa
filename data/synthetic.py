"""Writes a dataset of synthetic talking faces in the layout of the MVVA release, for whoever does not have the release.

    python -m data.synthetic FOLDER --videos 24 --seconds 8 --seed 0

Scenes and voices come from `vasal_jax.scenes`: 2 to 6 people take turns to speak, another mouth moves out of time
with the sound, an object passes by in silence. `data.gaze` says where the 34 subjects look and why. In the folder:

    mvva_database_v1/our_database_video/raw_videos/<id>.mp4     H.264 with the sound (AAC)
    mvva_database_v1/our_database_video/raw_audios/<id>.wav     mono, 22,050 Hz, 16 bits
    mvva_database_v1/all_videos_all_frames_fixation/<id>.npy    float64 [frames, 2, 34], pixels of 1280x720, NaN: none
    face_tracking/<id>.npy                                      float32 [frames, faces, 4], pixels of 1280x720
    face_talking/<id>.npy                                       int8 [faces, frames], 1 = talking
    truth/<id>.npz                                              what MVVA does not have: `SceneTruth`, `GazeLaw`
    synthetic.json                                              that this is synthetic, and every setting

IDs lie scattered over MVVA's 1 to 343, so that its split rules give every split its share, and the first ones stay
the same when a folder is grown. A seed gives the same arrays, sounds and pictures every time; how the codec packs
the pictures depends on its version.
"""

import dataclasses
import json
import os
import sys
import wave
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from data.gaze import Gaze, Subjects, gaze_law, grid_scale, sample_gaze
from data.synthetic_files import SETTINGS_FILE, SceneTruth, truth_path, write_truth
from vasal_jax.errors import InputError
from vasal_jax.outputs.video import video_writer
from vasal_jax.scenes import Scene
from vasal_jax.scenes.voices import SAMPLE_RATE
from vasal_jax.size import Size
from vasal_jax.system import engines, stopping
from vasal_jax.system.files import naming_file_errors, replacing, sweep
from vasal_jax.system.locks import LOCK_NAME, only_one
from vasal_jax.system.reading import read_json
from vasal_jax.system.terminal import SizeArgument, progress_bar, run, say

IDS = 343  # as in MVVA
_SPREAD, _FIRST = 212, 230  # a golden-ratio step through the IDs; the first three are in three splits


@dataclasses.dataclass(frozen=True)
class SyntheticArgs:
    """Write a synthetic dataset of talking faces in MVVA's layout; one begun with the same settings is gone on with."""

    folder: tyro.conf.Positional[Path]
    """Where it goes: a new or empty folder, or one that this command wrote."""
    videos: int = 24
    """How many videos, up to 343."""
    seconds: float = 8.0
    """Length of each."""
    seed: int = 0
    """Another seed is another dataset."""
    size: SizeArgument = Size(360, 640)
    """Width x height of the videos, even numbers. Annotations are on MVVA's 1280x720 grid whatever the size."""
    fps: tuple[float, ...] = (24.0, 25.0, 30.0)
    """Frame rates; each video has one of them."""
    version: Literal[1, 2] = Scene.VERSION
    """Law of the scenes. 1 is that of release 0.1.0, in which the timing of mimes gives them away."""
    style: Literal["drawn", "filmed"] = "drawn"
    """filmed: closer to filmed videos, with cuts, camera shake, casts of light, noise, blur, compression, small faces,
    heads that turn, hands before mouths, laughter, overlapping speech, echo and louder music."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    engine: engines.Name = "local"
    """ray has workers of Ray paint, on a cluster for example; it needs pip install "vasal-jax[ray]"."""
    ray_address: engines.RayAddress = None
    """With --engine ray: the cluster. By default one on this machine, for this command alone."""


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What the data depends on; a folder has one of it."""

    seed: int
    seconds: float
    width: int
    height: int
    fps: tuple[float, ...]
    gaze: Gaze
    version: int
    style: str


def generate(args: SyntheticArgs, gaze: Gaze = Gaze()) -> int:  # noqa: B008, frozen
    """Runs the command; returns its exit code. Videos that are whole already are kept.

    Raises:
      InputError: settings out of range, a folder with something else in it, or that cannot be written.
    """
    settings, engine = _settings(args, gaze), engines.Engine(args.engine, args.ray_address, args.workers)
    engine.check()
    _check_folder(args.folder)
    with only_one(args.folder, "writing a synthetic dataset"):
        return _generate(args, settings, engine)


def _generate(args: SyntheticArgs, settings: _Settings, engine: engines.Engine) -> int:
    _prepare(args.folder, settings, args.videos)
    ids = video_ids(args.videos)
    todo = [video for video in ids if not all(path.exists() for path in _paths(args.folder, video).values())]
    with progress_bar() as progress:
        task = progress.add_task("painting videos", total=len(ids), completed=len(ids) - len(todo))
        for _ in engine.run(_write, [(args.folder, settings, video) for video in todo], _lost):
            progress.advance(task)
    say(f"{args.folder}: {len(ids)} videos, {len(ids) - len(todo)} of them there before")
    return 0


def _lost(job: tuple, reason: str) -> None:
    folder, _, video = job
    raise InputError(f"{folder}: video {video} was left out, {reason}; run again to go on")


def video_ids(count: int) -> list[str]:
    """The IDs of a dataset of `count` videos, padded as in MVVA; those of a smaller one come first."""
    return [f"{1 + (_FIRST + _SPREAD * index) % IDS:03d}" for index in range(count)]


def _scene(settings: _Settings, video: str) -> Scene:
    """The scene of one video. Rates differ between videos, everything else is common."""
    fps = settings.fps[int(_stream(settings, "fps", video).integers(len(settings.fps)))]
    seed = settings.seed * 1000 + int(video)
    return Scene.make(
        seed, settings.seconds, fps, settings.width, settings.height, version=settings.version, style=settings.style
    )


def _stream(settings: _Settings, name: str, video: str = "0") -> np.random.Generator:
    return np.random.default_rng([settings.seed, zlib.crc32(name.encode()), int(video)])


def _settings(args: SyntheticArgs, gaze: Gaze) -> _Settings:
    height, width = args.size
    if width % 2 or height % 2 or min(width, height) < 64:
        raise InputError(f"--size: expected even numbers from 64 on as in 640x360, found {args.size}")
    if args.style == "filmed" and args.version == 1:
        raise InputError("--style: filmed scenes are of version 2, found --version 1; leave one of them out")
    limits = {"videos": (1, IDS), "seconds": (1, 600), "seed": (0, 10**9), "workers": (1, 256)}
    for name, (low, high) in limits.items():
        if not low <= getattr(args, name) <= high:
            raise InputError(f"--{name}: expected {low} to {high}, found {getattr(args, name)}")
    if not args.fps or not all(1 <= fps <= 120 for fps in args.fps):
        raise InputError(f"--fps: expected rates from 1 to 120, found {' '.join(map(str, args.fps)) or 'none'}")
    return _Settings(args.seed, args.seconds, width, height, tuple(args.fps), gaze, args.version, args.style)


def _paths(folder: Path, video: str) -> dict[str, Path]:
    release = folder / "mvva_database_v1"
    return {
        "video": release / "our_database_video" / "raw_videos" / f"{video}.mp4",
        "sound": release / "our_database_video" / "raw_audios" / f"{video}.wav",
        "fixations": release / "all_videos_all_frames_fixation" / f"{video}.npy",
        "tracks": folder / "face_tracking" / f"{video}.npy",
        "talking": folder / "face_talking" / f"{video}.npy",
        "truth": truth_path(folder, video),
    }


def _check_folder(folder: Path) -> None:
    """Raises `InputError` where a folder holds something else than a synthetic dataset."""
    with naming_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.iterdir() if path.name != LOCK_NAME]
        if others and not (folder / SETTINGS_FILE).exists():
            raise InputError(f"{folder}: expected a new or empty folder or one with {SETTINGS_FILE}; choose another")


def _prepare(folder: Path, settings: _Settings, videos: int) -> None:
    """Makes the folders, puts the settings in, clears what a killed run left."""
    path = folder / SETTINGS_FILE
    with naming_file_errors(folder):
        if path.exists():
            _check_same(path, settings, videos)
        for file in _paths(folder, "000").values():
            file.parent.mkdir(parents=True, exist_ok=True)
            sweep(file.parent)
    _write_settings(path, settings, videos)


def _check_same(path: Path, settings: _Settings, videos: int) -> None:
    try:
        found = read_json(path, "the settings of a synthetic dataset", 2**20)
        before = {"style": "drawn", **found["settings"], "version": found["version"]}  # older files name no style
        kept = int(found["videos"])
    except (ValueError, KeyError, TypeError, OverflowError):
        raise InputError(
            f"{path}: damaged, expected the settings of a synthetic dataset; choose another folder"
        ) from None
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    for name in now:
        if before.get(name) != now[name]:
            raise InputError(
                f"{path}: {name} is {before.get(name)}, asked for {now[name]}; "
                "choose another folder or the same settings"
            )
    if kept > videos:
        raise InputError(f"{path}: videos is {kept}, asked for {videos}; choose another folder or at least {kept}")


def _write_settings(path: Path, settings: _Settings, videos: int) -> None:
    fields = dataclasses.asdict(settings)
    content = {
        "synthetic": True,
        "about": "painted talking faces with formant voices and sampled gaze, in MVVA's layout; nothing is recorded",
        "version": fields.pop("version"),
        "videos": videos,
        "settings": fields,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _write(folder: Path, settings: _Settings, video: str) -> None:
    """Writes the files of one video, the video last."""
    scene, paths = _scene(settings, video), _paths(folder, video)
    subjects = Subjects.sample(_stream(settings, "subjects"), settings.gaze)
    points = sample_gaze(scene, subjects, _stream(settings, "gaze", video), settings.gaze)
    scale = grid_scale(scene)
    _save(paths["fixations"], np.ascontiguousarray(points.transpose(0, 2, 1)))
    _save(paths["tracks"], (scene.boxes * np.tile(scale, 2)).astype(np.float32))
    _save(paths["talking"], scene.talking)
    truth = SceneTruth(scene.mouth_moving == 1, (scene.object_positions * scale).astype(np.float32), scene.openings)
    with replacing(paths["truth"]) as temporary:
        write_truth(temporary, truth, gaze_law(scene, _stream(settings, "law", video), settings.gaze))
    with replacing(paths["sound"]) as temporary:
        _write_wav(temporary, scene.sound)
    with video_writer(paths["video"], scene.width, scene.height, scene.fps, scene.sound) as write:
        for index in range(scene.n_frames):
            stopping.check()
            write(scene.frame(index), index / scene.fps)


def _save(path: Path, array: np.ndarray) -> None:
    with replacing(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def _write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parsed = tyro.cli(SyntheticArgs, prog="python -m data.synthetic", args=args)
    return run(lambda: generate(parsed))


if __name__ == "__main__":
    sys.exit(main())
