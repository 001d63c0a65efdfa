"""Presets and what a config refuses."""

import json

import numpy as np
import pytest

from vasal_jax.config import PRESETS, Memory
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


@pytest.mark.parametrize("words", ["continuous", "reset/1", "reset/12", "overlap/12"])
def test_a_memory_is_written_as_it_is_parsed(words):
    assert str(Memory.parse(words)) == words


@pytest.mark.parametrize(
    "words", ["", "reset", "reset/0", "reset/-1", "overlap/7", "overlap/0", "continuous/3", "reset/12 ", "reset/99999"]
)
def test_other_words_than_a_memory_are_refused(words):
    with pytest.raises(InputError, match="memory"):
        Memory.parse(words)


@pytest.mark.parametrize(
    ("given", "trained", "chosen"),
    [
        (None, None, "continuous"),
        (None, "reset/12", "overlap/12"),
        (None, "reset/7", "overlap/6"),
        (None, "reset/1", "reset/1"),
        ("reset", "reset/16", "reset/16"),
        ("overlap", "reset/16", "overlap/16"),
        ("continuous", "reset/16", "continuous"),
        ("overlap/4", None, "overlap/4"),
    ],
)
def test_the_memory_of_a_run_by_what_was_given_and_what_was_trained(given, trained, chosen):
    assert str(Memory.chosen(given, trained and Memory.parse(trained))) == chosen


@pytest.mark.parametrize("words", ["reset/12", "overlap/12", "overlap/10", "reset/7", "continuous"])
def test_no_border_lies_inside_a_clip(words):
    memory = Memory.parse(words)
    for at_most in (1, 2, 5, 12, 40):
        assert 1 <= memory.clip_length(at_most) <= at_most
        assert memory.period % memory.clip_length(at_most) == 0


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
def test_impossible_sizes_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        ModelConfig.from_json(json.dumps(fields))
