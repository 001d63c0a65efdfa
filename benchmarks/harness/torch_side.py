"""The ways in which PyTorch runs the released graph, by the names that they have in the tables."""

import contextlib
from typing import NamedTuple

import jax
import numpy as np
import torch

from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig
from vasal_jax.weights.pytorch_reference import VASalReference


class Way(NamedTuple):
    """Settings under which PyTorch runs the released graph."""

    last: bool = False  # channels-last memory
    bfloat16: bool = False  # autocast
    tf32: bool = False
    compiled: bool = False


WAYS = {
    "PyTorch eager": Way(),  # as the release runs it, in float32
    "PyTorch eager TF32": Way(tf32=True),
    "PyTorch channels-last": Way(last=True),
    "PyTorch channels-last bfloat16": Way(last=True, bfloat16=True),
    "PyTorch compiled channels-last bfloat16": Way(last=True, bfloat16=True, compiled=True),
}


def torch_device() -> str:
    """ "cuda" where JAX computes on an NVIDIA GPU, else "cpu". Raises `InputError` where PyTorch cannot do the same."""
    if jax.default_backend() != "gpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise InputError(f"JAX computes on a GPU, which torch {torch.__version__} cannot; install torch for CUDA")
    return "cuda"


def placed(x: torch.Tensor, way: Way) -> torch.Tensor:
    """The tensor on the device; with `way.last`, tensors of 4 and 5 axes have channels-last memory."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d} if way.last else {}
    return x.to(torch_device(), memory_format=formats.get(x.ndim, torch.preserve_format))


def released_model(way: Way) -> VASalReference:
    """The released graph with its parameters placed."""
    module = VASalReference(ModelConfig.released())
    for parameter in module.parameters():
        parameter.data = placed(parameter.data, way)
    return module


def clip_of(batch: dict[str, np.ndarray], way: Way) -> list[torch.Tensor]:
    """The inputs of `released_model`, of a batch of one clip, channels last."""
    names = "frames_past", "frames", "mel", "face_map"
    return [placed(torch.from_numpy(np.moveaxis(batch[name][0], -1, 1).copy()), way) for name in names]


def numbers(way: Way) -> contextlib.AbstractContextManager:
    """A context in which PyTorch computes in the types of `way`. TF32 stays on after it, for the backward pass."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = way.tf32
    return torch.autocast(torch_device(), torch.bfloat16, enabled=way.bfloat16)


def finish() -> None:
    """Waits until the GPU, if there is one, has finished all queued work."""
    if torch_device() == "cuda":
        torch.cuda.synchronize()
