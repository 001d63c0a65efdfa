"""The mean of a dataset's face maps, beside the 14.9 that the released weights were trained with.

    python -m data.face_map_mean FOLDER

FOLDER has the face maps of the release (`resized_gmm/<video>/<n>.jpg`), or face tracks on MVVA's grid
(`face_tracking/<video>.npy`), of which maps are drawn as prediction and training draw them. The release takes 14.9 from
every map after it was stretched to 0..255: the background is the same in all maps, another mean says that faces have
larger or smaller spots than those that its weights were trained with.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from vasal_jax.config import MAP_MEAN, MVVA_GRID
from vasal_jax.errors import InputError
from vasal_jax.inputs.faces.maps import folder_maps, gaussian_mixture, normalise_face_map
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.system.terminal import run

FAR = 5.0  # grey levels between a dataset's mean and the release's, from which on there is a warning


def frame_means(maps: Iterable[np.ndarray]) -> np.ndarray:
    """Means of maps as `normalise_face_map` makes them, on 0..255; those without faces are left out: float (F,)."""
    return np.array([face_map.mean() + MAP_MEAN for face_map in maps if face_map.any()])


def video_means(folder: Path) -> dict[str, np.ndarray]:
    """`frame_means` by video.

    Raises:
      InputError: no such folder, no maps or tracks with faces in it, or a damaged file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected folders of face maps, or face tracks <video>.npy")
    means = {path.stem: frame_means(_drawn(path)) for path in sorted(folder.rglob("*.npy"))}
    folders = sorted({path.parent for suffix in ("jpg", "png") for path in folder.rglob(f"*.{suffix}")})
    means |= {path.name: frame_means(_ready_made(path)) for path in folders}
    means = {video: of for video, of in means.items() if len(of)}
    if not means:
        raise InputError(f"{folder}: expected folders of face maps, or face tracks <video>.npy, found no face in it")
    return means


def _drawn(tracks: Path) -> Iterator[np.ndarray]:
    boxes, mask = load_tracks(tracks, MVVA_GRID)
    return (normalise_face_map(gaussian_mixture(*frame)) for frame in zip(boxes, mask, strict=True))


def _ready_made(folder: Path) -> Iterator[np.ndarray]:
    maps = folder_maps(folder)
    return (maps(index) for index in range(len(maps)) if index in maps)


def show(folder: Positional[Path], /) -> int:
    """Print the mean of a dataset's face maps, and warn where it is far from the release's.

    Args:
        folder: face maps of the release, or face tracks on MVVA's grid.
    """
    means = video_means(folder)
    frames, by_video = np.concatenate(list(means.values())), np.array([of.mean() for of in means.values()])
    table = Table("videos", "frames with faces", "mean of maps", "lowest video", "highest video", "released mean")
    numbers = (frames.mean(), by_video.min(), by_video.max(), MAP_MEAN)
    table.add_row(str(len(means)), str(len(frames)), *(f"{number:.1f}" for number in numbers))
    Console().print(table)
    if abs(frames.mean() - MAP_MEAN) > FAR:
        print(
            f"warning: {folder}: the mean of the face maps is {frames.mean():.1f}, and {MAP_MEAN:g} in the release; "
            "its weights were not trained on such maps: fine-tune them on these, or give them the release's own maps",
            file=sys.stderr,
        )
    return 0


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(lambda: tyro.cli(show, prog="python -m data.face_map_mean", args=args))


if __name__ == "__main__":
    sys.exit(main())
