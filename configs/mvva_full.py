"""Trains: the full model with a face branch that hears (`full_audio_faces`), on faces and who talks.
On: MVVA with face tracks and talking flags (the second archive), prepared.
How long: meant for 8 GPUs or a TPU slice of 8, batch 16, about a day; not yet measured.
Scores: not yet measured. Face branch and recipe are this project's own design.
"""

import dataclasses

from configs import mvva
from configs.train_config import TrainConfig
from vasal_jax.models import ModelConfig
from vasal_jax.training.losses import LossWeights


def config() -> TrainConfig:
    """What this preset trains."""
    return dataclasses.replace(
        mvva.config(),
        model=ModelConfig.full_audio_faces(dtype="bfloat16"),
        loss=LossWeights(kl=1.0, faces=0.5, talking=0.25),
    )
