"""Saliency maps for a video: what `predict.py` and `vasal predict` run."""

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tyro.conf import Positional, arg

from vasal_jax import __version__, weights
from vasal_jax.commands import Flag, OptionalFile, console
from vasal_jax.errors import InputError
from vasal_jax.inputs.clips import FRAME_OFFSET
from vasal_jax.inputs.video import VideoInfo, probe
from vasal_jax.models.config import CLIP_LENGTH
from vasal_jax.models.vasal import VASal
from vasal_jax.outputs import Outputs, check, open_outputs
from vasal_jax.prediction import FrameMap, stream

logger = logging.getLogger(__name__)

PACKAGED_WEIGHTS = Path(str(files("vasal_jax"))) / "assets" / "tiny-untrained.safetensors"

# Optional paths, as a person would write them.
_Video = Annotated[Path | None, arg(metavar="VIDEO", help_behavior_hint="")]
_Folder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
_Mp4 = Annotated[Path | None, arg(metavar="OUT.mp4", help_behavior_hint="")]
_Npz = Annotated[Path | None, arg(metavar="OUT.npz", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class PredictArgs:
    """Predict where people look in a video: maps for every frame, from pictures, sound and faces."""

    video: Positional[_Video] = None
    """The video file. Any size, length and frame rate."""
    weights: OptionalFile = None
    """A .safetensors file, an Orbax folder or a PyTorch checkpoint. By default the packaged demo weights."""
    faces: Annotated[str, arg(metavar="DIR|TRACKS.npy|none")] = "none"
    """Where the faces are: a folder of face maps <n>.jpg, an MVVA tracking file .npy in pixels of VIDEO, or none."""
    sound: OptionalFile = None
    """A sound or video file to hear in place of the video's own sound."""
    overlay: _Mp4 = None
    """Write the video with heat colours over it and its sound (H.264). Done beside VIDEO if no output is named."""
    saliency: _Mp4 = None
    """Write the saliency as a grey video at the video's size."""
    frames: _Folder = None
    """Write a folder with the saliency as a grey PNG a frame."""
    maps: _Npz = None
    """Write the maps: maps (n,32,32), frame_index (n,), time (n,), fps, settings."""
    clip_reset: Flag = False
    """Forget what was seen at every 12th frame, as the released system does."""
    released: Flag = False
    """Reproduce the released system: resets, no first 5 frames, dropped tail, softmax over each column in --maps."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type."""
    demo: Flag = False
    """Draw a short clip of talking faces and predict on it."""


def predict(args: PredictArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if args.video is None:
        raise InputError("expected a VIDEO to predict on (or --demo), found none; see --help")
    info = probe(args.video)
    outputs = Outputs(args.overlay, args.saliency, args.frames, args.maps)
    if not outputs.paths():
        outputs = Outputs(overlay=args.video.with_name(f"{args.video.stem}_overlay.mp4"))
    inputs = [args.video, args.sound, args.weights, None if args.faces == "none" else Path(args.faces)]
    check(outputs, [path for path in inputs if path])
    model = load_weights(args)
    options = {"sound": args.sound, "faces": args.faces, "clip_reset": args.clip_reset, "released": args.released}
    frames = _with_progress(stream(model, args.video, **options), info, args.released)
    writing = open_outputs(outputs, info, args.sound or args.video, _settings(args, model))
    with writing as add, contextlib.closing(frames):  # an error is printed when the progress bar is gone
        for frame in frames:
            add(frame)
    for path in outputs.paths():
        print(f"wrote {path}")
    return 0


def load_weights(args: PredictArgs) -> VASal:
    """The model that the arguments name."""
    if args.weights is None:
        logger.warning("the packaged demo weights are untrained: their maps mean nothing; give --weights for real ones")
    return weights.load(args.weights or PACKAGED_WEIGHTS, dtype=args.dtype)


def _with_progress(frames: Iterator[FrameMap], info: VideoInfo, released: bool) -> Iterator[FrameMap]:
    columns = (
        TextColumn("{task.description}", markup=False),  # a file's name is no markup
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    total = info.frames
    if total and released:
        total = (total - FRAME_OFFSET) // CLIP_LENGTH * CLIP_LENGTH
    with contextlib.closing(frames), Progress(*columns, console=console) as progress:
        task = progress.add_task(info.path.name, total=total, rate="compiling")
        started = None
        for done, frame in enumerate(frames):
            yield frame
            started = started or monotonic()
            # The first clip comes all at once, after compilation: too early to speak of a rate.
            elapsed = monotonic() - started
            progress.update(task, advance=1, rate=f"{done / elapsed:.1f} frames/s" if elapsed > 1 else "")
        progress.update(task, total=progress.tasks[0].completed)  # a container's count can be wrong


def _settings(args: PredictArgs, model: VASal) -> dict[str, Any]:
    """What the maps were made with, enough to make them again."""
    source = args.weights or PACKAGED_WEIGHTS
    return {
        "video": args.video.name,
        "sound": args.sound.name if args.sound else "the video's own",
        "faces": args.faces,
        "weights": source.name,
        "weights_sha256": hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None,
        "config": dataclasses.asdict(model.config),
        "clip_reset": args.clip_reset or args.released,
        "released": args.released,
        "map": "softmax over each column" if args.released else "softmax over the map",
        "version": __version__,
    }
