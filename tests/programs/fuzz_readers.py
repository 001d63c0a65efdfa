"""Reads files that were drawn and then damaged: `python -m tests.programs.fuzz_readers FOLDER SEED SECONDS`.

Each case prints its seed before it is read, so that a crash or a hang names it. A case fails where anything but an
`InputError` is raised, where it takes more than `MAX_SECONDS` of the processor or more than `MAX_BYTES` above what the
program had, or where an output is left behind half-written.
"""

import json
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import scipy.io
from flax import nnx

from data.challenge_files import SPLIT_FILE, read_fixations, read_split_file
from data.mvva_arrays import load_fixations, load_talking
from data.splits import read_list
from data.stavis import read_fixation_map
from tests.helpers.flashes import write_flash
from tests.helpers.media import write_wav
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.config import MVVA_GRID, ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.evaluation import result_files
from vasal_jax.evaluation.map_folders import find_maps
from vasal_jax.inputs.audio import load_spectrogram
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.inputs.images import read_grey, read_rgb
from vasal_jax.inputs.map_videos import read_maps
from vasal_jax.inputs.npy import load_array
from vasal_jax.inputs.video import count_frames, probe, read_frames
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.models import VASal
from vasal_jax.outputs.video import video_writer
from vasal_jax.weights import parameters, pytorch

MAX_SECONDS = 30
MAX_BYTES = 2 * 2**30

MEDIA = [
    ("a.mp4", "libx264", "aac"),
    ("b.mkv", "libx264", "ac3"),
    ("c.ts", "libx264", "aac"),
    ("d.ts", "mpeg2video", "mp2"),
    ("e.mpg", "mpeg2video", "ac3"),
    ("f.avi", "mpeg4", "libmp3lame"),
    ("g.flv", "libx264", "aac"),
    ("h.mkv", "libx265", "flac"),
]


def draw(folder: Path) -> list[Path]:
    """One healthy file of each kind."""
    folder.mkdir(exist_ok=True)
    files = [write_flash(folder / name, video, sound, n=40, flash=20) for name, video, sound in MEDIA]
    rng = np.random.default_rng(0)
    model = narrow_model()
    weights.save(model, folder / "w.safetensors")
    np.save(folder / "a.npy", rng.random((40, 3, 4)))
    np.save(folder / "b.npy", np.array([rng.random((3, 2)), rng.random((5, 2)), None], object), allow_pickle=True)
    scipy.io.savemat(folder / "a.mat", {"eyeMap": rng.random((30, 40)) > 0.9})
    np.savez(folder / "312.npz", maps=rng.random((40, 8, 8)).astype(np.float32), frame_index=np.arange(40))
    (folder / "a.txt").write_text("".join(f"{number} 450 25\n" for number in range(220, 240)))
    for name in ("a.png", "a.jpg", "frame_1.png"):
        (folder / name).write_bytes(cv2.imencode(name[-4:], rng.integers(0, 255, (60, 80), np.uint8))[1])
    write_wav(folder / "a.wav", rng.random(20_000) - 0.5)
    with h5py.File(folder / "v73.mat", "w") as file:
        file["eyeMap"] = (rng.random((40, 30)) > 0.9).astype(np.uint8)
    pytorch.write(parameters.arrays(VASal(ModelConfig.tiny(), rngs=nnx.Rngs(0))), folder / "a.pth.tar")
    weights.save(model, folder / "orbax")
    _draw_texts(folder, rng)
    return files + [folder / name for name in (*OTHERS, *(each.name for each in folder.glob("*.json")))]


def _draw_texts(folder: Path, rng: np.random.Generator) -> None:
    numbers = dict.fromkeys(METRICS, 0.5)
    row = {"name": "a", "truth": "all", "videos": {"7": numbers}, "frames": {"7": [[0, 3]]}}
    row |= {"mean_over_videos": numbers, "mean_over_frames": numbers}
    texts = {
        "R.json": {"rows": [row], "settings": {}},
        "fixations.json": rng.integers(0, 500, (20, 4, 2)).tolist(),
        SPLIT_FILE: {"train": [f"{index}.mp4" for index in range(30)], "public_test": ["x.mp4"]},
    }
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value))
    lines = [",".join(["row", "video", "frame", *METRICS])]
    lines += [",".join(["a", "7", str(frame), *["0.25"] * len(METRICS)]) for frame in range(30)]
    (folder / "R_frames.csv").write_text("\n".join(lines))


OTHERS = (
    "w.safetensors", "a.npy", "b.npy", "a.mat", "v73.mat", "312.npz", "a.txt", "a.png", "a.jpg", "frame_1.png", "a.wav",
    "a.pth.tar", "orbax", "R_frames.csv",
)  # fmt: skip


