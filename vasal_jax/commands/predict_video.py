"""The outputs of one video, as the arguments of `predict.py` name them."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from time import monotonic

from vasal_jax.commands.predict_args import PredictArgs, settings_of
from vasal_jax.config import CLIP_LENGTH, FRAME_OFFSET
from vasal_jax.inputs.faces.detection import tracked_faces
from vasal_jax.inputs.faces.detector import Detector
from vasal_jax.inputs.faces.sources import Faces, open_faces
from vasal_jax.inputs.faces.tracking import TrackedFaces
from vasal_jax.inputs.faces.tracks import save_tracks, tracks_file
from vasal_jax.inputs.video import VideoInfo
from vasal_jax.outputs.frame_map import FrameMap
from vasal_jax.outputs.prediction_files import Outputs, open_outputs
from vasal_jax.prediction.streaming import Predictor
from vasal_jax.size import Size
from vasal_jax.system import stopping
from vasal_jax.system.terminal import Lines


def predict_video(args: PredictArgs, info: VideoInfo, outputs: Outputs, predictor: Predictor, progress: Lines) -> None:
    """Writes the outputs of the video `args.video`, which `info` is of. Raises `InputError`."""
    with _open_faces(args, info) as faces:
        if outputs.paths() != [outputs.tracks]:
            _write(args, info, faces, outputs, predictor, progress)
        elif faces.detector and faces.record:
            _find_faces(info, faces.detector, faces.record, progress)


def _write(
    args: PredictArgs, info: VideoInfo, faces: Faces, outputs: Outputs, predictor: Predictor, progress: Lines
) -> None:
    options = {"sound": args.sound, "sound_track": args.sound_track, "memory": args.memory, "released": args.released}
    frames = _with_progress(predictor.stream(info, faces=faces, **options), info, args.released, progress)
    settings = settings_of(args, predictor.model)
    sound = args.sound or (None if info.pictures else info.path)
    writing = open_outputs(outputs, info, sound, settings, args.sound_track)
    with writing as add, contextlib.closing(frames):  # an error is printed when the progress bar is gone
        for frame in frames:
            add(frame)


@contextlib.contextmanager
def _open_faces(args: PredictArgs, info: VideoInfo) -> Iterator[Faces]:
    """The faces that the arguments name, saved if they say so; those that are to be found, when the block ends."""
    size = args.tracks_size or Size(info.height, info.width)
    with contextlib.ExitStack() as stack:
        record = None
        if args.save_tracks and args.faces == "auto":
            record = stack.enter_context(tracks_file(args.save_tracks, size))
        faces = open_faces(args.faces, info, tracks_size=size, detector=args.detector, record=record)
        if args.save_tracks and faces.tracks:
            save_tracks(args.save_tracks, *faces.tracks, size)
        yield faces


def _find_faces(info: VideoInfo, detector: Detector, record: Callable[[TrackedFaces], object], progress: Lines) -> None:
    """Finds and saves the faces of a video without predicting on it."""
    task, count = progress.add_task("finding faces", total=info.frames), 0
    for found in tracked_faces(info, detector=detector):
        stopping.check()
        record(found)
        progress.update(task, advance=1)
        count += 1
    progress.update(task, total=count)  # a container's count can be wrong


def _with_progress(
    frames: Generator[FrameMap], info: VideoInfo, released: bool, progress: Lines
) -> Generator[FrameMap]:
    total = info.frames
    if total and released:
        total = (total - FRAME_OFFSET) // CLIP_LENGTH * CLIP_LENGTH
    with contextlib.closing(frames):
        task = progress.add_task(info.path.name, total=total, note="compiling")
        started, done = None, 0
        for done, frame in enumerate(frames, 1):
            stopping.check()
            yield frame
            started = started or monotonic()
            # The first clip comes all at once, after compilation: too early to speak of a rate.
            elapsed = monotonic() - started
            progress.update(task, advance=1, note=f"{(done - 1) / elapsed:.1f} frames/s" if elapsed > 1 else "")
        progress.update(task, total=done)  # a container's count can be wrong
