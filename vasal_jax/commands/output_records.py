"""What is known of the outputs of each video in a folder: which are whole, and with which settings they were made."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vasal_jax.errors import InputError
from vasal_jax.outputs.prediction_files import Outputs
from vasal_jax.system.files import naming_file_errors, replacing
from vasal_jax.system.reading import read_json

FOLDER = ".records"
"""In the folder of the outputs; it has a file a video, in folders of their own so that none grows large."""

_MAX_BYTES = 2**20


class OutputsInTheWay(InputError):
    """A video has outputs that are not to be mixed with those that were asked for.

    Attributes:
      reason: the message without the name of the output, which is the same for all videos with the same fault.
    """

    def __init__(self, output: Path, reason: str):
        self.reason = f"{reason}; say --overwrite or another folder"
        super().__init__(f"{output}: {self.reason}")


class OutputRecord:
    """The record of one video's outputs.

    It is written before the first of them as begun, and after the last as whole. So what a killed run has left is known
    for that, and what others have put there is not taken for ours.
    """

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]):
        """Reads the record where there is one.

        Args:
          folder: that of the outputs.
          name: the start of the names of the video's outputs.
          settings: what they are made with, anything JSON can hold.
        """
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        self._folder, self._path = folder, folder / FOLDER / digest[:2] / f"{digest}.json"
        self._settings = json.loads(json.dumps(settings))
        self._before, self._whole, self._begun = self._read()

    def missing(self, outputs: Outputs, overwrite: bool) -> Outputs:
        """Those of the outputs that are not whole, all of them with `overwrite`.

        Raises:
          InputError: an output of other settings is there, or one of which nothing says how it was made: an
            `OutputsInTheWay`.
        """
        if overwrite:
            return outputs
        known = [self._folder / name for name in self._whole | self._begun]
        if self._before is not None and self._before != self._settings:
            if there := next(_existing([*outputs.paths(), *known]), None):
                changed = [name for name in self._settings if self._before.get(name) != self._settings[name]]
                raise OutputsInTheWay(there, f"made with other settings ({', '.join(changed) or 'of another version'})")
            return outputs
        if there := next(_existing(path for path in outputs.paths() if path not in known), None):
            raise OutputsInTheWay(there, "already there, and nothing says how it was made")
        return outputs.only(lambda path: self._name(path) not in self._whole or not os.path.lexists(path))

    def begin(self, outputs: Outputs) -> None:
        """Notes that these are about to be written. Raises `InputError`."""
        names = {self._name(path) for path in outputs.paths()}
        kept = self._whole if self._before == self._settings else set()
        self._write(kept - names, names)

    def finish(self) -> None:
        """Notes that what was begun is whole. Raises `InputError`."""
        self._write(self._whole | self._begun, set())

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._folder))

    def _read(self) -> tuple[dict[str, Any] | None, set[str], set[str]]:
        try:
            found = read_json(self._path, "the record of a video's outputs", _MAX_BYTES)
            return dict(found["settings"]), set(map(str, found["whole"])), set(map(str, found["begun"]))
        except (InputError, ValueError, KeyError, TypeError):
            return None, set(), set()

    def _write(self, whole: set[str], begun: set[str]) -> None:
        with naming_file_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {"settings": self._settings, "whole": sorted(whole), "begun": sorted(begun)}
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
        self._before, self._whole, self._begun = self._settings, whole, begun


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if os.path.lexists(path))
