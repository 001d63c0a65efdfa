"""PyTorch checkpoints in and out: every form they come in, bit for bit, and nothing in them is run."""

import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.golden import drawn_state
from vasal_jax import weights
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig
from vasal_jax.weights import parameters, pytorch

TINY = ModelConfig.tiny()


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return drawn_state(TINY, seed=11)


def tensors(state: dict[str, np.ndarray], prefix: str = "") -> OrderedDict:
    """As a module's state_dict() of PyTorch 1.1 is: ordered, with `_metadata` on it."""
    ordered = OrderedDict((prefix + key, torch.tensor(value)) for key, value in state.items())
    ordered._metadata = OrderedDict({"": {"version": 1}})
    return ordered


def save_as_from_gpu(content, path: Path, monkeypatch) -> None:
    """The legacy pickle with every storage marked as lying on a GPU, as on the machine the release was trained on."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert b"cuda:0" in path.read_bytes()


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("form", ["legacy pickle from a GPU", "zip"])
def test_every_form_of_a_checkpoint_is_read_bit_for_bit(state, tmp_path, monkeypatch, wrap, prefix, form):
    path = tmp_path / "checkpoint.pkl"
    content = wrap(tensors(state, prefix))
    if form == "zip":
        torch.save(content, path)
    else:
        save_as_from_gpu(content, path, monkeypatch)
    found = pytorch.read(path)
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("preset", ["tiny", "released"])
def test_the_table_is_a_bijection(preset):
    config = getattr(ModelConfig, preset)()
    state = drawn_state(config)
    values = pytorch.from_pytorch(state, config, "drawn")
    shapes = parameters.parameter_shapes(config)
    assert {key: value.shape for key, value in values.items()} == shapes
    back = pytorch.to_pytorch(values)
    assert back.keys() == state.keys()
    assert all(back[key].tobytes() == state[key].tobytes() and back[key].shape == state[key].shape for key in state)
    used = [key for sources, _ in pytorch.TABLE.values() for key in sources]
    assert len(used) == len(set(used)) == len(state)


def test_written_checkpoints_come_back(state, tmp_path):
    values = pytorch.from_pytorch(state, TINY, "drawn")
    pytorch.write(values, tmp_path / "w.pt")
    loaded = torch.load(tmp_path / "w.pt", weights_only=True)
    assert all(np.array_equal(loaded[key].numpy(), state[key]) for key in state)


def test_every_problem_is_in_one_error(state):
    broken = dict(state)
    del broken["visual_hmap.bias"]
    broken["spare.weight"] = np.zeros(3, np.float32)
    broken["cell0.Wxi.weight"] = broken["cell0.Wxi.weight"][:, :3]
    broken["conv1_1.bias"] = np.full(16, np.inf, np.float32)
    with pytest.raises(InputError) as caught:
        pytorch.from_pytorch(broken, TINY, "some.pkl")
    for line in (
        "some.pkl",
        "4 problems",
        "unknown entry spare.weight",
        "missing entry visual_hmap.bias (1,)",
        "cell0.Wxi.weight: expected shape (32, 32, 3, 3), found (32, 3, 3, 3)",
        "conv1_1.bias: holds NaN or Inf",
    ):
        assert line in str(caught.value)


def test_other_floats_are_taken_as_float32_and_said(state, tmp_path, caplog):
    content = tensors(state)
    content["conv1_1.bias"] = content["conv1_1.bias"].half()
    content["conv1_2.bias"] = content["conv1_2.bias"].bfloat16()
    content["conv2_1.bias"] = content["conv2_1.bias"].double()
    torch.save(content, tmp_path / "w.pt")
    found = pytorch.read(tmp_path / "w.pt")
    assert all(value.dtype == np.float32 for value in found.values())
    assert np.array_equal(found["conv1_1.bias"], state["conv1_1.bias"].astype(np.float16))
    np.testing.assert_allclose(found["conv1_2.bias"], state["conv1_2.bias"], rtol=2**-8)
    assert np.array_equal(found["conv2_1.bias"], state["conv2_1.bias"])
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("w.pt: values of bfloat16 and float16 and float64 are taken as float32")


def test_whole_numbers_are_named_not_converted(state, tmp_path):
    content = tensors(state)
    content["conv1_1.bias"] = content["conv1_1.bias"].int()
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=re.escape("conv1_1.bias: expected float32, found torch.int32")):
        weights.read(tmp_path / "w.pt", TINY)


@pytest.mark.parametrize("name", ["model_best.pth.tar", "epoch.ckpt", "pytorch_model.bin", "weights", "w.safetensors"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_of_any_name_is_told_by_its_content(state, tmp_path, name, legacy):
    torch.save(tensors(state), tmp_path / name, _use_new_zipfile_serialization=not legacy)
    _, values = weights.read(tmp_path / name, TINY)
    assert values.keys() == parameters.parameter_shapes(TINY).keys()


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.module.", "model.", "module._orig_mod.", "net.backbone."])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"model_state_dict": s, "optimizer": {"state": {}}, "epoch": 3},
        lambda s: {"net": s},
        lambda s: {"ema": s, "epoch": torch.tensor(3)},
        lambda s: {"model": {"state_dict": s}},
    ],
)
def test_shared_prefixes_and_nested_state_dicts(state, tmp_path, prefix, wrap, caplog):
    torch.save(wrap(tensors(state, prefix)), tmp_path / "w.pt")
    found = pytorch.read(tmp_path / "w.pt")
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[key], state[key]) for key in state)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'w.pt'}: {prefix} before all names is taken off"
    ]


def test_a_refusal_lists_ten_problems_and_a_count(state, tmp_path):
    torch.save({f"layer{index}.weight": torch.zeros(1) for index in range(30)}, tmp_path / "w.pt")
    with pytest.raises(InputError) as caught:
        weights.read(tmp_path / "w.pt", TINY)
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1].strip() == f"and {30 + len(state) - 10} more"


class Payload:
    """Makes the file given when unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("form", ["legacy", "zip", "bare pickle"])