def damaged(source: Path, path: Path, rng: np.random.Generator) -> Path:
    """The file with bytes flipped, cut, moved or left out; of media, sometimes the packets and their stamps instead."""
    if source.is_dir():
        shutil.copytree(source, path)
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)
        chosen = files[int(rng.integers(0, len(files)))]
        return damaged(chosen, chosen, rng) and path
    if source.suffix in (".mp4", ".mkv", ".ts", ".flv", ".mpg", ".avi") and rng.random() < 0.5:
        return _remuxed(source, path, rng)
    data = bytearray(source.read_bytes())
    for _ in range(int(rng.integers(1, 4))):
        kind, at = rng.integers(0, 5), int(rng.integers(0, len(data)))
        if kind == 0:
            del data[max(at, 16) :]
        elif kind == 1:
            for index in rng.integers(0, len(data), int(rng.integers(1, 40))):
                data[index] ^= int(rng.integers(1, 256))
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 3000))]
        elif kind == 3:
            data[at:at] = data[: int(rng.integers(1, 20000))]
        else:
            head = rng.integers(0, min(len(data), 600), 6)  # where lengths and sizes stand
            for index in head:
                data[index] = int(rng.choice([0, 1, 127, 128, 255]))
        if len(data) < 17:
            break
    path.write_bytes(data)
    return path


def _remuxed(source: Path, path: Path, rng: np.random.Generator) -> Path:
    """Packets dropped, in another order, or with other stamps, as far as the muxer takes them."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        packets = [packet for packet in old.demux() if packet.size]
        jumps = rng.choice([-5e3, -1.0, -0.05, 0.3, 20.0, 5e3, 1e5, 1e7], len(packets))
        moved = np.cumsum(np.where(rng.random(len(packets)) < 0.02, jumps, 0.0))
        if rng.random() < 0.3:
            packets = [packets[i] for i in np.argsort(np.arange(len(packets)) + rng.normal(0, 3, len(packets)))]
        for packet, shift in zip(packets, moved, strict=True):
            if rng.random() < 0.05:
                continue
            ticks = round(shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            packet.stream = streams[packet.stream_index]
            try:
                new.mux(packet)
            except (av.FFmpegError, ValueError, OverflowError):
                continue
    return path


READERS: dict[str, list[Callable]] = {
    ".safetensors": [weights.load],
    ".npy": [load_array, load_fixations, load_talking, partial(load_tracks, size=MVVA_GRID)],
    ".mat": [read_fixation_map],
    ".npz": [lambda path: [maps.open()(0) for maps in find_maps(path.parent, {"312": 40})[0].values()]],
    ".txt": [read_list],
    ".png": [read_grey, read_rgb],
    ".jpg": [read_grey, read_rgb],
    "frame_1.png": [lambda path: read_frames(probe(path.parent, 25))],
    ".wav": [load_spectrogram],
    ".tar": [pytorch.read, weights.read],
    "orbax": [weights.load],
    "R.json": [result_files.read_json],
    "R_frames.csv": [lambda path: result_files.read_frames(path.with_name("R.json"), "a")],
    "fixations.json": [read_fixations],
    SPLIT_FILE: [lambda path: read_split_file(path.parent)],
}


def read(path: Path, out: Path) -> None:
    """Reads a file with every reader that takes its kind."""
    readers = READERS.get(path.name) or READERS.get(path.suffix) or MEDIA_READERS
    for reader in readers:
        try:
            if reader is _overlay:
                _overlay(path, out)
            elif isinstance(found := reader(path), Iterator):
                for _ in found:
                    pass
        except InputError as error:
            if path.name not in str(error) and str(path.parent) not in str(error):
                raise ValueError("names no file") from error


def _overlay(path: Path, out: Path) -> None:
    info = probe(path)
    with video_writer(out, info.width, info.height, info.fps, path) as write:
        for frame in read_frames(path):
            write(frame.image, frame.time)
            if frame.index > 200:
                break


def _stop_timers() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


# What prediction and an overlay read of a video, its maps, and the frames that a check of a dataset counts.
MEDIA_READERS = [load_spectrogram, _overlay, read_maps, count_frames]


def main(folder: Path, seed: int, seconds: float) -> int:
    """Reads damaged files until the time is over; returns how many cases failed."""
    healthy = draw(folder / "healthy")
    failed, end = 0, time.monotonic() + seconds
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(TimeoutError("hangs")))
    while time.monotonic() < end:
        rng = np.random.default_rng(seed)
        source = healthy[int(rng.integers(0, len(healthy)))]
        work = folder / "work"
        work.mkdir(exist_ok=True)
        print(seed, source.name, flush=True)
        try:
            path = damaged(source, work / source.name, rng)
        except (av.FFmpegError, ValueError, OverflowError):
            _empty(work)
            seed += 1
            continue  # the muxer refused all of it
        peak, out = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, work / "out.mp4"
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
        signal.alarm(10 * MAX_SECONDS)  # for one that waits for ever
        try:
            read(path, out)
            _stop_timers()
            if (more := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 > MAX_BYTES:
                raise MemoryError(f"{more} KiB")
            out.unlink(missing_ok=True)
            left = [each.name for each in work.iterdir() if each != path]
            assert not left, f"left behind: {left}"
        except BaseException:
            _stop_timers()
            failed += 1
            print(f"FAILED {seed} {source.name}", traceback.format_exc(), sep="\n", flush=True)
            path.rename(folder / f"failed_{seed}_{source.name}")
        _empty(work)
        seed += 1
    return failed


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])), 100))
