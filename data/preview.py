"""What to look at before trusting a dataset: a video with everything that is known about it drawn on.

    python -m data.preview FOLDER --video 77 preview.mp4
    python -m data.preview FOLDER --layout stavis --dataset DIEM --video BBC_wildlife_serpent_1280x704 preview.mp4

Heat is the fixation density, dots are the fixations, boxes are the faces with their numbers; whoever speaks has a
thick green box that says so. A line below the picture has the ID, the frame, the time and the number of fixations.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro
from rich.markup import escape
from rich.progress import track

from data import stavis
from data.mvva_files import find_videos
from data.mvva_review import read_video
from data.records import VideoRecord
from data.splits import canonical, read_list
from vasal_jax.errors import InputError
from vasal_jax.inputs.fixations import SIGMA, fixation_density, valid_points
from vasal_jax.outputs.heatmap import grey_map, overlay
from vasal_jax.outputs.labels import LabelPen
from vasal_jax.outputs.video import check_name, video_writer
from vasal_jax.system.terminal import console, run, say
from vasal_jax.system.text import printable

SPEAKING, SILENT, DOT = (60, 220, 90), (235, 235, 235), (255, 255, 255)  # RGB
_HEAT_CELLS = 160  # of the density along the longer side; it is smooth, so the rest is interpolated


@dataclasses.dataclass(frozen=True)
class PreviewArgs:
    """Draw density, fixations, face boxes and the speaker over one video of a dataset, with its sound."""

    folder: tyro.conf.Positional[Path]
    """Where MVVA was unpacked, a folder of data.synthetic, or one in the STAViS layout."""
    out: tyro.conf.Positional[Path]
    """The video to write: .mp4, .mkv or .mov."""
    video: str
    """Its ID in the dataset."""
    sigma: float = SIGMA
    """Standard deviation of the density in pixels of the grid of fixations (MVVA: 1280x720)."""
    layout: Literal["mvva", "stavis"] = "mvva"
    """How the folder is laid out."""
    dataset: str = "DIEM"
    """In the STAViS layout: which of the datasets."""


def preview(args: PreviewArgs) -> int:
    """Runs the command; returns its exit code.

    Raises:
      InputError: no such dataset or video, the video is unusable, or the output cannot be written.
    """
    check_name(args.out)
    if not 0 < args.sigma < np.inf:
        raise InputError(f"--sigma: expected more than 0 pixels, found {args.sigma:g}")
    record = find_record(args)
    if args.out.exists() and args.out.samefile(record.video):
        raise InputError(f"{args.out}: is the dataset's own video, choose another name for the preview")
    height = record.height + _caption_height(record.height)
    with video_writer(args.out, record.width, height, record.fps, record.sound) as write:
        pictures = draw_preview(record, args.sigma)
        title = escape(printable(f"video {record.id}"))
        for image, time in track(pictures, title, record.n_frames, console=console, transient=True):
            write(image, time)
    say(f"wrote {args.out}")
    return 0


def find_record(args: PreviewArgs) -> VideoRecord:
    """The one video. Raises `InputError` where it is not there or not usable."""
    if args.layout == "stavis":
        return _find_stavis(args)
    videos = {files.id: files for files in find_videos(args.folder)}
    record, problems, _ = read_video(_pick(videos, args))
    if record is None:
        raise InputError(next(problem.message for problem in problems if problem.left_out))
    return record


def _find_stavis(args: PreviewArgs) -> VideoRecord:
    lists = stavis.fold_lists(args.folder, args.dataset).values()
    videos = {canonical(name): (name, *rest) for fold in lists for name, *rest in read_list(fold)}
    return stavis.read_video(args.folder, args.dataset, *_pick(videos, args))[0]


def _pick(videos: dict, args: PreviewArgs):
    if canonical(args.video) not in videos:
        some = ", ".join(list(videos)[:5]) + (" ..." if len(videos) > 5 else "")
        raise InputError(f"--video: {args.folder} has no video {args.video!r}, choose one of its {len(videos)}: {some}")
    return videos[canonical(args.video)]


def draw_preview(record: VideoRecord, sigma: float = SIGMA) -> Iterator[tuple[np.ndarray, float]]:
    """Yields every frame with all that is known of it drawn on and a caption below, and its time in seconds.

    The pictures are uint8 (H,W,3) RGB, as wide as the video and somewhat higher.
    """
    fixations, tracks = record.fixations(), record.tracks()
    talking, known = record.talking(), record.talking_known()
    for frame in record.frames():
        image, points = frame.image, fixations[frame.index]
        points = points[valid_points(points, record.grid)]
        image = overlay(image, grey_map(_density(record, frame.index, points, sigma), record.width, record.height))
        image = np.ascontiguousarray(image)
        if tracks is not None:
            boxes, mask = (array[frame.index] for array in tracks)
            for face in np.flatnonzero(mask).tolist():
                speaks = talking is not None and bool(talking[face, frame.index])
                unknown = known is not None and not known[face, frame.index]
                _draw_face(image, boxes[face], f"{face}{' speaks' if speaks else ' ?' if unknown else ''}", speaks)
        for x, y in points * (record.width / record.grid[1], record.height / record.grid[0]):
            _draw_dot(image, x, y)
        caption = f"{record.id}  frame {frame.index}  {frame.time:.2f} s  {len(points)} fixations"
        yield _captioned(image, caption), frame.time


def _density(record: VideoRecord, index: int, points: np.ndarray, sigma: float) -> np.ndarray:
    """The dataset's own map where it brings one, ours otherwise."""
    own = record.density_picture(index)
    if own is not None:
        return own
    cells = np.array(record.grid) * (_HEAT_CELLS / max(record.grid))
    return fixation_density(points, tuple(np.rint(cells).astype(int)), record.grid, sigma)


def _captioned(image: np.ndarray, caption: str) -> np.ndarray:
    """The picture with a line of text below it, where it hides nothing."""
    image = cv2.copyMakeBorder(image, 0, _caption_height(len(image)), 0, 0, cv2.BORDER_CONSTANT, value=SILENT)
    _pen(image).plate(image, caption, (0, len(image) - 1), (0, 0, 0), SILENT)
    return image


def _caption_height(height: int) -> int:
    return max(12, height // 14) // 2 * 2


def _unit(image: np.ndarray) -> int:
    """Pixels of a thick line: everything drawn grows with the picture."""
    return max(2, round(image.shape[0] / 180))


def _pen(image: np.ndarray) -> LabelPen:
    return LabelPen(image.shape[0] / 400)


def _draw_face(image: np.ndarray, box: np.ndarray, text: str, speaks: bool) -> None:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.rint(box * (width, height, width, height)).astype(int).tolist()
    colour, thickness = (SPEAKING, _unit(image)) if speaks else (SILENT, max(1, _unit(image) // 2))
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, thickness)
    _pen(image).plate(image, text, (x1, y1 - _unit(image)), (0, 0, 0), colour)


def _draw_dot(image: np.ndarray, x: float, y: float) -> None:
    radius, centre = _unit(image), (int(x), int(y))
    cv2.circle(image, centre, radius, (0, 0, 0), -1, cv2.LINE_AA)
    cv2.circle(image, centre, max(1, radius - 1), DOT, -1, cv2.LINE_AA)


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parsed = tyro.cli(PreviewArgs, prog="python -m data.preview", args=args)
    return run(lambda: preview(parsed))


if __name__ == "__main__":
    sys.exit(main())
