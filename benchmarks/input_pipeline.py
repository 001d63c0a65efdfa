"""Clips of the prepared dataset beside clips taken from the videos: `python -m benchmarks.input_pipeline`.

Draws a synthetic dataset of 1280x720 videos, prepares it, and measures the time of a clip and the memory of
  prepared       batches of `data.pipeline`, packed, as training gets them
  on the fly     a clip at a random place: seek, decode, resize, crop; the track's spectrogram made once a video
  whole videos   the release's way: all frames of a video decoded and held with its sound, then cut into clips
Each side runs in a process of its own, in turn; ours has in either allocator setting the memory of train.py on an
accelerator: huge pages, and freed memory kept. Needs the extra `train`.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
import librosa
import numpy as np

from benchmarks.harness.machine import device
from benchmarks.harness.processes import as_train_py_has_it, in_fresh_process
from benchmarks.harness.runner import command
from benchmarks.harness.side_by_side import Comparison
from data.builder import main as prepare
from data.datasets import open_dataset
from data.records import VideoRecord
from data.synthetic import SyntheticArgs, generate
from vasal_jax.config import FRAME_OFFSET
from vasal_jax.inputs.audio import HOP, hop_at, load_spectrogram, mel_picture, window_indices
from vasal_jax.inputs.faces.crops import crop_faces, model_crops
from vasal_jax.inputs.faces.maps import gaussian_mixture, normalise_face_map
from vasal_jax.inputs.fixations import fixation_density
from vasal_jax.inputs.sound import SAMPLE_RATE
from vasal_jax.inputs.video import model_frame
from vasal_jax.size import Size
from vasal_jax.system.memory import keep_freed_memory

T = 12  # frames of a clip


def prepared(out: Path) -> Iterator[int]:
    """Yields after each batch how many clips it holds."""
    from data.clips import ClipOptions
    from data.pipeline import training_batches

    keep_freed_memory(one_heap=False)  # as where an accelerator computes
    for batch in training_batches(out, 4, 0, ClipOptions(length=T)):
        yield len(batch["valid"])


def on_the_fly(root: Path) -> Iterator[int]:
    """A random clip at a time from the video files."""
    records = open_dataset(root, progress=False)[0].records
    rng = np.random.default_rng(0)
    annotations = lru_cache(None)(lambda record: (load_spectrogram(record.sound), record.fixations(), record.tracks()))
    while True:
        record = records[rng.integers(len(records))]
        track, points, (boxes, mask) = annotations(record)
        start = int(rng.integers(record.n_frames - T))
        indices = np.arange(start, start + T)
        images = decode(record, max(start - FRAME_OFFSET, 0), start + T)
        frames = {i: model_frame(image) for i, image in images.items()}
        clip_of(frames, images, indices, record, track, points, boxes, mask)
        yield 1


def whole_videos(root: Path) -> Iterator[int]:
    """The release's way with each video, then clip after clip out of memory."""
    records = open_dataset(root, progress=False)[0].records
    while True:
        for record in records:
            images = decode(record, 0, record.n_frames)
            frames = {i: model_frame(image) for i, image in images.items()}
            samples, _ = librosa.load(record.sound, sr=SAMPLE_RATE)
            power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, hop_length=HOP)
            decibels = librosa.power_to_db(power, ref=np.max)
            track = (decibels - decibels.min()) / (decibels.max() - decibels.min()) * 255
            points, (boxes, mask) = record.fixations(), record.tracks()
            for start in range(0, record.n_frames - T + 1, T):
                clip_of(frames, images, np.arange(start, start + T), record, track, points, boxes, mask)
                yield 1


def decode(record: VideoRecord, first: int, last: int) -> dict[int, np.ndarray]:
    """RGB frames first..last-1 by index, from the key frame before on."""
    found = {}
    with av.open(str(record.video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        container.seek(int(first / record.fps / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            index = round(float(frame.pts * stream.time_base) * record.fps)
            if index >= last:
                break
            if index >= first:
                found[index] = frame.to_ndarray(format="rgb24")
    return found


def clip_of(frames, images, indices, record, track, points, boxes, mask) -> dict[str, np.ndarray]:
    """What the model is trained on, as `data.pipeline` gives it."""
    pictures = {
        j: mel_picture(track, hop_at(j / record.fps))
        for j in {j for i in indices for j in window_indices(i, record.n_frames)}
    }
    crops = [model_crops(crop_faces(images[i], boxes[i], mask[i]), mask[i]) for i in indices]
    return {
        "frames": np.stack([frames[i] for i in indices]),
        "frames_past": np.stack([frames[max(i - FRAME_OFFSET, min(frames))] for i in indices]),
        "mel": np.stack([[pictures[j] for j in window_indices(i, record.n_frames)] for i in indices]),
        "face_crops": np.stack(crops),
        "face_map": np.stack([normalise_face_map(gaussian_mixture(boxes[i], mask[i])) for i in indices]),
        "density": fixation_density(points[indices], (32, 32), record.grid),
    }


SIDES = {"prepared": prepared, "on the fly": on_the_fly, "whole videos": whole_videos}
GOALS = {"on the fly": 10.0, "whole videos": None}  # on a CPU


def measure(rounds: int = 7, videos: int = 4, seconds: float = 8.0, clips: int = 800) -> list[Comparison]:
    """Times each side on `clips` clips, a tenth of them for those that take the videos."""
    found: dict[str, list[Taken]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder) / "release", Path(folder) / "prepared"
        generate(SyntheticArgs(root, videos=videos, seconds=seconds, seed=0, size=Size(720, 1280)))
        prepare([str(root), str(out)])
        for _ in range(rounds):
            for name, taken in found.items():
                own = name == "prepared"
                place, count, environment = (out, clips, as_train_py_has_it()) if own else (root, clips // 10, None)
                taken.append(in_fresh_process(take, name, place, count, environment=environment))
    for name, taken in found.items():
        quarter, end, peak = (statistics.median(sizes) for sizes in zip(*(t.memory for t in taken), strict=True))
        print(f"{name}: {quarter:.0f} MB after a quarter, {end:.0f} MB at the end, {peak:.0f} MB at most")
    times = {name: [each.seconds for each in taken] for name, taken in found.items()}
    work = f"a clip of {T} frames of 1280x720 videos, prepared"
    goals = GOALS if device() == "cpu" else dict.fromkeys(GOALS)
    return [Comparison(work, name, "float32", times["prepared"], times[name], goal) for name, goal in goals.items()]


class Taken(NamedTuple):
    """What one side took."""

    seconds: float  # a clip
    memory: tuple[float, float, float]  # MB when a quarter of the clips was taken, at the end, at most


def take(name: str, folder: Path, clips: int) -> Taken:
    """Takes clips of one side in this process."""
    batches = SIDES[name](folder)
    next(batches)
    begin, taken, quarter = time.perf_counter(), 0, None
    while taken < clips:
        taken += next(batches)
        if quarter is None and taken >= clips / 4:
            quarter = memory()
    seconds = (time.perf_counter() - begin) / taken
    return Taken(seconds, (quarter, memory(), peak_memory()))


def memory() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_memory() -> float:
    """Largest resident memory so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    options = {
        "videos": (int, "how many, 4 by default"),
        "seconds": (float, "length of each, 8 by default"),
        "clips": (int, "clips of the prepared side, 800 by default; a tenth for the others"),
    }
    sys.exit(command("input_pipeline", __doc__, **options))
