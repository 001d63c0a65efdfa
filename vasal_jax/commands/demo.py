"""A drawn clip of talking faces and what the model makes of it: what `vasal demo` and `predict.py --demo` run."""

import dataclasses
from pathlib import Path

import numpy as np

from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS, PredictArgs
from vasal_jax.errors import InputError
from vasal_jax.outputs.video import video_writer
from vasal_jax.scenes import Scene
from vasal_jax.system.files import replacing
from vasal_jax.system.terminal import OptionalFile, say


@dataclasses.dataclass(frozen=True)
class DemoArgs:
    """Draw a short clip of talking faces with sound, predict on it and leave everything in a folder."""

    folder: Path = Path("vasal_demo")
    """Where the clip, its face tracks and the results go."""
    weights: OptionalFile = None
    """Weights to use in place of the packaged ones."""
    seconds: float = 4.0
    """Length of the clip."""
    seed: int = 5
    """Of the scene; another seed is another scene."""


def demo(args: DemoArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if not 0 < args.seconds <= 60:
        raise InputError(f"--seconds: expected over 0 and at most 60, found {args.seconds:g}")
    folder = args.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another --folder") from None
    video, tracks = folder / "talking_faces.mp4", folder / "talking_faces_tracks.npy"
    draw_scene(Scene.make(args.seed, seconds=args.seconds), video, tracks)
    # Others' weights may have no face branch to explain. Naming the packaged ones says that drawn faces are meant.
    explanation = None if args.weights else folder / "talking_faces_explained.mp4"
    weights, overlay = args.weights or PACKAGED_WEIGHTS, folder / "talking_faces_overlay.mp4"
    code = predict(PredictArgs(video, weights=weights, faces=str(tracks), overlay=overlay, explain=explanation))
    say(f"the demo is in {folder.absolute()}: open {folder / 'talking_faces_overlay.mp4'}")
    return code


def draw_scene(scene: Scene, video: Path, tracks: Path) -> None:
    """Writes a scene as a video with sound and its face boxes as MVVA's tracking `.npy`."""
    with video_writer(video, scene.width, scene.height, scene.fps, scene.sound) as write:
        for index in range(scene.n_frames):
            write(scene.frame(index), index / scene.fps)
    with replacing(tracks) as temporary:
        np.save(temporary, scene.boxes)
