"""Trains: the tiny model with a face branch that hears (`tiny_full_audio_faces`), all but the two paths that look at
    pictures: these stay as drawn, which takes away two thirds of the time, and drawn features do for drawn videos.
On: a synthetic dataset of some fifty videos of 8 s (`python -m data.synthetic OUT --videos 54 --seconds 8`), prepared.
How long: 90 steps of 2 clips of 24 frames, about 5 minutes on two CPU cores.
Scores: `scripts/train_synthetic.py` first trains the face branch alone. Two such runs, on videos that they were
    not trained on: KL 1.064 and 1.033, CC 0.708 and 0.704, NSS 4.747 and 4.678, and the speaker weighed most in 81.4%
    and 71.5% of frames. By itself: not yet measured.
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
        clips=ClipOptions(length=24, faces=6),  # a second: long enough to tell whether a mouth moves with the sound
        batch_size=2,
        updates=60,
        loss=LossWeights(kl=1.0, faces=1.0, talking=1.0, speaker=1.0),
        optimizer=OptimizerConfig(
            learning_rate=2e-3,
            warmup=20,
            beta2=0.99,
            clip_norm=1.0,
            ema_decay=0.95,
            freeze=("visual.conv*", "visual.flow*"),
        ),
        loop=LoopConfig(validate_every=30),
    )
