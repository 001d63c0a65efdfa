"""Trains: the full model with a face branch that hears (`full_audio_faces`).
On: a larger synthetic dataset (`python -m data.synthetic OUT --videos 240 --seconds 20`), prepared.
How long: meant for one GPU, some hours; not yet measured.
Scores: not yet measured.
"""

from configs.train_config import TrainConfig
from vasal_jax.models import ModelConfig
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig


def config() -> TrainConfig:
    """What this preset trains."""
    return TrainConfig(
        model=ModelConfig.full_audio_faces(dtype="bfloat16"),
        batch_size=8,
        updates=20_000,
        loss=LossWeights(kl=1.0, faces=0.5, talking=0.5),
        optimizer=OptimizerConfig(learning_rate=2e-4, warmup=500, clip_norm=1.0, weight_decay=0.01, ema_decay=0.999),
    )
