"""Models for tests, and how they are called."""

import numpy as np

from vasal_jax.models import FaceInputs, ModelConfig, ModelOutput, VASal
from vasal_jax.weights import parameters

WIDTHS = {
    "texture": (4,) * 6, "motion": (4,) * 4, "combine": (4,) * 3, "lstm": (4, 4), "audio": (2,) * 4, "fusion": 4,
}  # fmt: skip


def narrow_model(scale: float = 0.2) -> VASal:
    """With drawn parameters of this standard deviation; at 0.2 its maps are not flat."""
    config, rng = ModelConfig.tiny(**WIDTHS), np.random.default_rng(1)
    shapes = parameters.parameter_shapes(config)
    values = {name: rng.normal(0, scale, shape).astype(np.float32) for name, shape in shapes.items()}
    return parameters.build(config, values, "drawn")


def call(model: VASal, batch: dict, **options) -> ModelOutput:
    """The model on a batch."""
    return model(batch["frames"], batch["frames_past"], batch["mel"], FaceInputs.of(batch), **options)
