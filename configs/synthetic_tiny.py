"""Trains: the tiny model with a face branch that hears (`tiny_full_audio_faces`).
On: a synthetic dataset (`python -m data.synthetic`), prepared; about 24 videos of 8 s.
How long: minutes on two CPU cores.
Scores: see "Training" in the README.
"""

from configs.train_config import TrainConfig
from data.clips import ClipOptions
from vasal_jax.loop import LoopConfig
from vasal_jax.losses import LossWeights
from vasal_jax.models import ModelConfig
from vasal_jax.optimizer import OptimizerConfig


def config() -> TrainConfig:
    return TrainConfig(
        model=ModelConfig.tiny_full_audio_faces(),
        clips=ClipOptions(length=12, faces=6),
        batch_size=2,
        updates=600,
        loss=LossWeights(kl=1.0, faces=0.5, talking=0.5),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup=30, clip_norm=1.0, ema_decay=0.98),
        loop=LoopConfig(validate_every=200),
    )
