"""Many videos with one model, loaded and compiled once: what `predict.py VIDEO... --out DIR` runs.

Each output is whole or absent. A record of each video says which of its outputs are whole and how they were made. A
second run of the same command skips such videos, so that a run that was stopped goes on.
"""

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
from rich.table import Table

from vasal_jax.commands.predict_args import PredictArgs, check_model, settings_of
from vasal_jax.commands.predict_job import VideoJob, VideoResult, VideoWorker, of_video, outputs_of
from vasal_jax.commands.shards import Shard
from vasal_jax.commands.video_list import NamedVideo, find_videos
from vasal_jax.errors import InputError
from vasal_jax.system.engines import Engine
from vasal_jax.system.files import check_writable, naming_file_errors, replacing
from vasal_jax.system.terminal import progress_bar, say, show
from vasal_jax.system.text import printable


def predict_many(args: PredictArgs) -> int:
    """Runs the command: exit code 0, or 1 where some videos failed. Raises `InputError` for a mistake of the person's.

    `summary.json` in the folder of the outputs lists every video with its outputs or what was wrong with it; that of a
    shard is `summary-3-of-16.json`.
    """
    folder, engine = _check(args), Engine(args.engine, args.ray_address, args.workers)
    engine.check()
    shard = Shard.parse(args.shard) if args.shard else None
    videos = find_videos([path for path in (args.video, *args.more) if path], args.recursive, folder)
    _check_outputs(args, folder, videos)
    mine = shard.of(videos) if shard else videos
    with naming_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    summary = folder / (f"summary-{shard.number}-of-{shard.count}.json" if shard else "summary.json")
    check_writable(summary)
    if engine.name == "ray":
        jax.config.update("jax_platforms", "cpu")  # the devices are for the workers
    worker = VideoWorker(args)
    model = worker.predictor.model
    check_model(of_video(args, videos[0].path, outputs_of(args, folder, videos[0].name)), model)
    settings = {name: value for name, value in settings_of(args, model).items() if name != "video"}
    results = list(_results(engine, worker, [VideoJob(video, folder, settings) for video in mine]))
    _write_summary(summary, folder, results, settings)
    _print_table(results, summary)
    return int(any(result.status == "failed" for result in results))


def _check(args: PredictArgs) -> Path:
    """The folder of the outputs. Raises `InputError` for arguments that do not go with many videos."""
    if args.out and args.submission:
        raise InputError("--out and --submission are two folders for the same videos; give one of them")
    single = ("overlay", "saliency", "frames", "maps", "explain", "save_tracks", "sound", "tracks_size", "fps")
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


def _check_outputs(args: PredictArgs, folder: Path, videos: Sequence[NamedVideo]) -> None:
    """Raises `InputError` where an output of one video would lie in a folder that is an output of another."""
    if "frames" not in args.write or args.submission:
        return
    folders = {outputs_of(args, folder, video.name).frames: video.path for video in videos}
    for path, name in videos:
        for above in (folder / name).parents:
            if other := folders.get(above):
                raise InputError(f"{above}: would hold the frames of {other} and outputs of {path}; rename one of them")


def _results(engine: Engine, worker: VideoWorker, jobs: Sequence[VideoJob]) -> Iterator[VideoResult]:
    """How each video went, as it is done. Raises `InputError` where the disk is full."""
    failed = 0
    with progress_bar() as progress:
        task = progress.add_task("all videos", total=len(jobs))
        here = engine.name == "local"  # where the progress of the video under way can be shown
        function = partial(worker, progress=progress) if here else worker
        with contextlib.closing(engine.run(function, [(job,) for job in jobs], _lost, on_devices=True)) as results:
            for result in results:
                failed += result.status == "failed"
                progress.update(task, advance=1, note=f"{failed} failed" if failed else "")
                if result.disk_full:
                    raise InputError(
                        f"{result.problem}; the outputs that are there are whole, the same command goes on"
                    )
                yield result


def _lost(arguments: tuple, reason: str) -> VideoResult:
    (job,) = arguments
    return VideoResult(job.video.path, "failed", problem=f"{job.video.path}: left out, {reason}")


def _write_summary(path: Path, folder: Path, results: Sequence[VideoResult], settings: Mapping[str, Any]) -> None:
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
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"settings": settings, "videos": videos}, indent=1) + "\n")


def _print_table(results: Sequence[VideoResult], summary: Path) -> None:
    counts = Counter(result.status for result in results)
    table = Table("video", "problem", box=None, title="videos that failed", title_justify="left")
    alike = defaultdict[str, list[VideoResult]](list)
    for result in results:
        if result.status == "failed":
            alike[result.common or str(result.video)].append(result)
    for first, *others in alike.values():
        names = first.video.name + (f" and {len(others)} more" if others else "")
        table.add_row(printable(names), printable(first.common if others else first.problem))
    if table.row_count:
        show(table)
    said = ", ".join(f"{counts[status]} {status}" for status in ("done", "skipped", "failed"))
    say(f"{summary.parent}: {said}; see {summary}")
