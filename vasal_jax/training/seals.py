"""The seal of a checkpoint: what tells a whole one from one that was cut short or damaged since."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from vasal_jax.system.files import replacing
from vasal_jax.system.reading import read_json

SEAL, STATE = "checkpoint.json", "state"  # the file, and the folder beside it that Orbax writes
_MAX_SEAL_BYTES = 16 * 2**20


class DamagedError(Exception):
    """Why a checkpoint cannot be trusted."""


def write(home: Path, content: dict[str, Any]) -> None:
    """Seals a checkpoint whose state is written: what it holds, with size and SHA-256 of every file of the state."""
    files = sorted(path for path in (home / STATE).rglob("*") if path.is_file())
    content = content | {"files": {path.relative_to(home).as_posix(): _fingerprint(path) for path in files}}
    with replacing(home / SEAL) as temporary:
        temporary.write_text(json.dumps({"sha256": _digest(content), "content": content}))


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read(home: Path) -> dict[str, Any]:
    """What `checkpoint.json` holds. Raises `DamagedError` unless that is what was written."""
    try:
        if not (home / SEAL).exists():
            raise DamagedError("its writing was cut short")
        seal = read_json(home / SEAL, "a seal", _MAX_SEAL_BYTES)
        content = seal["content"]
        if seal["sha256"] != _digest(content):
            raise DamagedError(f"{SEAL} was changed since it was written")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedError(f"{SEAL} is damaged") from None
    return content


def check(home: Path) -> dict[str, Any]:
    """`read`, once every file has proved to be what was written. Raises `DamagedError`."""
    content = read(home)
    for name, written in content["files"].items():
        try:
            if _fingerprint(home / name) != written:
                raise DamagedError(f"{name} was changed since it was written")
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from None
    return content


def remove(home: Path) -> None:
    """Removes a checkpoint, but nothing that others have put into its folder.

    These are the files that its seal lists, or, where it was cut short, the folders that Orbax writes.
    """
    try:
        written = {home / name for name in read(home)["files"]}
    except (DamagedError, KeyError, TypeError):
        written = None
    folders = [home / STATE, *home.glob(f"{STATE}.orbax-checkpoint-tmp*")]  # the second while it is written
    for folder in (folder for folder in folders if folder.is_dir() and not folder.is_symlink()):
        for place, _, names in os.walk(folder, topdown=False):
            for file in (Path(place, name) for name in names):
                if written is None or file in written:
                    file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something is left in it
                os.rmdir(place)
    with contextlib.suppress(OSError):
        (home / SEAL).unlink()
    with contextlib.suppress(OSError):
        home.rmdir()
