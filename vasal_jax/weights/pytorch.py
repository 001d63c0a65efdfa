"""PyTorch state dicts of the released graph to our parameters and back, by one key table, bit for bit."""

import logging
import re
import types
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasal_jax.config import ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.system.files import replacing
from vasal_jax.weights import pytorch_files
from vasal_jax.weights.parameters import Arrays, check_arrays, parameter_shapes

try:
    import torch
except ImportError:
    raise InputError(
        "PyTorch is not installed, and PyTorch checkpoints cannot be read or written without it; "
        "install torch, or use weights in .safetensors form"
    ) from None


logger = logging.getLogger(__name__)

_MAX_LISTED = 10  # names in one error
_CONVERTED = (torch.float16, torch.bfloat16, torch.float64)
# Where training programs keep the weights of a checkpoint; the first that is there is taken.
_STATE_DICTS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "ema",
    "model_ema",
    "ema_state_dict",
)


class _Layout(NamedTuple):
    to_jax: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


_BIAS = _Layout(lambda b: b, lambda b: b)
_CONV2D = _Layout(lambda k: k.transpose(2, 3, 1, 0), lambda k: k.transpose(3, 2, 0, 1))
_CONV3D = _Layout(lambda k: k.transpose(2, 3, 4, 1, 0), lambda k: k.transpose(4, 3, 0, 1, 2))
# Ours is the kernel of the ordinary convolution over the zero-spread input, hence the flip; PyTorch's is (in, out).
_TRANSPOSED = _Layout(lambda k: k.transpose(2, 3, 0, 1)[::-1, ::-1], lambda k: k[::-1, ::-1].transpose(2, 3, 0, 1))
_GATES = "ifco"  # the order of our fused gates, under the released letters (c is the candidate g)

_LAYERS = {  # ours: released name
    "visual.conv1_1": "conv1_1",
    "visual.conv1_2": "conv1_2",
    "visual.conv2_1": "conv2_1",
    "visual.conv2_2": "conv2_2",
    "visual.conv3_1": "conv3_1",
    "visual.conv4_1": "conv4_1",
    "visual.flow1": "flow_conv1.0",
    "visual.flow2": "flow_conv2.0",
    "visual.flow3": "flow_conv3.0",
    "visual.combine1": "combine_conv1",
    "visual.combine2": "combine_conv2",
    "visual.combine3": "combine_conv3",
    "audio.conv1": "conv1_3d",
    "audio.conv2a": "conv2a_3d",
    "audio.conv2b": "conv2b_3d",
    "audio.conv3": "conv3_3d",
    "fusion.visual1": "conv_normal_visual1",
    "fusion.audio1": "conv_normal_audio1",
    "fusion.face1": "conv_normal_face1",
    "fusion.visual2": "conv_normal_visual2",
    "fusion.audio2": "conv_normal_audio2",
    "fusion.face2": "conv_normal_face2",
    "fusion.head": "visual_hmap",
}


def _table() -> dict[str, tuple[tuple[str, ...], _Layout]]:
    """Our parameter: the released entries it is made of, along the last axis, and the layout of each."""
    table: dict[str, tuple[tuple[str, ...], _Layout]] = {}
    for ours, theirs in _LAYERS.items():
        table[f"{ours}.kernel"] = ((f"{theirs}.weight",), _CONV3D if theirs.endswith("_3d") else _CONV2D)
        table[f"{ours}.bias"] = ((f"{theirs}.bias",), _BIAS)
    table["visual.flow_up.kernel"] = (("flow_deconv5.0.weight",), _TRANSPOSED)
    for cell in range(2):
        ours, theirs = f"visual.lstm.cells.{cell}", f"cell{cell}"
        table[f"{ours}.input.kernel"] = (tuple(f"{theirs}.Wx{g}.weight" for g in _GATES), _CONV2D)
        table[f"{ours}.input.bias"] = (tuple(f"{theirs}.Wx{g}.bias" for g in _GATES), _BIAS)
        table[f"{ours}.recurrent.kernel"] = (tuple(f"{theirs}.Wh{g}.weight" for g in _GATES), _CONV2D)
    return table


TABLE = _table()

# torchvision's VGG-16: the layers that are our texture path.
_VGG16 = {
    "conv1_1": "features.0",
    "conv1_2": "features.2",
    "conv2_1": "features.5",
    "conv2_2": "features.7",
    "conv3_1": "features.10",
    "conv4_1": "features.17",
}
_VGG16_STD = np.array([0.229, 0.224, 0.225], np.float32)  # torchvision's channel deviations, RGB in 0..1


def from_pytorch(state: Mapping[str, np.ndarray], config: ModelConfig, source: str | Path) -> Arrays:
    """Our parameters from a released state dict.

    Args:
      state: released name to array.
      config: the sizes expected.
      source: named in errors.

    Raises:
      InputError: lists every entry unknown, missing, misshapen, not float32, or holding NaN or Inf.
    """
    check_arrays(state, pytorch_shapes(config), source)
    return {
        ours: np.ascontiguousarray(np.concatenate([layout.to_jax(state[key]) for key in theirs], axis=-1))
        for ours, (theirs, layout) in TABLE.items()
    }


