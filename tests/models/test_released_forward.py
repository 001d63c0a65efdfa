"""Parity with the released model's own outputs, through the whole path: checkpoint file, converter, weights file."""

import numpy as np
import pytest
import torch

from tests.helpers.golden import FIXTURES, drawn_clip, drawn_state, to_batch
from tests.helpers.models import call
from tests.weights.test_pytorch import save_as_from_gpu, tensors
from vasal_jax import weights
from vasal_jax.commands.convert import ConvertArgs, convert
from vasal_jax.models import ModelConfig, saliency
from vasal_jax.models.layers import for_inference


@pytest.fixture(scope="module", params=["safetensors file", "orbax folder", "safetensors file, for inference"])
def outputs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch:
        content = {"state_dict": tensors(drawn_state(ModelConfig.released()), "module.")}
        save_as_from_gpu(content, folder / "released.pkl", patch)
    out = folder / ("w.safetensors" if "file" in request.param else "w")
    assert convert(ConvertArgs((folder / "released.pkl", out))) == 0
    stages = {}
    model = weights.load(out)
    model = for_inference(model) if "inference" in request.param else model
    logits = call(model, to_batch(drawn_clip()), stages=stages).saliency_logits
    arrays = {name: np.moveaxis(np.asarray(stage), -1, 1) for name, stage in stages.items()}
    # The fixture keeps a part of each stage.
    arrays = {name: array[:, :8] if name == "convlstm" else array[::4, :8] for name, array in arrays.items()}
    arrays = {name: array[..., ::4, ::4] for name, array in arrays.items()}
    return arrays | {"logits": np.asarray(logits[0]), "softmax_spatial": np.asarray(saliency(logits)[0])}


@pytest.mark.parametrize(
    "stage",
    ["object_conv4_preact", "motion", "combine_preact", "convlstm", "audio_conv3_preact", "logits", "softmax_spatial"],
)
def test_every_stage_is_the_released_one(outputs, stage):
    expected = np.load(FIXTURES / "released_forward_seed7.npz")[stage]
    assert outputs[stage].shape == expected.shape
    assert np.abs(outputs[stage] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_reference_is_the_released_model():
    from vasal_jax.weights.pytorch_reference import VASalReference

    module = VASalReference(ModelConfig.released())
    module.load_state_dict({key: torch.tensor(value) for key, value in drawn_state(ModelConfig.released()).items()})
    with torch.inference_mode():
        logits = module(*map(torch.from_numpy, drawn_clip()))[:, 0].numpy()
    expected = np.load(FIXTURES / "released_forward_seed7.npz")["logits"]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()
