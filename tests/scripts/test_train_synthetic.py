"""The proof on synthetic videos, as small as it goes."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from scripts import train_synthetic
from scripts.synthetic_trainings import ProofArgs, best_weights, further_rounds, gained, stages
from scripts.train_synthetic import prove, rows_of, split_rule
from vasal_jax import weights
from vasal_jax.errors import InputError
from vasal_jax.models import ModelConfig


def args(folder: Path, **changes) -> ProofArgs:
    videos = {"videos": 6, "tested": 2, "validated": 1, "seconds": 1.0}
    trainings = {"face_updates": 2, "updates": 2, "rounds": 1, "at_once": 1}
    return ProofArgs(folder, **(videos | trainings | changes))


def test_each_seed_has_a_folder_and_a_split_of_its_own(tmp_path):
    of_seeds = list(args(tmp_path, seeds=3, seed=4).each_seed())
    assert [one.place for one in of_seeds] == [tmp_path / f"seed-{seed}" for seed in (4, 5, 6)]
    assert {one.seeds for one in of_seeds} == {1}
    test, validation = (set(word.partition("=")[2].split(",")) for word in split_rule(of_seeds[0]).split())
    assert (len(test), len(validation), len(test & validation)) == (2, 1, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"videos": 3}, "leave some to train on"), ({"seeds": 0}, "--seeds"), ({"tested": 1}, "--tested")],
)
def test_numbers_that_prove_nothing_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        args(tmp_path, **changes)


def test_rounds_follow_one_another_while_the_validation_gains(tmp_path):
    """And the weights that are scored are those of the best round, not of the last."""
    one = args(tmp_path, rounds=3)
    *_, first = stages("all", one)
    second, third = further_rounds("all", one)
    assert second.init == first.export
    assert third.init == second.export
    for config, kl in ((first, 1.2), (second, 1.1), (third, 1.15)):
        config.run.mkdir(parents=True)
        config.export.touch()
        with (config.run / "validation.csv").open("w") as file:
            csv.writer(file).writerows([["step", "kl"], [1, kl + 0.1], [2, kl]])
    assert gained(first)
    assert gained(second)
    assert not gained(third)
    assert best_weights("all", one) == second.export
    assert further_rounds("all", args(tmp_path)) == []


def test_scores_stay_as_long_as_the_weights_say_the_same(tmp_path):
    """A command that is given again exports them again."""
    one = args(tmp_path)
    path = best_weights("all", one)
    path.parent.mkdir(parents=True)
    config = ModelConfig.tiny_full_audio_faces()
    weights.write(config, weights.initial_weights(config, seed=0), path)
    before = [row.settings for row in rows_of("all", one)]
    os.utime(path, (0, 0))
    assert [row.settings for row in rows_of("all", one)] == before
    weights.write(config, weights.initial_weights(config, seed=1), path)
    assert [row.settings for row in rows_of("all", one)] != before


def test_what_timing_alone_tells_stands_beside_the_tables(tmp_path, monkeypatch):
    """Measured by the law of the scenes that were trained on."""
    told = []
    for name in ("prepare", "learn_all", "result_of"):  # the trainings
        monkeypatch.setattr(train_synthetic, name, lambda of_seed: of_seed)
    monkeypatch.setattr(train_synthetic, "baseline", lambda scenes, version: (0.5 + 0.1 * version, 1000 * scenes))
    monkeypatch.setattr(train_synthetic, "tell", lambda *given: told.append(given))
    one = args(tmp_path, version=1)
    assert prove(one) == 0
    ((path, results, blind),) = told
    assert (path, results) == (tmp_path / "proof.md", [one])
    assert "names the speaker in 60.0% of 200000 frames with a mime; chance is 50%" in blind


@pytest.mark.slow
def test_the_whole_proof_runs_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capfd):
    """Two seeds; about ten minutes. After so few steps the numbers say nothing: they are there, and they stay."""
    one = args(tmp_path, seeds=2, videos=7, tested=3)
    assert prove(one) == 0
    text = (tmp_path / "proof.md").read_text()
    assert text in capfd.readouterr().out
    found = json.loads((tmp_path / "proof.json").read_text())
    assert found["seeds"] == [0, 1]
    assert all(np.isfinite(claim["difference"]) for claim in found["claims"] if claim["videos"])
    monkeypatch.setattr(train_synthetic, "learn_all", lambda of_seed: None)  # all is trained and scored
    assert prove(one) == 0
    assert (tmp_path / "proof.md").read_text() == text