def test_code_in_a_pickle_is_refused_and_does_not_run(state, tmp_path, form):
    mark, path = tmp_path / "mark", tmp_path / "hostile.pkl"
    content = {**tensors(state), "conv1_1.bias": Payload(mark)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    found = (
        r"code or objects \(torch\.storage\._load_from_bytes\)"
        if form == "bare pickle"
        else r"code or objects \(\w*\.?mkdir\)"
    )
    with pytest.raises(InputError, match=f"refused: .* found {found}.*; nothing of it was run"):
        pytorch.read(path)
    assert not mark.exists()
    torch.load(path, weights_only=False) if form != "bare pickle" else pickle.loads(path.read_bytes())  # noqa: S301
    assert mark.exists()  # so the payload was live


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "expected a state dict of tensors, found Tensor"),
        ({}, "expected a state dict of tensors, found dict"),
        ({"a": torch.zeros(3), "lr": 0.1}, "found others under lr"),
        ([1, 2], "expected a state dict of tensors, found list"),
    ],
)
def test_files_without_a_state_dict(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        pytorch.read(tmp_path / "w.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", bytes(1000)])
def test_files_of_something_else(tmp_path, content):
    (tmp_path / "w.pkl").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "w.pkl"))):
        pytorch.read(tmp_path / "w.pkl")


def test_truncated_checkpoints(state, tmp_path):
    for legacy in (False, True):
        path = tmp_path / "w.pt"
        torch.save(tensors(state), path, _use_new_zipfile_serialization=not legacy)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=re.escape(str(path))):
            pytorch.read(path)


def vgg16_state(widths: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """torchvision's names and order; its layers beyond the sixth we use are there too."""
    rng = np.random.default_rng(2)
    state, inputs = {}, 3
    for index, width in zip((0, 2, 5, 7, 10, 12, 14, 17), (*widths[:5], widths[4], widths[4], widths[5]), strict=True):
        state[f"features.{index}.weight"] = torch.tensor(
            rng.standard_normal((width, inputs, 3, 3)), dtype=torch.float32
        )
        state[f"features.{index}.bias"] = torch.tensor(rng.standard_normal(width), dtype=torch.float32)
        inputs = width
    return state | {"classifier.0.bias": torch.zeros(4)}


def test_vgg16_layers_see_what_they_saw_in_torchvision(tmp_path):
    state = vgg16_state(TINY.texture)
    torch.save(state, tmp_path / "vgg16.pth")
    values = pytorch.vgg16_texture(tmp_path / "vgg16.pth", TINY)
    picture = np.random.default_rng(3).uniform(0, 1, (1, 3, 8, 8)).astype(np.float32)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = torch.nn.functional.conv2d(
        torch.tensor((picture - mean) / std), state["features.0.weight"], state["features.0.bias"], padding=1
    ).numpy()
    kernel = torch.tensor(values["visual.conv1_1.kernel"].transpose(3, 2, 0, 1).copy())
    bias = torch.tensor(values["visual.conv1_1.bias"])
    found = torch.nn.functional.conv2d(torch.tensor(255 * (picture - mean)), kernel, bias, padding=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    layer_4_1 = values["visual.conv4_1.kernel"]
    np.testing.assert_array_equal(layer_4_1, state["features.17.weight"].numpy().transpose(2, 3, 1, 0))
    assert len(values) == 12
