"""The shapes in the annotations of ops and models, checked by beartype over an abstract run of the whole graph."""

import subprocess
import sys

import pytest

PROGRAM = """
from jaxtyping import install_import_hook

with install_import_hook(["vasal_jax.ops", "vasal_jax.models"], "beartype.beartype"):
    import vasal_jax.models

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vasal_jax.config import PRESETS, input_shapes
from vasal_jax.models import FaceInputs, VASal, gaussian_map

config = PRESETS["{preset}"](dtype="{dtype}")
shapes = input_shapes(3 if config.face else None)
mask = {{"face_mask": np.ones((2, 4, 3), bool)}} if config.face else {{}}
batch = {{name: np.zeros((2, 4, *shape), np.float32) for name, shape in shapes.items() if name != "face_mask"}}


def loss(batch):
    model = VASal(config, rngs=nnx.Rngs(0))
    batch = batch | mask
    inputs = batch["frames"], batch["frames_past"], batch["mel"], FaceInputs.of(batch)
    output = model(*inputs, carry=model.initial_carry(2, 3))
    faces = 0 if output.faces is None else output.faces.talking.sum()
    return vasal_jax.models.saliency(output.saliency_logits).max() + faces


jax.eval_shape(loss, batch)
jax.eval_shape(jax.grad(loss), batch)
try:
    gaussian_map(jnp.zeros((5, 3, 4)), jnp.ones((5, 2), bool), jnp.ones((5, 3)))
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(("preset", "dtype"), [("tiny", "float32"), ("tiny_full_audio_faces", "bfloat16")])
def test_the_annotated_shapes_hold(preset, dtype):
    program = PROGRAM.format(preset=preset, dtype=dtype)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["TypeCheckError"]  # shapes that do not go together are noticed
