"""A model's parameters as NumPy arrays by name: out of it, into it, and checked before."""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from flax import nnx

from vasal_jax.config import Memory, ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.models.vasal import VASal
from vasal_jax.ops import Array

CONFIG_KEY = "vasal_config"
"""Of the metadata of a weights file."""

Arrays = dict[str, np.ndarray]
"""Parameters by dotted path, e.g. `visual.conv1_1.kernel`, float32."""

_MAX_LISTED = 10  # lines of problems in one error


def build(config: ModelConfig, values: Mapping[str, Array], source: str | Path) -> VASal:
    """The model of `config` with these parameters; `source` is named in errors.

    Raises:
      InputError: parameters that the config does not have, lacks or shapes otherwise, not float32, NaN or Inf.
    """
    check_arrays(values, parameter_shapes(config), source)
    graph, state = _abstract(config)
    # device_put, as asarray compiles a program for each shape.
    flat = {path: leaf.replace(jax.device_put(values[_dotted(path)])) for path, leaf in nnx.to_flat_state(state)}
    return nnx.merge(graph, nnx.from_flat_state(flat))


def arrays(model: VASal) -> Arrays:
    """Every parameter of a model as NumPy, by dotted path."""
    return {_dotted(path): np.asarray(leaf.get_value()) for path, leaf in nnx.to_flat_state(nnx.state(model))}


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of a config's model by dotted path, without making the model."""
    return {_dotted(path): leaf.shape for path, leaf in nnx.to_flat_state(_abstract(config)[1])}


def metadata_of(config: ModelConfig, memory: Memory | None) -> dict[str, str]:
    """What a weights file says of itself: config, and the memory that the weights were trained with."""
    # One entry: safetensors writes several in an order that changes from file to file.
    fields = dataclasses.asdict(config) | ({} if memory is None else {"memory": str(memory)})
    return {CONFIG_KEY: json.dumps(fields)}


def to_safetensors(model: VASal) -> bytes:
    """A model as the content of a `.safetensors` file."""
    return safetensors.numpy.save(arrays(model), metadata=metadata_of(model.config, model.memory))


def check_arrays(found: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], source: str | Path) -> None:
    """Raises one `InputError` that lists every entry that is unknown, missing, misshapen, not float32 or not finite.

    `found` may hold shapes and dtypes alone (metadata); then values are not looked at.
    """
    # What is wrong with an entry says more than that one is unknown, and the list is cut.
    problems: list[str] = []
    for key, shape in expected.items():
        if key not in found:
            problems.append(f"missing entry {key} {shape}")
        elif tuple(found[key].shape) != shape:
            problems.append(f"{key}: expected shape {shape}, found {tuple(found[key].shape)}")
        elif found[key].dtype != np.float32:
            problems.append(f"{key}: expected float32, found {found[key].dtype}")
        elif isinstance(found[key], np.ndarray) and not np.isfinite(found[key]).all():
            problems.append(f"{key}: holds NaN or Inf")
    problems += [f"unknown entry {key}" for key in found if key not in expected]
    if problems:
        rest = len(problems) - _MAX_LISTED
        listed = problems[:_MAX_LISTED] + ([f"and {rest} more"] if rest > 0 else [])
        raise InputError(f"{source}: weights do not fit the model config, {len(problems)} problems:", *listed)


@cache  # a fifth of a second
def _abstract(config: ModelConfig) -> tuple[nnx.GraphDef, nnx.State]:
    return nnx.split(nnx.eval_shape(lambda: VASal(config, rngs=nnx.Rngs(0))))


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
