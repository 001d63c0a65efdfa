"""Trains: the released architecture, on face maps in which all faces count alike.
On: MVVA, prepared (`python -m data.builder MVVA prepared`). Start the texture path from ImageNet with
    `--init`: see "Weights" in the README for a torchvision VGG-16.
How long: meant for 8 GPUs or a TPU slice of 8, batch 16, under a day; not yet measured.
Scores: not yet measured. The authors' recipe is not published; this one is this project's own.
"""

from configs.train_config import TrainConfig
from vasal_jax.models import ModelConfig
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig


def config() -> TrainConfig:
    """What this preset trains."""
    return TrainConfig(
        model=ModelConfig.released(dtype="bfloat16"),
        batch_size=16,
        updates=30_000,
        loss=LossWeights(kl=1.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-4,
            warmup=1000,
            clip_norm=1.0,
            weight_decay=0.01,
            ema_decay=0.999,
            texture_factor=0.1,
        ),
    )
