"""The shapes in the annotations of ops, models, metrics and training, checked by beartype.

Models and steps of training run abstractly, so nothing is compiled; metrics run on small maps. The library itself
checks none of these annotations.
"""

import subprocess
import sys

import pytest

HOOK = """
from jaxtyping import install_import_hook

# Of the training its losses: a `TrainState` may hold shapes in place of arrays.
rooms = ["ops", "models", "metrics", "training.losses"]
with install_import_hook([f"vasal_jax.{room}" for room in rooms], "beartype.beartype"):
    import vasal_jax.training.step
    from vasal_jax.metrics import challenge, saliency

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

def refused(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        print(type(error).__name__)
"""

MODELS = """
from vasal_jax.config import PRESETS, input_shapes
from vasal_jax.models import FaceInputs, VASal, gaussian_map, saliency
from vasal_jax.training.losses import LossWeights, sums
from vasal_jax.training.optimizer import OptimizerConfig
from vasal_jax.training.sharding import make_mesh, parallelise, parallelise_stateful
from vasal_jax.weights.parameters import parameter_shapes

config = PRESETS["{preset}"](dtype="{dtype}")
shapes = input_shapes(3 if config.face else None) | {{"density": (32, 32), "fixations": (5, 2)}}
batch = {{name: np.zeros((2, 4, *shape), np.float32) for name, shape in shapes.items()}}
of_faces = dict.fromkeys(("face_mask", "talking", "talking_known"), (3,)) if config.face else {{}}
flags = {{name: np.ones((2, 4, *shape), bool) for name, shape in ({{"valid": ()}} | of_faces).items()}}


def loss(batch):
    model = VASal(config, rngs=nnx.Rngs(0))
    batch = batch | flags
    inputs = batch["frames"], batch["frames_past"], batch["mel"], FaceInputs.of(batch)
    output = model(*inputs, carry=model.initial_carry(2, 3))
    faces = 0 if output.faces is None else output.faces.talking.sum()
    return saliency(output.saliency_logits).max() + faces


batch.pop("face_mask", None)
jax.eval_shape(loss, batch)
jax.eval_shape(jax.grad(loss), batch)
refused(gaussian_map, jnp.zeros((5, 3, 4)), jnp.ones((5, 2), bool), jnp.ones((5, 3)))

of_faces = {{"faces": 1.0, "talking": 1.0, "speaker": 1.0}} if config.face else {{}}
loss_weights = LossWeights(cc=0.1, nss=0.1, **of_faces)
optimizer = OptimizerConfig(weight_decay=0.1, accumulation=2)
training = vasal_jax.training.step.Training(config, loss_weights, optimizer, 10, live_frames=2)
weights = {{name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in parameter_shapes(config).items()}}
state = jax.eval_shape(training.initial_state, weights)
jax.eval_shape(parallelise(training.step, make_mesh()), state, batch | flags)
evaluate = parallelise_stateful(training.evaluate, make_mesh())
jax.eval_shape(evaluate, weights, batch | flags, training.initial_carry(2, 3))
refused(sums, jnp.zeros((4, 32, 32)), None, batch | flags)  # no axis of clips
"""

METRICS = """
rng = np.random.default_rng(0)
maps, density = (rng.random((2, 3, 9, 16), np.float32) for _ in range(2))
points, mask = rng.integers(0, 9, (2, 3, 5, 2)), np.ones((2, 3, 5), bool)
negatives, chosen = saliency.choose_negatives(points.reshape(-1, 2), 7, 0)
negatives, chosen = np.tile(negatives, (2, 3, 1, 1)), np.tile(chosen, (2, 3, 1))
baseline, seeds = maps[0, 0], np.arange(6).reshape(2, 3)
jax.eval_shape(saliency.score, maps, density, points, mask, negatives, chosen, baseline, seeds)
jax.eval_shape(lambda *a: saliency.auc_judd(*a, thresholds="fixations"), maps, points, mask)
jax.eval_shape(lambda x: saliency.resized(x, (18, 32)), maps)
challenge.score(maps[0, 0], rng.random((18, 32)), points[0, 0])
refused(saliency.nss, maps, points, mask[..., :4])
refused(challenge.cc, maps[0, 0].astype(float), rng.random((18, 32)))
"""


def errors_of(program: str) -> list[str]:
    """The types of the errors that a program prints; it must end well."""
    done = subprocess.run([sys.executable, "-c", HOOK + program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


@pytest.mark.parametrize(("preset", "dtype"), [("tiny", "float32"), ("tiny_full_audio_faces", "bfloat16")])
def test_the_annotated_shapes_of_models_and_training_hold(preset, dtype):
    # Shapes that do not go together are noticed.
    assert errors_of(MODELS.format(preset=preset, dtype=dtype)) == ["TypeCheckError"] * 2


def test_the_annotated_shapes_of_metrics_hold():
    assert errors_of(METRICS) == ["TypeCheckError"] * 2
