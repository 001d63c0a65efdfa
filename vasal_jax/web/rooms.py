"""The private folders that the page's files lie in, and when they are removed."""

import contextlib
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vasal_jax.commands.demo import draw_scene
from vasal_jax.scenes import Scene
from vasal_jax.system.files import private_folder, sweep

KEPT = 3600.0  # seconds for which a visitor's files are kept
_SWEEP_PERIOD = 60.0  # seconds
_EXAMPLE_SEED, _OTHER_SEED, _EXAMPLE_SECONDS = 5, 7, 4.0


class Example(NamedTuple):
    """A drawn clip of talking faces, their tracks, and another clip whose sound is heard instead."""

    video: Path
    tracks: Path
    other: Path


class Rooms:
    """Folders below one that only this user may enter.

    Attributes:
      files: what visitors bring and what is shown to them. Who knows the name of a file in it can fetch it.
      scratch: files on their way, which nobody can fetch.
    """

    def __init__(self, root: Path):
        self.files, self.scratch = root / "files", root / "scratch"
        self._results, self._drawn = self.files / "results", self.files / "drawn"
        for folder in (self.files, self.scratch, self._results, self._drawn):
            folder.mkdir(mode=0o700)

    def take_in_gradio(self) -> None:
        """Has Gradio, which is not imported yet, and whatever asks Python for a temporary file write into the rooms.

        Gradio calls nobody, either.
        """
        os.environ["GRADIO_TEMP_DIR"] = os.environ["GRADIO_EXAMPLES_CACHE"] = str(self.files)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        tempfile.tempdir = str(self.scratch)

    def new_folder(self) -> Path:
        """An empty folder for the results of one prediction, whose name cannot be guessed."""
        folder = self._results / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        return folder

    def draw_example(self, seconds: float = _EXAMPLE_SECONDS) -> Example:
        """Draws the example, which stays as long as the page."""
        example = Example(*(self._drawn / name for name in ("talking_faces.mp4", "tracks.npy", "other_voices.mp4")))
        draw_scene(Scene.make(_EXAMPLE_SEED, seconds=seconds), example.video, example.tracks)
        other = Scene.make(_OTHER_SEED, seconds=seconds, width=128, height=72)
        draw_scene(other, example.other, self._drawn / "other_tracks.npy")
        return example

    def remove_old(self, now: float | None = None) -> None:
        """Removes visitors' files that are older than `KEPT` at `now`, seconds since 1970, and emptied folders."""
        oldest = (time.time() if now is None else now) - KEPT
        kept = {self._results, self._drawn, *self._drawn.iterdir()}
        for kind in (self.files, self.scratch):
            for path in sorted(kind.rglob("*"), reverse=True):  # what is in a folder before the folder
                with contextlib.suppress(OSError):  # a folder with something in it, or another thread was quicker
                    if path not in kept and path.lstat().st_mtime < oldest:
                        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@contextlib.contextmanager
def open_rooms() -> Iterator[Rooms]:
    """Rooms whose old files are removed now and then, and all at the end; those that a killed page left, now."""
    parent = Path(tempfile.gettempdir())
    sweep(parent)
    with private_folder(parent) as root:
        rooms, over = Rooms(root), threading.Event()

        def remove_now_and_then() -> None:
            while not over.wait(_SWEEP_PERIOD):
                rooms.remove_old()

        thread = threading.Thread(target=remove_now_and_then, name="rooms", daemon=True)
        thread.start()
        try:
            yield rooms
        finally:
            over.set()
            thread.join()
