"""Saliency maps for a video: what `predict.py` and `vasal predict` run."""

import dataclasses
import hashlib
import logging
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tyro.conf import Positional, arg

from vasal_jax import __version__, weights
from vasal_jax.commands import console
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import VideoInfo, probe
from vasal_jax.models.vasal import VASal
from vasal_jax.outputs import Outputs, check, open_outputs
from vasal_jax.prediction import stream

logger = logging.getLogger(__name__)

PACKAGED_WEIGHTS = Path(str(files("vasal_jax"))) / "assets" / "tiny-untrained.safetensors"


@dataclasses.dataclass(frozen=True)
class PredictArgs:
    """Predict where people look in a video: maps for every frame, from pictures, sound and faces."""

    video: Positional[Annotated[Path | None, arg(metavar="VIDEO")]] = None
    """The video file. Any size, length and frame rate."""
    weights: Path | None = None
    """A .safetensors file, an Orbax folder or a PyTorch checkpoint. By default the packaged demo weights."""
    faces: str = "none"
    """Where the faces are: a folder of face maps <n>.jpg, an MVVA tracking file .npy, or none."""
    sound: Path | None = None
    """A sound or video file to hear in place of the video's own sound."""
    overlay: Path | None = None
    """Write the video with heat colours over it and its sound, .mp4 (H.264). Done beside VIDEO if no output is named."""
    saliency: Path | None = None
    """Write the saliency as a grey video at the video's size."""
    frames: Path | None = None
    """Write a folder with the saliency as a grey PNG a frame."""
    maps: Path | None = None
    """Write the maps as .npz: maps (n,32,32), frame_index (n,), time (n,), fps, settings."""
    clip_reset: bool = False
    """Forget what was seen at every 12th frame, as the released system does."""
    released: bool = False
    """Reproduce the released system: resets, no first 5 frames, dropped tail, softmax over each column in --maps."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type."""
    demo: bool = False
    """Draw a short clip of talking faces and predict on it."""


def predict(args: PredictArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    if args.demo:
        from vasal_jax.commands.demo import DemoArgs, demo

        return demo(DemoArgs(weights=args.weights))
    if args.video is None:
        raise InputError("expected a VIDEO to predict on (or --demo), found none; see --help")
    outputs = Outputs(args.overlay, args.saliency, args.frames, args.maps)
    if not outputs.paths():
        outputs = Outputs(overlay=args.video.with_name(f"{args.video.stem}_overlay.mp4"))
    inputs = [args.video, args.sound, args.weights, None if args.faces == "none" else Path(args.faces)]
    info = probe(args.video)
    check(outputs, [path for path in inputs if path])
    model = load_weights(args)
    with open_outputs(outputs, info, args.sound or args.video, _settings(args, model)) as add:
        options = {"sound": args.sound, "faces": args.faces, "clip_reset": args.clip_reset, "released": args.released}
        for frame in _with_progress(stream(model, args.video, **options), info):
            add(frame)
    for path in outputs.paths():
        print(f"wrote {path}")
    return 0


def load_weights(args: PredictArgs) -> VASal:
    """The model that the arguments name."""
    if args.weights is None:
        logger.warning("the packaged demo weights are untrained: their maps mean nothing; give --weights for real ones")
    return weights.load(args.weights or PACKAGED_WEIGHTS, dtype=args.dtype)


def _with_progress(frames: Any, info: VideoInfo) -> Any:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(info.path.name, total=info.frames, rate="compiling")
        for frame in frames:
            yield frame
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.1f} frames/s" if speed else "")


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
