"""Weights files: both forms whole, damaged ones refused with every problem named."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.config import Memory
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig, VASal
from vasal_jax.weights import parameters

TINY = ModelConfig.tiny()


@pytest.fixture(scope="module")
def model() -> VASal:
    return VASal(TINY, rngs=nnx.Rngs(4))


@pytest.mark.parametrize("name", ["w.safetensors", "orbax folder"])
def test_saved_weights_come_back_bit_for_bit(model, tmp_path, name):
    path = tmp_path / name
    weights.save(model, path)
    weights.save(model, path)  # over the first
    loaded = weights.load(path)
    assert loaded.config == TINY
    found, expected = parameters.arrays(loaded), parameters.arrays(model)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) and found[key].dtype == np.float32 for key in expected)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["w.safetensors", "orbax folder"])
@pytest.mark.parametrize("memory", [None, Memory("reset", 16)])
def test_weights_say_what_memory_they_were_trained_with(tmp_path, name, memory):
    model = narrow_model()
    model.memory = memory
    weights.save(model, tmp_path / name)
    assert weights.load(tmp_path / name).memory == memory
    if name.endswith(".safetensors"):
        first = (tmp_path / name).read_bytes()
        for _ in range(8):  # the same file, whatever order a hash has
            weights.save(model, tmp_path / name)
            assert (tmp_path / name).read_bytes() == first


def test_the_authors_weights_were_trained_on_clips_of_12(tmp_path):
    pytorch = pytest.importorskip("vasal_jax.weights.pytorch")
    values = parameters.arrays(VASal(TINY, rngs=nnx.Rngs(4)))
    pytorch.write(values, tmp_path / "authors.pkl")
    converted = weights.load(tmp_path / "authors.pkl", config=TINY)
    weights.save(converted, tmp_path / "converted.safetensors")
    found = weights.load(tmp_path / "converted.safetensors").memory
    assert found == Memory("reset", 12)
    assert Memory.chosen(None, found) == Memory("overlap", 12)


def test_words_that_are_no_memory_are_refused_with_the_file(tmp_path):
    metadata = {"vasal_config": json.dumps(dataclasses.asdict(TINY) | {"memory": "overlap/7"})}
    (tmp_path / "w.safetensors").write_bytes(safetensors.numpy.save({}, metadata=metadata))
    with pytest.raises(InputError, match=r"w.safetensors: memory: overlap/N needs an even N"):
        weights.load(tmp_path / "w.safetensors")


def test_compute_type_is_a_choice_at_loading(model, tmp_path):
    weights.save(model, tmp_path / "w.safetensors")
    loaded = weights.load(tmp_path / "w.safetensors", dtype="bfloat16")
    assert loaded.config == dataclasses.replace(TINY, dtype="bfloat16")
    assert all(value.dtype == np.float32 for value in parameters.arrays(loaded).values())


def write_file(path: Path, values, config: str | None = TINY.to_json()) -> Path:
    path.write_bytes(safetensors.numpy.save(values, metadata=None if config is None else {"vasal_config": config}))
    return path


def test_every_problem_is_in_one_error(model, tmp_path):
    values = parameters.arrays(model)
    del values["fusion.head.bias"]
    values["fusion.extra"] = np.zeros(3, np.float32)
    values["audio.conv1.kernel"] = values["audio.conv1.kernel"].transpose(4, 0, 1, 2, 3).copy()
    values["audio.conv1.bias"] = values["audio.conv1.bias"].astype(np.float64)
    values["visual.conv1_1.bias"] = np.full(16, np.nan, np.float32)
    values["visual.conv1_2.bias"] = np.full(16, -np.inf, np.float32)
    path = write_file(tmp_path / "w.safetensors", values)
    with pytest.raises(InputError) as caught:
        weights.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: weights do not fit the model config, 6 problems")
    for line in (
        "unknown entry fusion.extra",
        "missing entry fusion.head.bias (1,)",
        "audio.conv1.kernel: expected shape (3, 3, 3, 1, 4), found (4, 3, 3, 3, 1)",
        "audio.conv1.bias: expected float32, found float64",
        "visual.conv1_1.bias: holds NaN or Inf",
        "visual.conv1_2.bias: holds NaN or Inf",
    ):
        assert line in message


def test_weights_of_another_config_are_refused(model, tmp_path):
    path = write_file(tmp_path / "w.safetensors", parameters.arrays(model), ModelConfig.released().to_json())
    with pytest.raises(InputError, match=re.escape("audio.conv1.kernel: expected shape (3, 3, 3, 1, 16)")):
        weights.load(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "has no vasal_config"),
        ("no json", "not JSON"),
        ("[1]", "expected an object"),
        (json.dumps({"depth": 3}), "found .'depth'"),
        (json.dumps({"fusion": 0}), "fusion must be a positive integer"),
        (json.dumps({"fusion": 10**9}), "fusion must be a positive integer"),
        (json.dumps({"lstm": [4]}), "lstm must be 2 positive integers"),
        (json.dumps({"lstm": 4}), "lstm must be 2 positive integers"),
        (json.dumps({"dtype": "int8"}), "dtype must be float32 or bfloat16"),
    ],
)
def test_configs_from_outside_are_checked(model, tmp_path, config, message):
    path = write_file(tmp_path / "w.safetensors", parameters.arrays(model), config)
    with pytest.raises(InputError, match=message):
        weights.load(path)


def test_config_survives_json():
    config = ModelConfig.tiny(fusion=24, dtype="bfloat16")
    assert ModelConfig.from_json(config.to_json()) == config


def test_files_that_are_no_weights(tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    for name, message in (
        ("cut.safetensors", "not a readable"),
        ("empty", "not an Orbax"),
        ("none", "no such weights"),
        ("run", "is the folder of a training run, expected weights; train.py with --export"),
    ):
        with pytest.raises(InputError, match=message):
            weights.load(tmp_path / name)


def test_a_damaged_orbax_folder_is_refused(model, tmp_path):
    path = tmp_path / "folder"
    weights.save(model, path)
    data = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(InputError, match=str(path)):
        weights.load(path)


def test_orbax_of_another_config_is_refused_before_it_is_read(model, tmp_path):
    path = tmp_path / "folder"
    weights.write(ModelConfig.released(), parameters.arrays(model), path)
    with pytest.raises(InputError, match="expected shape"):
        weights.load(path)
