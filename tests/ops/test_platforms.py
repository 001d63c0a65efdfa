"""What accelerators run in place of the CPU forms gives the same. Here the CPU runs all of it."""

import jax
import numpy as np
import pytest

from tests.helpers.batches import drawn_batch, drawn_params
from tests.helpers.models import call, small_config
from vasal_jax.models import ModelConfig
from vasal_jax.weights import parameters

FIELDS = ("frames", "frames_past", "mel", "face_crops", "face_boxes", "face_mask")


def drawn_inputs(config: ModelConfig, seed: int = 0) -> tuple[dict, dict]:
    """Parameters, and a batch of one clip in which every face is there all the time."""
    drawn = drawn_batch(1, steps=3, faces=2, seed=seed)
    return drawn_params(config, seed), {name: drawn[name] for name in FIELDS} | {"face_mask": np.ones((1, 3, 2), bool)}


def loss_and_logits(config: ModelConfig, params: dict, batch: dict) -> tuple[jax.Array, jax.Array]:
    """A loss over the saliency logits and over what the face branch says, and the saliency logits."""
    logits, faces, _ = call(parameters.build(config, params, "the test"), batch)
    of_faces = jax.nn.softmax(faces.weights)[..., 0].mean() + jax.nn.sigmoid(faces.talking).mean()
    return jax.nn.logsumexp(logits, (2, 3)).mean() + of_faces, logits


def run_as(platform: str | None, function, *args, monkeypatch: pytest.MonkeyPatch):
    """What the function gives with the forms of a platform, and its program as text."""
    with monkeypatch.context() as patch:
        if platform is not None:
            patch.setattr(jax.lax, "platform_dependent", lambda *x, default, **f: f.get(platform, default)(*x))
        lowered = jax.jit(lambda *args: function(*args)).lower(*args)  # JAX keeps the trace of a function that it saw
    return lowered.compile()(*args), lowered.as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_forms_of_an_accelerator_give_the_values_of_the_cpu(platform, monkeypatch):
    config = ModelConfig.tiny_full_audio_faces()
    inputs = drawn_inputs(config)

    def logits(params, batch):
        return loss_and_logits(config, params, batch)[1]

    expected, _ = run_as(None, logits, *inputs, monkeypatch=monkeypatch)
    found, program = run_as(platform, logits, *inputs, monkeypatch=monkeypatch)
    assert ("stablehlo.while" in program) == (platform != "cuda")  # a GPU has no loops over time
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_forms_of_an_accelerator_give_the_gradients_of_the_cpu(platform, monkeypatch):
    """In float64. At a ReLU or a maximum the gradient jumps, and a unit within float32's rounding of such a jump may
    take either side: with other random inputs, or on another version of XLA, float32 gradients differ by up to 3e-2
    where logits agree to 1e-6. What rounding leaves of the forms in float32 is in `test_convolution.py`.
    """
    config = small_config()
    object.__setattr__(config, "dtype", "float64")  # no setting of the model's, only a proof's

    def gradient(params, batch):
        return jax.grad(lambda params: loss_and_logits(config, params, batch)[0])(params)

    params, batch = drawn_inputs(config, seed=3)  # with seed 0 no input reaches the output of the face branch
    with jax.enable_x64(True):
        expected, _ = run_as(None, gradient, params, batch, monkeypatch=monkeypatch)
        found, _ = run_as(platform, gradient, params, batch, monkeypatch=monkeypatch)
    for name, value in expected.items():
        assert np.linalg.norm(found[name] - value) <= 1e-6 * np.linalg.norm(value), name