def to_pytorch(values: Mapping[str, np.ndarray]) -> Arrays:
    """The released state dict of our parameters: the inverse of `from_pytorch`, bit for bit."""
    state = {}
    for ours, (theirs, layout) in TABLE.items():
        for key, part in zip(theirs, np.split(values[ours], len(theirs), axis=-1), strict=True):
            state[key] = np.ascontiguousarray(layout.to_torch(part))
    return state


def pytorch_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every released entry for a config."""
    blank = {ours: np.broadcast_to(np.float32(0), shape) for ours, shape in parameter_shapes(config).items()}
    return {key: value.shape for key, value in to_pytorch(blank).items()}


def read(path: Path) -> Arrays:
    """The state dict in a PyTorch file, legacy or zip, saved from CPU or GPU, bare or within a checkpoint.

    A prefix that all names share, from DataParallel, torch.compile or a module around the model, is taken off, and
    float16, bfloat16 and float64 are taken as float32; both are logged. Only tensors and plain containers are admitted:
    nothing in the file is run.

    Raises:
      InputError: not a PyTorch file, code in it, or no state dict of tensors.
    """
    pytorch_files.check(path)
    try:
        # Opened here, because torch.load takes some names for other forms. The warnings are about old pickles.
        with warnings.catch_warnings(action="ignore"), open(path, "rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a hostile or damaged file can make torch.load raise nearly anything
        raise InputError(f"{path}: {_why_refused(error)}") from None
    content = _state_dict(content)
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: expected a state dict of tensors, found {type(content).__name__}")
    others = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        listed = ", ".join(others[:_MAX_LISTED]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
        raise InputError(f"{path}: expected tensors alone in the state dict, found others under {listed}")
    keys = [str(key) for key in content]
    prefix = _shared_prefix(keys)
    if prefix:
        logger.warning("%s: %s before all names is taken off", path, prefix)
    state = {key.removeprefix(prefix): value for key, value in zip(keys, content.values(), strict=True)}
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in state.values() if value.dtype in _CONVERTED})
    if kinds:
        logger.warning("%s: values of %s are taken as float32", path, " and ".join(kinds))
    return {key: _array(value) for key, value in state.items()}


def _state_dict(content: object, depth: int = 3) -> object:
    """The state dict within a checkpoint; the checkpoint where it has none."""
    if isinstance(content, Mapping) and depth:
        for key in _STATE_DICTS:
            if isinstance(content.get(key), Mapping) and content[key]:
                return _state_dict(content[key], depth - 1)
    return content


def _shared_prefix(names: list[str]) -> str:
    """What all names begin with, up to a dot. VGG-16's own `features.` stays."""
    prefix = ""
    while names and "." in names[0]:
        first = names[0].partition(".")[0] + "."
        if first == "features." or not all(name.startswith(first) and name != first for name in names):
            break
        if not all("." in name.removeprefix(first) for name in names):
            break  # the name of a layer: what would be left is "weight" and "bias"
        prefix, names = prefix + first, [name.removeprefix(first) for name in names]
    return prefix


def write(values: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes our parameters to `path` as a state dict under the released names."""
    state = {key: torch.tensor(value) for key, value in to_pytorch(values).items()}
    with replacing(path) as temporary:
        torch.save(state, temporary)


def vgg16_texture(path: Path, config: ModelConfig) -> Arrays:
    """The texture path's parameters, by our names, from a torchvision VGG-16 state dict.

    torchvision feeds its network (rgb / 255 - mean) / std, we feed rgb - mean, so 1 / (255 std) goes into the first
    kernel. The means differ by less than half a grey level, which is let be.

    Raises:
      InputError: as `read`, or entries missing, misshapen, not float32, or holding NaN or Inf.
    """
    state = read(path)
    shapes = pytorch_shapes(config)
    expected = {
        f"{theirs}.{part}": shapes[f"{ours}.{part}"] for ours, theirs in _VGG16.items() for part in ("weight", "bias")
    }
    check_arrays({key: state[key] for key in expected if key in state}, expected, path)
    first = f"{_VGG16['conv1_1']}.weight"
    state[first] = state[first] / (255 * _VGG16_STD)[:, None, None]
    values = {}
    for ours, theirs in _VGG16.items():
        values[f"visual.{ours}.kernel"] = _CONV2D.to_jax(state[f"{theirs}.weight"])
        values[f"visual.{ours}.bias"] = state[f"{theirs}.bias"]
    return values


def _array(tensor: torch.Tensor) -> Any:
    """The tensor as float32 NumPy; as it is, or its shape and a word for its kind, where it is of another kind, for
    `check_arrays` to name."""
    if tensor.is_nested or tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        shape = () if tensor.is_nested else tuple(tensor.shape)
        kind = "a nested tensor" if tensor.is_nested else f"a tensor in {tensor.layout} on {tensor.device}"
        return types.SimpleNamespace(shape=shape, dtype=kind)
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return types.SimpleNamespace(shape=tuple(tensor.shape), dtype=f"{tensor.dtype}, one number in many places")
    return tensor.detach().resolve_neg().float().numpy() if tensor.dtype in (torch.float32, *_CONVERTED) else tensor


def _why_refused(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    code = re.search(r"GLOBAL ['\"]?([\w.]+)", str(error))
    # PyTorch's own text is kept away: it advises to load such files with code execution allowed.
    found = f"code or objects ({code[1]})" if code else "something else, or a damaged or cut file"
    return f"refused: expected a PyTorch file of tensors alone, found {found}; nothing of it was run"
