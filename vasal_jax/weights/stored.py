"""What a weights file holds beside its arrays: config and memory, and the shapes that it may then have."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vasal_jax.config import Memory, ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.weights.parameters import CONFIG_KEY, Arrays, parameter_shapes


class Stored(NamedTuple):
    """The contents of a weights file: the arrays fit the config."""

    config: ModelConfig
    values: Arrays
    memory: Memory | None


def described(metadata: object, path: Path) -> tuple[ModelConfig, Memory | None]:
    """What the metadata of a weights file say."""
    metadata = metadata if isinstance(metadata, Mapping) else {}
    text, words = metadata.get(CONFIG_KEY), None
    if text is None:
        raise InputError(f"{path}: has no {CONFIG_KEY} in its metadata; expected weights written by vasal_jax")
    with suppress(ValueError, TypeError, RecursionError):  # `from_json` says what is wrong with it
        fields = json.loads(text)
        if isinstance(fields, dict) and "memory" in fields:
            words = fields.pop("memory")
            text = json.dumps(fields)
    try:
        return ModelConfig.from_json(text), None if words is None else Memory.parse(str(words)[:100])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def bounded_shapes(config: ModelConfig, path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a config's parameters by name; raises `InputError` where they are more than any model may have."""
    shapes = parameter_shapes(config)
    if (count := sum(map(math.prod, shapes.values()))) > limits.MAX_PARAMETERS:
        raise InputError(f"{path}: expected a model of at most {limits.MAX_PARAMETERS} parameters, found {count}")
    return shapes
