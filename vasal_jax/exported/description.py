"""What an exported file says of itself: model, memory, arrays, preprocessing, and a hash of its own bytes."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from vasal_jax import __version__
from vasal_jax.config import (
    CROP_SIZE,
    FRAME_OFFSET,
    FRAME_SIZE,
    MAP_MEAN,
    MAP_SIZE,
    MEL_SIZE,
    MEL_STEPS,
    MIN_SIGMA,
    RGB_MEAN,
    SIGMA_SCALE,
    Memory,
    ModelConfig,
)
from vasal_jax.errors import InputError
from vasal_jax.exported.interface import Interface, Spec
from vasal_jax.inputs import audio, sound
from vasal_jax.inputs.faces import crops
from vasal_jax.system.reading import parse_json

KEY = "vasal_exported"
"""The name under which a file of any form has its description, a JSON object."""

MAX_SIZE = 1024
"""Of an axis that is not open."""

_VERSION = 1
_MAX_TEXT = 2**18
_HASH = b"vasal-sha256-"
_OPEN_HASH = _HASH + b"0" * 64
_SEALED = re.compile(re.escape(_HASH) + rb"[0-9a-f]{64}")


class Description(NamedTuple):
    """What a program was made of."""

    config: ModelConfig
    memory: Memory | None  # that the weights were trained with; None where they do not say
    sizes: dict[str, int]  # of the axes that are not open, by "B", "T" and "N"

    @property
    def interface(self) -> Interface:
        """Names, shapes and types of the program's arrays."""
        return Interface.of(self.config, self.sizes)

    def to_json(self) -> str:
        """The text for a file, with a hash that is open until `sealed`."""
        interface = self.interface
        return json.dumps(
            {
                "version": _VERSION,
                "written_by": f"vasal-jax {__version__}",
                "hash": _OPEN_HASH.decode(),
                "config": dataclasses.asdict(self.config),
                "memory": None if self.memory is None else str(self.memory),
                "sizes": self.sizes,
                "inputs": _listed(interface.taken),
                "outputs": _listed(interface.given),
                "preprocessing": _PREPROCESSING,
            }
        )

    @classmethod
    def from_json(cls, text: Any, path: Path) -> "Description":
        """Reads `to_json`'s text. Raises `InputError`, which names the file, for anything else."""
        try:
            if not isinstance(text, str) or len(text) > _MAX_TEXT:
                raise ValueError("no description")
            fields = dict(parse_json(text))
            if fields.get("version") != _VERSION:
                raise InputError(f"{path}: expected a description of version {_VERSION}, export the weights anew")
            sizes = {str(name): size for name, size in dict(fields["sizes"]).items()}
            memory = fields["memory"]
            config = json.dumps(fields["config"])
        except InputError:
            raise
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{path}: {_expected(f'a description under {KEY}')}") from None
        bounded = all(type(size) is int and 1 <= size <= MAX_SIZE for size in sizes.values())
        if not bounded or not set(sizes) <= {"B", "T", "N"}:
            raise InputError(f"{path}: expected sizes B, T, N from 1 to {MAX_SIZE}, found {str(sizes)[:80]}")
        try:
            return cls(
                ModelConfig.from_json(config), None if memory is None else Memory.parse(str(memory)[:100]), sizes
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def sealed(content: bytes) -> bytes:
    """The content of a file with the hash of all its bytes in its description, in place of the open one."""
    if content.count(_OPEN_HASH) != 1:
        raise ValueError("expected one description with an open hash")
    at = content.index(_OPEN_HASH)
    return content[:at] + _hash(content, at) + content[at + len(_OPEN_HASH) :]


def check_seal(content: bytes, path: Path) -> None:
    """Raises `InputError` where a file has no hash, or another one than its bytes: it is damaged, or not ours."""
    found = _SEALED.search(content)
    if found is None:
        raise InputError(f"{path}: {_expected('a hash')}")
    if _hash(content, found.start()) != found[0]:
        raise InputError(f"{path}: damaged, its hash is of other bytes; copy it or export it anew")


def refused(path: Path, reason: object) -> InputError:
    """The error for a file whose program is none of ours."""
    return InputError(f"{path}: not a program that vasal-jax exported ({' '.join(str(reason).split())[:200]})")


def checked(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns; whatever a library raises on a damaged file becomes an `InputError`."""
    try:
        return read()
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each library has errors of its own for files that it cannot read
        raise refused(path, error) from None


def _expected(what: str) -> str:
    return f"expected a file that vasal export wrote, found none of its descriptions ({what} is missing)"


def _hash(content: bytes, at: int) -> bytes:
    """The hash of a file's bytes with an open hash at a place."""
    parts, whole = memoryview(content), hashlib.sha256()
    for part in (parts[:at], _OPEN_HASH, parts[at + len(_OPEN_HASH) :]):
        whole.update(part)
    return _HASH + whole.hexdigest().encode()


def _listed(specs: dict[str, Spec]) -> dict[str, dict[str, Any]]:
    return {name: {"shape": list(spec.shape), "dtype": spec.dtype} for name, spec in specs.items()}


_PREPROCESSING = {
    "document": "docs/reference/preprocessing.md",
    "frame_size": FRAME_SIZE,
    "rgb_mean": [round(float(value), 3) for value in RGB_MEAN],
    "frame_offset": FRAME_OFFSET,
    "sample_rate": sound.SAMPLE_RATE,
    "n_fft": audio.N_FFT,
    "hop": audio.HOP,
    "mels": audio.MELS,
    "top_db": audio.TOP_DB,
    "picture_hops": audio.PICTURE_HOPS,
    "mel_size": MEL_SIZE,
    "mel_steps": MEL_STEPS,
    "map_size": MAP_SIZE,
    "map_mean": MAP_MEAN,
    "sigma_scale": SIGMA_SCALE,
    "min_sigma": MIN_SIGMA,
    "crop_size": CROP_SIZE,
    "crop_margin": crops.MARGIN,
}
