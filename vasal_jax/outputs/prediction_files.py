"""What prediction leaves behind: overlay and saliency videos, frames, maps, explanation. Each is whole or absent."""

import contextlib
import csv
import dataclasses
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.video import VideoInfo
from vasal_jax.outputs import video
from vasal_jax.outputs.explanation import CSV_HEADER, Explanation, csv_rows
from vasal_jax.outputs.frame_map import FrameMap
from vasal_jax.outputs.heatmap import grey_map
from vasal_jax.system.files import check_own, check_writable, naming_file_errors, replacing

Add = Callable[[FrameMap], None]
_Grey = Callable[[], np.ndarray]  # the frame's grey map at the video's size, uint8 (H, W)
_Adder = Callable[[FrameMap, _Grey], None]  # a frame with its grey map (H,W)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Where each kind of output goes; None leaves it out."""

    overlay: Path | None = None
    saliency: Path | None = None
    frames: Path | None = None
    maps: Path | None = None
    explanation: Path | None = None  # a video; a CSV with the same name goes beside it
    tracks: Path | None = None  # of the faces, written before the rest

    @property
    def explanation_csv(self) -> Path | None:
        return self.explanation and self.explanation.with_suffix(".csv")

    def paths(self) -> list[Path]:
        paths = self.tracks, self.overlay, self.saliency, self.frames, self.maps, self.explanation, self.explanation_csv
        return [path for path in paths if path]

    def only(self, wanted: Callable[[Path], bool]) -> "Outputs":
        """Those whose path is wanted; the explanation where one of its two is."""
        csv_wanted = self.explanation_csv is not None and wanted(self.explanation_csv)
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        kept = {
            kind: path
            for kind, path in given.items()
            if path is not None and (wanted(path) or (kind == "explanation" and csv_wanted))
        }
        return Outputs(**kept)


def check(outputs: Outputs, inputs: list[Path]) -> None:
    """Raises `InputError` where an output cannot be written, is asked for twice, or would replace an input."""
    for path in (outputs.overlay, outputs.saliency, outputs.explanation):
        if path:
            video.check_name(path)
    if outputs.tracks and outputs.tracks.suffix.lower() != ".npy":
        raise InputError(f"{outputs.tracks}: expected a name for face tracks that ends in .npy; choose another")
    taken = [os.path.realpath(path) for path in inputs]
    for path in outputs.paths():
        if os.path.realpath(path) in taken:
            raise InputError(f"{path}: is an input or another output too; choose another name")
        check_writable(path)
        taken.append(os.path.realpath(path))
        if path == outputs.frames:
            _check_frame_folder(path, outputs)
        elif path.is_dir():
            raise InputError(f"{path}: is a folder, expected a file name; choose another place")


@contextlib.contextmanager
def open_outputs(
    outputs: Outputs, info: VideoInfo, sound: Path | None, settings: dict[str, Any], sound_track: int | None = None
) -> Iterator[Add]:
    """Opens all outputs; they take their final names when the block ends well.

    Args:
      outputs: what to write.
      info: the video that is predicted on.
      sound: the file whose sound goes into overlay and explanation; None for none.
      settings: what the maps were made with, for the maps file; anything JSON can hold.
      sound_track: which sound track of the file, from 1; by default the one a player takes.

    Yields:
      A function that adds one frame to every output; for an explanation it needs `faces`.

    Raises:
      InputError: the file system or the encoder refused.
    """
    size = info.width, info.height
    with contextlib.ExitStack() as stack:
        adders: list[_Adder] = []
        if outputs.overlay:
            write = stack.enter_context(video.video_writer(outputs.overlay, *size, info.fps, sound, sound_track))
            adders.append(lambda frame, grey: write(frame.image, frame.time, grey()))
        if outputs.saliency:
            write_grey = stack.enter_context(video.video_writer(outputs.saliency, *size, info.fps))
            adders.append(lambda frame, grey: write_grey(grey(), frame.time))
        if outputs.frames:
            adders.append(stack.enter_context(_frame_folder(outputs.frames)))
        if outputs.maps:
            adders.append(stack.enter_context(_maps_file(outputs.maps, info.fps, settings)))
        if outputs.explanation and outputs.explanation_csv:
            explanation = Explanation(info)
            sizes = explanation.width, explanation.height
            explain = stack.enter_context(video.video_writer(outputs.explanation, *sizes, info.fps, sound, sound_track))
            adders.append(lambda frame, grey: explain(explanation.draw(frame, grey()), frame.time))
            adders.append(stack.enter_context(_csv_file(outputs.explanation_csv)))

        def add(frame: FrameMap) -> None:
            grey = cache(partial(grey_map, frame.map, *size))  # drawn once, where an output shows it
            for adder in adders:
                adder(frame, grey)

        yield add


@contextlib.contextmanager
def _frame_folder(folder: Path) -> Iterator[_Adder]:
    with replacing(folder) as temporary:
        temporary.mkdir()

        def add(frame: FrameMap, grey: _Grey) -> None:
            file = temporary / f"{frame.index:05d}.png"
            with naming_file_errors(folder):  # here, so that the error names this output and not another
                file.write_bytes(cv2.imencode(".png", grey())[1].data)

        yield add


def _check_frame_folder(folder: Path, outputs: Outputs) -> None:
    """Raises `InputError` where the folder holds others' files, or another output lies in it."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, expected a folder for frames; choose another name")
    check_own(folder)
    for path in outputs.paths():
        if Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents:
            raise InputError(f"{path}: is inside {folder}, which holds frames alone; choose another place")


@contextlib.contextmanager
def _maps_file(path: Path, fps: float, settings: dict[str, Any]) -> Iterator[_Adder]:
    """Writes `maps` to disk as they come, so that memory does not grow with the video."""
    # The number of maps stands before them in the file, so they wait in a nameless file beside it.
    with replacing(path) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as raw:
        indices: list[int] = []
        times: list[float] = []

        def add(frame: FrameMap, _: _Grey) -> None:
            with naming_file_errors(path):
                raw.write(np.ascontiguousarray(frame.map, "<f4").data)
            indices.append(frame.index)
            times.append(frame.time)

        yield add
        raw.seek(0)
        small = {
            "frame_index": np.array(indices, np.int64),
            "time": np.array(times, np.float64),
            "fps": np.float64(fps),
            "settings": np.array(json.dumps(settings)),
        }
        with zipfile.ZipFile(temporary, "w") as archive:
            with archive.open("maps.npy", "w", force_zip64=True) as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(indices), 32, 32)}
                np.lib.format.write_array_header_1_0(member, header)
                shutil.copyfileobj(raw, member)
            for name, value in small.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asanyarray(value))


@contextlib.contextmanager
def _csv_file(path: Path) -> Iterator[_Adder]:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_HEADER)

        def add(frame: FrameMap, _: _Grey) -> None:
            with naming_file_errors(path):
                writer.writerows(csv_rows(frame))

        yield add
