"""Trains: the full model with a face branch that hears (`full_audio_faces`), on the maps of a video saliency challenge.
On: AIM 2024 or NTIRE 2026, prepared with the faces that are found in the videos
    (`python -m data.builder CHALLENGE prepared --faces auto`). Nobody says who talks there, so that is not taught.
Preparing: 47.4 kB a frame and 40 frames/s a process as measured (`python -m benchmarks.challenge`, 60 s of 1920x1080);
    for 1,500 videos of 20 s at 25 frames/s that would be 36 GB and 5.2 hours of one process.
How long: meant for 8 GPUs or a TPU slice of 8, batch 16, about a day; not yet measured.
Scores: not yet measured. Recipe and face branch are this project's own design. The scores by which a challenge ranks
    are all in the loss: CC and NSS beside KL, which SIM and AUC-Judd follow.
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
        loss=LossWeights(kl=1.0, cc=0.5, nss=0.1, faces=0.5),
        updates=60_000,
    )
