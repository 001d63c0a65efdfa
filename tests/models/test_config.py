"""Presets and what a config refuses."""

import json

import numpy as np
import pytest

from vasal_jax.config import PRESETS
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig
from vasal_jax.weights import parameters


def count(config: ModelConfig) -> int:
    return sum(int(np.prod(shape)) for shape in parameters.parameter_shapes(config).values())


def test_the_size_of_every_preset():
    assert {name: count(preset()) for name, preset in PRESETS.items()} == {
        "released": 7_274_113,
        "tiny": 459_457,
        "full": 8_087_428,
        "full_audio_faces": 8_194_052,
        "tiny_full": 602_140,
        "tiny_full_audio_faces": 626_780,
    }


@pytest.mark.parametrize(("full", "bare"), [("full", "released"), ("tiny_full_audio_faces", "tiny")])
def test_a_face_branch_changes_nothing_else(full, bare):
    shapes, expected = (parameters.parameter_shapes(PRESETS[name]()) for name in (full, bare))
    assert {name: shape for name, shape in shapes.items() if not name.startswith("face.")} == expected


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = PRESETS[name](dtype="bfloat16")
    assert ModelConfig.from_json(config.to_json()) == config


def test_a_config_from_before_the_face_branch_has_none():
    fields = json.loads(ModelConfig.tiny().to_json())
    del fields["face"], fields["face_audio"]
    assert ModelConfig.from_json(json.dumps(fields)) == ModelConfig.tiny()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"face": [4, 4]}, "face must be 5 positive integers or empty, found .4, 4."),
        ({"face": 3}, "face must be 5 positive integers or empty, found 3"),
        ({"face": [4, 4, 4, 4, 0]}, "face must be 5 positive integers"),
        ({"face": [4] * 5, "face_audio": -1}, "face_audio must be 0 or a positive integer, found -1"),
        ({"face": [4] * 5, "face_audio": True}, "face_audio must be 0 or a positive integer"),
        ({"face": [4] * 5, "face_audio": 10**9}, "face_audio must be 0 or a positive integer"),
        ({"face_audio": 8}, "face_audio must be 0 without a face branch, found 8"),
    ],
)
def test_sizes_that_are_none_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        ModelConfig.from_json(json.dumps(fields))
