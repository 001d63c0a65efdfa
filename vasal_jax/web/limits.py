"""What a visitor of the page may ask for."""

from dataclasses import dataclass

from vasal_jax.errors import InputError
from vasal_jax.inputs.video import VideoInfo

_MAX_RATE = 60  # frames a second that a video of the longest length may have


@dataclass(frozen=True)
class Limits:
    """The most that one visitor's video may have, and how many visitors may wait."""

    megabytes: int = 200
    seconds: float = 60.0
    side: int = 1920  # pixels of the longer side
    waiting: int = 8  # visitors

    @property
    def frames(self) -> int:
        """The most frames of a video."""
        return round(self.seconds * _MAX_RATE)

    def check(self, info: VideoInfo) -> None:
        """Raises `InputError` where a video says that it is larger or longer than allowed."""
        side, name = max(info.width, info.height), info.path.name
        if side > self.side:
            found = f"{info.width}x{info.height}"
            raise InputError(f"{name}: expected at most {self.side} pixels a side, found {found}; make it smaller")
        if info.duration is not None and info.duration > self.seconds:
            raise InputError(
                f"{name}: expected at most {self.seconds:g} seconds, found {info.duration:.0f}; cut a part out of it"
            )
        self.check_count(info.frames or 0, name)

    def check_count(self, frames: int, name: str) -> None:
        """Raises `InputError` where a video has more frames; what it says of its length need not be true."""
        if frames > self.frames:
            raise InputError(f"{name}: expected at most {self.frames:,} frames, found more; cut a part out of it")
