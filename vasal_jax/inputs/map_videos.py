"""Videos whose pictures are saliency maps: the ground truth and the submissions of the video saliency challenges."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vasal_jax.errors import InputError
from vasal_jax.inputs.media import open_media, video_stream
from vasal_jax.inputs.timeline import Timeline


def read_maps(path: str | os.PathLike) -> Iterator[np.ndarray]:
    """Yields the maps of a video, one a frame, as FFmpeg makes PNGs of them: full range, 16 bits for more than 8.

    Yields:
      float64 (H, W), the mean of the three colour channels, 0..255, or 0..65535 for a video of more than 8 bits.

    Raises:
      InputError: no such file, not a video, or a frame of it cannot be decoded: a map in the wrong place would be
        scored against another frame.
    """
    path, found = Path(path), False
    errors: list[str] = []
    with open_media(path) as container:
        stream = video_stream(container, path)
        for frame in Timeline(container).frames(stream, errors):
            if errors or frame.is_corrupt:
                break
            found = True
            deep = any(component.bits > 8 for component in frame.format.components)
            red, green, blue = np.moveaxis(frame.to_ndarray(format="rgb48le" if deep else "rgb24"), -1, 0)
            yield (red.astype(np.uint32) + green + blue) / 3
        else:
            if not errors and found:
                return
    if not (errors or found):
        raise InputError(f"{path}: expected a video of maps, found no frame that can be decoded")
    reason = errors[0] if errors else "a frame is incomplete"
    raise InputError(f"{path}: expected a video of maps, found a damaged one ({reason}); fetch or make it again")


class MapVideo:
    """The maps of a video by frame, decoded once where they are asked for in order; going back decodes from the start.

    One map is held in memory. `MapVideo(path)[index]` is as `read_maps` yields it.

    Raises:
      InputError: as `read_maps`; also where the video ends before the frame.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._maps: Iterator[np.ndarray] = iter(())
        self._index, self._map = -1, np.empty((0, 0))

    def __getitem__(self, index: int) -> np.ndarray:
        if index < self._index or self._index < 0:
            self._maps, self._index = read_maps(self.path), -1
        while self._index < index:
            try:
                self._map = next(self._maps)
            except StopIteration:
                frames = self._index + 1
                raise InputError(f"{self.path}: expected a map of frame {index}, found {frames} maps") from None
            self._index += 1
        return self._map
