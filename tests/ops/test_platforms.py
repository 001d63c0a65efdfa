"""What accelerators run in place of the CPU forms gives the same. Here the CPU runs all of it."""

import jax
import numpy as np
import pytest

from tests.helpers.batches import drawn_batch, drawn_params
from tests.helpers.models import call
from vasal_jax.models import ModelConfig
from vasal_jax.weights import parameters


def compiled(config: ModelConfig, params, batch):
    """Logits, and the gradients of a loss over them and over what the face branch says, for the platform at hand."""

    def loss(params):
        logits, faces, _ = call(parameters.build(config, params, "the test"), batch)
        of_faces = jax.nn.softmax(faces.weights)[..., 0].mean() + jax.nn.sigmoid(faces.talking).mean()
        return jax.nn.logsumexp(logits, (2, 3)).mean() + of_faces, logits

    lowered = jax.jit(jax.grad(loss, has_aux=True)).lower(params)
    return lowered.as_text(), lowered.compile()(params)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_forms_of_an_accelerator_give_the_values_and_gradients_of_the_cpu(platform, monkeypatch):
    config = ModelConfig.tiny_full_audio_faces()
    drawn = drawn_batch(1, steps=3, faces=2)
    names = "frames", "frames_past", "mel", "face_crops", "face_boxes", "face_mask"
    batch = {name: drawn[name] for name in names} | {"face_mask": np.ones((1, 3, 2), bool)}
    params = drawn_params(config)
    _, (expected, expected_logits) = compiled(config, params, batch)

    def of_platform(*arrays, default, **forms):
        return forms.get(platform, default)(*arrays)

    monkeypatch.setattr(jax.lax, "platform_dependent", of_platform)
    program, (found, logits) = compiled(config, params, batch)
    assert ("stablehlo.while" in program) == (platform != "cuda")  # a GPU has no loops over time
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=1e-5 * np.abs(expected_logits).max())
    for name, gradient in expected.items():
        assert np.linalg.norm(found[name] - gradient) <= 1e-4 * np.linalg.norm(gradient), name
