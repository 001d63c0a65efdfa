"""One video of many, as the local loop and workers elsewhere do it: skipped, done, or failed with a reason."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from rich.progress import Progress

from vasal_jax.commands.output_records import OutputRecord, OutputsInTheWay
from vasal_jax.commands.predict_args import PredictArgs, inputs_of, load_weights
from vasal_jax.commands.predict_video import predict_video
from vasal_jax.commands.video_list import NamedVideo
from vasal_jax.errors import InputError
from vasal_jax.inputs import media
from vasal_jax.inputs.video import probe
from vasal_jax.outputs.prediction_files import Outputs, check
from vasal_jax.prediction.streaming import Predictor
from vasal_jax.system import memory, stopping
from vasal_jax.system.compilation_cache import use_compilation_cache
from vasal_jax.system.files import fitting_name, is_disk_full, naming_file_errors
from vasal_jax.system.terminal import Lines, OwnLines, progress_bar

logger = logging.getLogger(__name__)

_ENDINGS = {
    "overlay": "_overlay.mp4",
    "saliency": "_saliency.mp4",
    "frames": "_frames",
    "maps": ".npz",
    "explain": "_explained.mp4",
    "tracks": "_tracks.npy",
}


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """A video, and where its outputs go."""

    video: NamedVideo
    folder: Path
    settings: Mapping[str, Any]  # that the outputs of all videos are made with


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """How a video went."""

    video: Path
    status: str  # "done", "skipped" or "failed"
    seconds: float = 0.0
    frames: int | None = None
    outputs: Sequence[Path] = ()
    problem: str = ""
    common: str = ""  # the problem without names, where many videos may have the same
    disk_full: bool = False  # every further video would fail as well


def prepare_process(args: PredictArgs) -> None:
    """Makes a process ready to predict. To be called before the first computation."""
    memory.tune("predict")
    use_compilation_cache()
    if args.allow_playlists:
        media.allow_playlists()


def outputs_of(args: PredictArgs, folder: Path, name: str) -> Outputs:
    """Where the outputs of the video of a name go."""
    if args.submission:
        return Outputs(saliency=folder / f"{name}.mp4")
    place, start = (folder / name).parent, Path(name).name
    paths = {kind: place / fitting_name(start, _ENDINGS[kind]) for kind in args.write}
    if "explain" in paths:
        paths["explanation"] = paths.pop("explain")
    return Outputs(**paths)


def of_video(args: PredictArgs, path: Path, outputs: Outputs) -> PredictArgs:
    """The arguments as of one video alone."""
    return dataclasses.replace(args, video=path, more=(), explain=outputs.explanation, save_tracks=outputs.tracks)


class VideoWorker:
    """Does one job after the other with one predictor, which is made when it is first needed.

    A worker can be pickled, and sent to where its work is to be done; its predictor is made there.
    """

    def __init__(self, args: PredictArgs):
        self._args = args

    def __getstate__(self) -> dict[str, Any]:
        return {"_args": self._args}

    @cached_property
    def predictor(self) -> Predictor:
        """With the weights that the arguments name. Raises `InputError`."""
        prepare_process(self._args)
        return Predictor(load_weights(self._args))

    def __call__(self, job: VideoJob, progress: Progress | None = None) -> VideoResult:
        """Writes those outputs of a video that are not there yet; a fault of this video is told, not raised."""
        video, begun = job.video.path, monotonic()
        outputs = outputs_of(self._args, job.folder, job.video.name)
        try:
            with OwnLines(progress or progress_bar(disable=True)) as lines:
                frames = self._predict(job, outputs, lines)
        except Exception as error:
            if stopping.requested():  # on its way through libraries an interrupt may have become another error
                raise
            problem = str(error)
            if not isinstance(error, InputError):
                logger.warning("%s: an error of this program, not of the video", video, exc_info=error)
                problem = f"{video}: {type(error).__name__}: {problem}"
            common = error.reason if isinstance(error, OutputsInTheWay) else ""
            seconds, full = monotonic() - begun, is_disk_full(error)
            return VideoResult(video, "failed", seconds, problem=problem, common=common, disk_full=full)
        status = "skipped" if frames is None else "done"
        return VideoResult(video, status, monotonic() - begun, frames, outputs.paths())

    def _predict(self, job: VideoJob, outputs: Outputs, progress: Lines) -> int | None:
        """The number of frames, None where all outputs are whole. Raises `InputError`."""
        video = job.video.path
        own = {**job.settings, "video": str(video.resolve()), "video_bytes": _size(video)}
        record = OutputRecord(job.folder, job.video.name, own)
        missing = record.missing(outputs, self._args.overwrite)
        if not missing.paths():
            return None
        predictor = self.predictor
        info = probe(video)
        with naming_file_errors(job.folder):
            (job.folder / job.video.name).parent.mkdir(parents=True, exist_ok=True)
        single = of_video(self._args, video, missing)
        check(missing, inputs_of(single))
        record.begin(missing)
        predict_video(single, info, missing, predictor, progress)
        record.finish()
        return info.frames


def _size(video: Path) -> int | None:
    """Bytes, None where there is no such file, which is told when it is opened."""
    try:
        return video.stat().st_size
    except OSError:
        return None
