"""The weights that a visitor may choose from: loaded once, compiled once."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from vasal_jax import weights
from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS
from vasal_jax.errors import InputError
from vasal_jax.prediction.streaming import Predictor

PACKAGED = "packaged demo weights"


class Models:
    """Predictors by the name that visitors see.

    Args:
      files: weights besides the packaged ones.

    Attributes:
      files: where the weights lie, by name.

    Raises:
      InputError: weights cannot be read.
    """

    def __init__(self, files: Sequence[Path] = ()):
        self.files = {PACKAGED: PACKAGED_WEIGHTS, **_named(files)}
        self._predictors = {name: Predictor(weights.load(file)) for name, file in self.files.items()}

    def __getitem__(self, name: str) -> Predictor:
        """Raises `InputError` for another name."""
        if name not in self._predictors:
            raise InputError(f"expected one of the weights on the page, found {name[:80]!r}; choose from the list")
        return self._predictors[name]

    def __iter__(self):
        return iter(self.files)

    def warm_up(self, video: Path, tracks: Path) -> None:
        """Compiles what the packaged weights need, for known faces and for faces that are found."""
        for faces in (str(tracks), "auto"):
            with closing(self[PACKAGED].stream(video, faces=faces)) as frames:
                next(frames)


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Files by their names, which are numbered where two are equal."""
    named: dict[str, Path] = {}
    for file in files:
        name, number = file.name, 2
        while name in named:
            name, number = f"{file.name} ({number})", number + 1
        named[name] = file
    return named
