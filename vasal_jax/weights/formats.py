"""Model weights on disk: one `.safetensors` file or an Orbax folder, each with config and memory inside."""

import dataclasses
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from flax import nnx

from vasal_jax.config import RELEASED_MEMORY, Memory, ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.models.vasal import VASal
from vasal_jax.system.files import replacing
from vasal_jax.system.reading import open_regular, parse_json
from vasal_jax.weights import hub, orbax_folder
from vasal_jax.weights.parameters import Arrays, arrays, build, check_arrays, metadata_of
from vasal_jax.weights.stored import Stored, bounded_shapes, described

PYTORCH_SUFFIXES = (".pt", ".pth", ".pkl")


def load(path: str | Path, *, dtype: str | None = None, config: ModelConfig | None = None) -> VASal:
    """The model in a weights file or folder.

    Args:
      path: `.safetensors`, an Orbax folder written by `save`, or a PyTorch checkpoint of the released model
        of any name (needs PyTorch); or `hf://ORGANISATION/NAME`, with `@REVISION` after it, from a hub
        (`vasal_jax.weights.hub`, the extra `hub`). The network is used for such a name alone.
      dtype: compute type in place of the stored one, float32 or bfloat16.
      config: of a PyTorch checkpoint, which has none; the released one by default.

    Returns:
      The model; its `memory` is what the weights were trained with, None where they do not say so.

    Raises:
      InputError: a missing or unreadable file, no config, or parameters that do not fit it (all are listed); of a hub,
        also that it cannot be reached, within 5 seconds.
    """
    config, values, memory = _stored(_local(path), config)
    if dtype is not None:
        config = dataclasses.replace(config, dtype=dtype)
    model = build(config, values, path)
    model.memory = memory
    return model


def read(path: str | Path, config: ModelConfig | None = None) -> tuple[ModelConfig, Arrays]:
    """Config and parameters of any weights file; arguments and errors as `load`."""
    stored = _stored(_local(path), config)
    return stored.config, stored.values


def _local(path: str | Path) -> Path:
    """The path; of a name on a hub, that of its weights once they are here."""
    return hub.download(str(path)) if _is_on_hub(path) else Path(path)


def _is_on_hub(path: str | Path) -> bool:
    return str(path).startswith("hf:/")  # a `Path` has joined the two slashes


def _stored(path: Path, config: ModelConfig | None) -> Stored:
    check_exists(path)
    if path.is_dir():
        return orbax_folder.read(path)
    if is_pytorch(path):
        from vasal_jax.weights import pytorch  # needs PyTorch, which nothing else here does

        config = config or ModelConfig.released()
        return Stored(config, pytorch.from_pytorch(pytorch.read(path), config, path), RELEASED_MEMORY)
    return _read_safetensors(path)


def is_pytorch(path: Path) -> bool:
    """Whether a file is PyTorch's, by its content; by its name where the content is neither PyTorch's nor ours."""
    if not path.is_file():
        return False
    with open_regular(path, "weights", sys.maxsize) as file:
        head = file.read(9)
    if head.startswith((b"PK\x03\x04", b"\x80")):  # a zip archive or a pickle
        return head[8:] != b"{"
    return path.suffix.lower() in PYTORCH_SUFFIXES and head[8:] != b"{"


def check_exists(path: Path) -> None:
    """Raises `InputError` where there is nothing at `path`; to be called before long work. A hub is not asked."""
    if not (path.exists() or _is_on_hub(path)):
        raise InputError(f"{path}: no such weights; expected .safetensors, an Orbax folder or a PyTorch checkpoint")


def save(model: VASal, path: str | Path) -> None:
    """Writes a model to `path`: a `.safetensors` file, or else an Orbax folder. Replaces what is there, whole.

    Raises `InputError` if the file system refuses.
    """
    write(model.config, arrays(model), Path(path), model.memory)


def write(config: ModelConfig, values: Arrays, path: Path, memory: Memory | None = None) -> None:
    """Writes config, parameters and the memory that they were trained with, as `save` does."""
    metadata = metadata_of(config, memory)
    with replacing(path) as temporary:
        if path.suffix == ".safetensors":
            temporary.write_bytes(safetensors.numpy.save(values, metadata=metadata))
        else:
            import orbax.checkpoint.experimental.v1 as ocp

            ocp.save(str(temporary.absolute()), values, custom_metadata={**metadata})


def initial_weights(config: ModelConfig, seed: int, start: Path | None = None) -> Arrays:
    """The weights that a training begins with: initialised from the seed, or those of a file.

    Args:
      config: of the model that is trained.
      seed: of what is initialised.
      start: weights to begin with (`read`); a face branch that they lack is initialised.

    Raises:
      InputError: as `read`, or the weights have other shapes, more or less than the model but for the face branch.
    """
    initialised = arrays(VASal(config, rngs=nnx.Rngs(seed)))
    if start is None:
        return initialised
    _, given = read(start)
    problems = [f"{name} is unknown" for name in given if name not in initialised]
    problems += [
        f"{name} is {given[name].shape} and not {value.shape}"
        for name, value in initialised.items()
        if name in given and given[name].shape != value.shape
    ]
    problems += [f"{name} is missing" for name in initialised if name not in given and not name.startswith("face.")]
    if problems:
        listed = "; ".join(problems[:5]) + (" ..." if len(problems) > 5 else "")
        raise InputError(f"{start}: does not fit the model of the config: {listed}")
    return initialised | given


def _read_safetensors(path: Path) -> Stored:
    config, memory = _check_header(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            values = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return Stored(config, values, memory)
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise InputError(f"{path}: not a readable .safetensors file ({error})") from None


_DTYPES = {"F64": "float64", "F32": np.float32, "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}


class _Claim(NamedTuple):
    """What a header says of an array."""

    shape: tuple[int, ...]
    dtype: Any


def _check_header(path: Path) -> tuple[ModelConfig, Memory | None]:
    """What a `.safetensors` file says of itself, once it is clear that its arrays are those of its config."""
    with open_regular(path, "a .safetensors file", sys.maxsize) as file:
        size, found = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
        if size > limits.MAX_WEIGHTS_HEADER_BYTES:
            most = limits.MAX_WEIGHTS_HEADER_BYTES
            raise InputError(
                f"{path}: not a readable .safetensors file (a header of {size} bytes, at most {most} expected)"
            )
        try:
            header = dict(parse_json(file.read(size)))
            metadata = header.pop("__metadata__", {})
            claims = {
                name: _Claim(tuple(entry["shape"]), _DTYPES.get(entry["dtype"], entry["dtype"]))
                for name, entry in header.items()
            }
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{path}: not a readable .safetensors file (damaged header)") from None
    config, memory = described(metadata, path)
    shapes = bounded_shapes(config, path)
    if any(name not in claims or claims[name] != (shape, np.float32) for name, shape in shapes.items()) or len(
        claims
    ) > len(shapes):
        check_arrays(claims | _fitting(path, claims, shapes), shapes, path)
    expected = 8 + size + 4 * sum(map(math.prod, shapes.values()))
    if found != expected:
        raise InputError(f"{path}: not a readable .safetensors file (expected {expected} bytes, found {found})")
    return config, memory


def _fitting(path: Path, claims: Mapping[str, _Claim], shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Those arrays of a file that fit, so that one error can tell what is wrong with their numbers too."""
    names = [name for name, shape in shapes.items() if claims.get(name) == (shape, np.float32)]
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError, TypeError):
        return {}
