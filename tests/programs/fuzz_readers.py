"""Reads files that were drawn and then damaged: `python -m tests.programs.fuzz_readers FOLDER SEED SECONDS`.

Each case prints its seed before it is read, so that a crash or a hang names it. A case fails where anything but an
`InputError` is raised, where it takes more than `MAX_SECONDS` or more than `MAX_BYTES` above what the program had, or
where an output is left behind half-written.
"""

import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import scipy.io

from data.splits import read_list
from data.stavis import read_fixation_map
from tests.helpers.flashes import write_flash
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.errors import InputError
from vasal_jax.evaluation.map_folders import find_maps
from vasal_jax.inputs.audio import load_spectrogram
from vasal_jax.inputs.images import read_grey
from vasal_jax.inputs.npy import load_array
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.outputs.video import video_writer

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
    for name in ("a.png", "a.jpg"):
        (folder / name).write_bytes(cv2.imencode(name[1:], rng.integers(0, 255, (60, 80), np.uint8))[1])
    return files + [folder / name for name in OTHERS]


OTHERS = ("w.safetensors", "a.npy", "b.npy", "a.mat", "312.npz", "a.txt", "a.png", "a.jpg")


def damaged(source: Path, path: Path, rng: np.random.Generator) -> Path:
    """The file with bytes flipped, cut, moved or left out; of media, sometimes the packets and their stamps instead."""
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


def read(path: Path, out: Path) -> None:
    """Reads a file with every reader that takes its kind."""
    readers: list[Callable[[], object]] = {
        ".safetensors": [lambda: weights.load(path)],
        ".npy": [lambda: load_array(path)],
        ".mat": [lambda: read_fixation_map(path)],
        ".npz": [lambda: [maps.open()(0) for maps in find_maps(path.parent, {"312": 40})[0].values()]],
        ".txt": [lambda: read_list(path)],
        ".png": [lambda: read_grey(path)],
        ".jpg": [lambda: read_grey(path)],
    }.get(path.suffix, [lambda: load_spectrogram(path), lambda: _overlay(path, out)])
    for reader in readers:
        try:
            reader()
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


def main(folder: Path, seed: int, seconds: float) -> int:
    """Reads damaged files until the time is over; returns how many cases failed."""
    healthy = draw(folder / "healthy")
    failed, end = 0, time.monotonic() + seconds
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("hangs")))
    while time.monotonic() < end:
        rng = np.random.default_rng(seed)
        source = healthy[int(rng.integers(0, len(healthy)))]
        work = folder / "work"
        work.mkdir(exist_ok=True)
        print(seed, source.name, flush=True)
        try:
            path = damaged(source, work / source.name, rng)
        except (av.FFmpegError, ValueError, OverflowError):
            for each in work.iterdir():
                each.unlink()
            seed += 1
            continue  # the muxer refused all of it
        peak, out = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, work / "out.mp4"
        signal.alarm(MAX_SECONDS)
        try:
            read(path, out)
            signal.alarm(0)
            if (more := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024 > MAX_BYTES:
                raise MemoryError(f"{more} KiB")
            out.unlink(missing_ok=True)
            left = [each.name for each in work.iterdir() if each != path]
            assert not left, f"left behind: {left}"
        except BaseException:
            signal.alarm(0)
            failed += 1
            print(f"FAILED {seed} {source.name}", traceback.format_exc(), sep="\n", flush=True)
            path.rename(folder / f"failed_{seed}_{source.name}")
        for each in work.iterdir():
            each.unlink()
        seed += 1
    return failed


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])), 100))
