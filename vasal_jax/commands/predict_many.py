"""Many videos with one model, loaded and compiled once: what `predict.py VIDEO... --out DIR` runs.

Each output is whole or absent. When all outputs of a video are there, a record of their settings is written. A second
run of the same command skips such videos, so that a run that was stopped goes on.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vasal_jax.commands.predict_args import PredictArgs, check_model, inputs_of, load_weights, settings_of
from vasal_jax.commands.predict_video import predict_video
from vasal_jax.commands.video_list import NamedVideo, find_videos
from vasal_jax.errors import InputError
from vasal_jax.inputs.video import probe
from vasal_jax.outputs.prediction_files import Outputs, check
from vasal_jax.prediction.streaming import Predictor
from vasal_jax.system.files import check_writable, naming_file_errors, replacing
from vasal_jax.system.terminal import progress_bar

SUMMARY = "summary.json"
RECORDS = ".records"  # a folder with a file a video whose outputs are whole

_ENDINGS = {
    "overlay": "_overlay.mp4",
    "saliency": "_saliency.mp4",
    "frames": "_frames",
    "maps": ".npz",
    "explain": "_explained.mp4",
    "tracks": "_tracks.npy",
}
_LEAST_SPACE = 32 * 2**20  # bytes; with less, every further video would fail as well


@dataclasses.dataclass(frozen=True)
class _Result:
    """How a video went."""

    video: Path
    status: str  # "done", "skipped" or "failed"
    seconds: float = 0.0
    frames: int | None = None
    outputs: Sequence[Path] = ()
    problem: str = ""


def predict_many(args: PredictArgs) -> int:
    """Runs the command: exit code 0, or 1 where some videos failed. Raises `InputError` for a mistake of the person's.

    `summary.json` in the folder of the outputs lists every video with its outputs or what was wrong with it.
    """
    folder = _check(args)
    videos = find_videos([args.video, *args.more], args.recursive)
    with naming_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / SUMMARY)
    predictor = Predictor(load_weights(args))
    check_model(_of_video(args, videos[0], _outputs(args, folder, videos[0].name)), predictor.model)
    settings = settings_of(args, predictor.model)
    results: list[_Result] = []
    with progress_bar() as progress:
        task = progress.add_task("all videos", total=len(videos))
        for video in videos:
            results.append(_predict(args, video, folder, predictor, settings, progress))
            for finished in progress.task_ids[1:]:
                progress.remove_task(finished)
            failed = sum(result.status == "failed" for result in results)
            progress.update(task, advance=1, note=f"{failed} failed" if failed else "")
            _check_space(folder, results[-1])
    _write_summary(folder, results, settings)
    _print_table(results, folder)
    return int(any(result.status == "failed" for result in results))


def _check(args: PredictArgs) -> Path:
    """The folder of the outputs. Raises `InputError` for arguments that do not go with many videos."""
    if args.out and args.submission:
        raise InputError("--out and --submission are two folders for the same videos; give one of them")
    single = ("overlay", "saliency", "frames", "maps", "explain", "save_tracks", "sound", "tracks_size")
    if given := [name for name in single if getattr(args, name)]:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        raise InputError(f"{flags}: about one video; with --out DIR say which outputs you want by --write")
    if args.faces not in ("auto", "none"):
        raise InputError(f"--faces: expected auto or none for many videos, found {args.faces}")
    folder = args.out or args.submission
    assert folder is not None
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, expected a folder for the outputs; choose another")
    return folder


def _predict(
    args: PredictArgs,
    video: NamedVideo,
    folder: Path,
    predictor: Predictor,
    settings: Mapping[str, Any],
    progress: Progress,
) -> _Result:
    outputs = _outputs(args, folder, video.name)
    record = folder / RECORDS / f"{hashlib.sha256(video.name.encode()).hexdigest()[:32]}.json"
    begun = monotonic()
    try:
        own = {**settings, "video": str(video.path.resolve())}
        if not args.overwrite and _is_done(record, outputs, own):
            return _Result(video.path, "skipped", outputs=outputs.paths())
        info = probe(video.path)
        with naming_file_errors(folder):
            (folder / video.name).parent.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        single = _of_video(args, video, outputs)
        check(outputs, inputs_of(single))
        predict_video(single, info, outputs, predictor, progress)
        _write_record(record, outputs, own)
        return _Result(video.path, "done", monotonic() - begun, info.frames, outputs.paths())
    except InputError as error:
        return _Result(video.path, "failed", monotonic() - begun, problem=str(error))


def _outputs(args: PredictArgs, folder: Path, name: str) -> Outputs:
    if args.submission:
        return Outputs(saliency=folder / f"{name}.mp4")
    paths = {kind: folder / f"{name}{_ENDINGS[kind]}" for kind in args.write}
    if "explain" in paths:
        paths["explanation"] = paths.pop("explain")
    return Outputs(**paths)


def _of_video(args: PredictArgs, video: NamedVideo, outputs: Outputs) -> PredictArgs:
    """The arguments as of one video alone."""
    return dataclasses.replace(args, video=video.path, more=(), explain=outputs.explanation, save_tracks=outputs.tracks)


def _is_done(record: Path, outputs: Outputs, settings: Mapping[str, Any]) -> bool:
    """Whether all outputs are there, of these settings. Raises `InputError` where they are of other ones."""
    if not all(path.exists() for path in outputs.paths()):
        return False
    try:
        before = json.loads(record.read_text())["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        before = None
    now = json.loads(json.dumps(settings))
    if before == now:
        return True
    first, *_ = outputs.paths()
    if not isinstance(before, dict):
        raise InputError(f"{first}: is there, and nothing says how it was made; say --overwrite or another folder")
    changed = ", ".join(name for name in now if before.get(name) != now[name])
    raise InputError(f"{first}: was made with other settings ({changed}); say --overwrite or another folder")


def _write_record(record: Path, outputs: Outputs, settings: Mapping[str, Any]) -> None:
    with naming_file_errors(record.parent):
        record.parent.mkdir(exist_ok=True)
    content = {"settings": settings, "outputs": [path.name for path in outputs.paths()]}
    with replacing(record) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _check_space(folder: Path, result: _Result) -> None:
    """Raises `InputError` where a video failed and the disk is full: every further one would fail as well."""
    if result.status == "failed" and shutil.disk_usage(folder).free < _LEAST_SPACE:
        raise InputError(f"{result.problem}; the outputs of the videos before are whole, the same command goes on")


def _write_summary(folder: Path, results: Sequence[_Result], settings: Mapping[str, Any]) -> None:
    videos = [
        {
            "video": str(result.video),
            "status": result.status,
            "seconds": round(result.seconds, 3),
            "frames": result.frames,
            "outputs": [str(path.relative_to(folder)) for path in result.outputs],
            "problem": result.problem,
        }
        for result in results
    ]
    with replacing(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps({"settings": settings, "videos": videos}, indent=1) + "\n")


def _print_table(results: Sequence[_Result], folder: Path) -> None:
    counts = {status: sum(result.status == status for result in results) for status in ("done", "skipped", "failed")}
    table = Table("video", "problem", box=None, title="videos that failed", title_justify="left")
    for result in results:
        if result.status == "failed":
            table.add_row(result.video.name, result.problem)
    if table.row_count:
        Console(markup=False).print(table)
    print(f"{folder}: {', '.join(f'{count} {status}' for status, count in counts.items())}; see {folder / SUMMARY}")
