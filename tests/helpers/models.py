"""Models for tests, and how they are called."""

import numpy as np

from vasal_jax.models import FaceInputs, ModelConfig, ModelOutput, VASal
from vasal_jax.weights import parameters

# Channels of the released graph, as few as tests of values need.
WIDTHS = {
    "texture": (4,) * 6, "motion": (4,) * 4, "combine": (4,) * 3, "lstm": (4, 4), "audio": (2,) * 4, "fusion": 4,
}  # fmt: skip


def small_config(**changes) -> ModelConfig:
    """A config with two channels per layer and a face branch that hears.

    It has every path of the model and compiles quickly, for tests that compile a training step.
    """
    widths = {name: (2,) * len(value) for name, value in WIDTHS.items() if name != "fusion"}
    return ModelConfig(**(widths | {"fusion": 2, "face": (2, 2, 2, 3, 3), "face_audio": 2} | changes))


def narrow_model(scale: float = 0.2, **changes) -> VASal:
    """A model of `WIDTHS` with normal parameters of standard deviation `scale`. At 0.2 its maps are not uniform."""
    config, rng = ModelConfig.tiny(**WIDTHS, **changes), np.random.default_rng(1)
    shapes = parameters.parameter_shapes(config)
    values = {name: rng.normal(0, scale, shape).astype(np.float32) for name, shape in shapes.items()}
    return parameters.build(config, values, "drawn")


def weighing_model() -> VASal:
    """A model of `WIDTHS` and a face branch that hears. Its faces get different weights; its maps are not uniform."""
    config = ModelConfig.tiny_full_audio_faces(**WIDTHS, face=(4, 6, 8, 12, 10), face_audio=6)
    rng, values = np.random.default_rng(1), {}
    for name, shape in sorted(parameters.parameter_shapes(config).items()):
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 and name.startswith("face.") else 25
        values[name] = (rng.normal(0, 1, shape) / np.sqrt(fan_in)).astype(np.float32)
    return parameters.build(config, values, "drawn")


def call(model: VASal, batch: dict, **options) -> ModelOutput:
    """Runs the model on a batch with the fields of `vasal_jax.batch.Batch`."""
    return model(batch["frames"], batch["frames_past"], batch["mel"], FaceInputs.of(batch), **options)
