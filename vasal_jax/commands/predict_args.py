"""What `predict.py` is told: its arguments, their checks, and what they say of a model and its maps."""

import dataclasses
import hashlib
import logging
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from vasal_jax import __version__, weights
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.inputs.media import MAX_SIDE
from vasal_jax.models.vasal import VASal
from vasal_jax.system import engines
from vasal_jax.system.terminal import Flag, MemoryArgument, OptionalFile, OptionalSize

logger = logging.getLogger(__name__)

Kind = Literal["overlay", "saliency", "frames", "maps", "explain", "tracks"]
PACKAGED_WEIGHTS = Path(str(files("vasal_jax"))) / "assets" / "tiny.safetensors"

# Optional paths, as a person would write them.
_Video = Annotated[Path | None, arg(metavar="VIDEO", help_behavior_hint="")]
_Folder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
_Mp4 = Annotated[Path | None, arg(metavar="OUT.mp4", help_behavior_hint="")]
_Npz = Annotated[Path | None, arg(metavar="OUT.npz", help_behavior_hint="")]
_Npy = Annotated[Path | None, arg(metavar="OUT.npy", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class PredictArgs:
    """Predict where people look in a video: maps for every frame, from pictures, sound and faces."""

    video: Positional[_Video] = None
    """The video file. Any size, length and frame rate. With --fps, a folder of frames such as 00001.png."""
    more: Positional[Annotated[tuple[Path, ...], arg(metavar="VIDEO ...", help_behavior_hint="")]] = ()
    """More videos, with --out: files, folders of videos, patterns, and @LIST, a file with one of these a line."""
    fps: Annotated[float | None, arg(metavar="N", help_behavior_hint="")] = None
    """Frames a second, where VIDEO is a folder of frames."""
    out: _Folder = None
    """Write the outputs that --write names of all videos into this folder, by their names. A video whose outputs are
    there is skipped, one that cannot be read is told at the end."""
    write: Annotated[tuple[Kind, ...], arg(metavar="overlay|saliency|frames|maps|explain|tracks ...")] = ("overlay",)
    """With --out: which outputs to write of each video."""
    submission: _Folder = None
    """Write the saliency of all videos as grey videos NAME.mp4 into this folder, as the video saliency challenges take
    them."""
    recursive: Flag = False
    """With --out or --submission: the videos of subfolders too."""
    overwrite: Flag = False
    """With --out or --submission: predict videos anew whose outputs are there."""
    shard: Annotated[str | None, arg(metavar="I/N|auto|auto/N", help_behavior_hint="")] = None
    """With --out or --submission: every Nth video from the Ith on, so that N commands share the videos. auto asks the
    environment: a SLURM array, an indexed job of Kubernetes (say auto/N), an array of AWS Batch, a job of Cloud Run."""
    engine: engines.Name = "local"
    """With --out or --submission: ray has workers of Ray predict, which needs pip install "vasal-jax[ray]"."""
    ray_address: engines.RayAddress = None
    """With --engine ray: the cluster. By default one on this machine, for this command alone."""
    workers: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """With --out or --submission: how many videos at a time. By default one, with --engine ray one a GPU or, where
    there is none, one for every four cores."""
    weights: OptionalFile = None
    """A .safetensors file, an Orbax folder or a PyTorch checkpoint. By default the packaged demo weights."""
    faces: Annotated[str, arg(metavar="auto|TRACKS.npy|DIR|none")] = "auto"
    """Where the faces are: auto to find and track them, an MVVA tracking file .npy, a folder of face maps <n>.jpg (for
    weights without a face branch), or none."""
    detector: Literal["yunet", "mtcnn"] = "yunet"
    """What finds the faces of --faces auto. mtcnn needs pip install "vasal-jax[faces]"."""
    tracks_size: OptionalSize = None
    """The picture in whose pixels TRACKS.npy counts, and --save-tracks; 1280x720 for MVVA's files. VIDEO by default."""
    allow_playlists: Flag = False
    """Take VIDEO and --sound for playlists too, such as .m3u8, which may name any file on this disk."""
    sound: OptionalFile = None
    """A sound or video file to hear in place of the video's own sound."""
    sound_track: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Which sound track to hear, where there are several, from 1. By default the one that a player takes."""
    overlay: _Mp4 = None
    """Write the video with heat colours over it and its sound (H.264). Done beside VIDEO if no output is named."""
    saliency: _Mp4 = None
    """Write the saliency as a grey video at the video's size."""
    frames: _Folder = None
    """Write a folder with the saliency as a grey PNG a frame."""
    maps: _Npz = None
    """Write the maps: maps (n,32,32), frame_index (n,), time (n,), fps, settings."""
    explain: _Mp4 = None
    """Write the overlay with each face's number and weight and a chart of the weights over time, and beside it OUT.csv
    with the weights by frame. For weights with a face branch."""
    save_tracks: _Npy = None
    """Write the faces as an MVVA tracking file; alone, without predicting, if no other output is named."""
    memory: MemoryArgument = None
    """What the recurrent state remembers: all frames from the start on; those since the last reset at every Nth frame;
    or the last N/2 to N frames, by two overlapping copies without jumps. By default overlap/N, where the weights say
    that they were trained on clips of N frames, else continuous."""
    released: Flag = False
    """Reproduce the released system: reset/12, no first 5 frames, dropped tail, softmax over each column in --maps."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type."""
    compile_only: Annotated[str | None, arg(metavar="v5e:4x4|here", help_behavior_hint="")] = None
    """Compile the programs for a chip of a TPU slice, or for the devices that are here, print what they need, and end;
    exit code 1 where they do not fit. Needs no video and no TPU, but pip install "vasal-jax[tpu-check]"."""
    demo: Flag = False
    """Draw a short clip of talking faces and predict on it."""


def inputs_of(args: PredictArgs) -> list[Path]:
    """The files that are read, none of which may be an output."""
    faces = None if args.faces in ("auto", "none") else Path(args.faces)
    return [path for path in (args.video, args.sound, args.weights, faces) if path]


def load_weights(args: PredictArgs) -> VASal:
    """The model that the arguments name."""
    if args.weights is None:
        logger.warning("the packaged demo weights learnt from drawn faces alone; give --weights for real videos")
    return weights.load(args.weights or PACKAGED_WEIGHTS, dtype=args.dtype)


def check_model(args: PredictArgs, model: VASal) -> None:
    """Raises `InputError` for arguments that do not go with each other or with the model."""
    Memory.chosen(args.memory, model.memory, args.released)
    if args.explain and not model.config.face:
        raise InputError("--explain shows how a face branch weighs faces, which these weights lack; leave it out")
    for flag, given in (("--explain", args.explain), ("--save-tracks", args.save_tracks)):
        if given and args.faces == "none":
            raise InputError(f"{flag} needs faces, found --faces none; say --faces auto or --faces TRACKS.npy")
        if given and Path(args.faces).is_dir():
            raise InputError(f"{flag} needs face tracks, found the folder {args.faces}; say auto or TRACKS.npy")
    if args.tracks_size and not all(1 <= side <= MAX_SIDE for side in args.tracks_size):
        raise InputError(f"--tracks-size: expected 1 to {MAX_SIDE} a side as in 1280x720, found {args.tracks_size}")
    if args.tracks_size and not (args.save_tracks or args.faces.lower().endswith(".npy")):
        raise InputError("--tracks-size is about TRACKS.npy and --save-tracks, which are not given; leave it out")
    if model.config.face and args.faces == "none":
        logger.warning("these weights weigh faces and are given none; say --faces auto or --faces TRACKS.npy")


def settings_of(args: PredictArgs, model: VASal) -> dict[str, Any]:
    """What the maps were made with, enough to make them again."""
    source, digest = args.weights or PACKAGED_WEIGHTS, None
    if source.is_file():
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "video": args.video and args.video.name,
        "sound": args.sound.name if args.sound else "the video's own",
        "sound_track": args.sound_track,
        "faces": args.faces,
        "detector": args.detector if args.faces == "auto" else None,
        "tracks_size": args.tracks_size and str(args.tracks_size),
        "weights": source.name,
        "weights_sha256": digest,
        "config": dataclasses.asdict(model.config),
        "memory": str(Memory.chosen(args.memory, model.memory, args.released)),
        "trained_with_memory": None if model.memory is None else str(model.memory),
        "released": args.released,
        "map": "softmax over each column" if args.released else "softmax over the map",
        "version": __version__,
    }
