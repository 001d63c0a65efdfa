"""What the proof claims of scores that are known: what is there is found, what is not is not."""

import json

import numpy as np
import pytest

from scripts.speaker_share import SINCE, SpeakerFrames
from scripts.synthetic_claims import SeedResult, claims, tell
from vasal_jax.evaluation.statistics import interval, interval_over_seeds

VIDEOS, FRAMES = 12, 20
ROWS = ("centre prior", "visual", "visual, sound", "visual, faces", "all", "all, another video's sound")


def drawn_result(seed: int, sound: float, right: float) -> SeedResult:
    """Scores of a seed in whose hard frames hearing is worth `sound` in every metric, the speaker found in `right`."""
    rng = np.random.default_rng(seed)
    names = [f"{seed}-{video}" for video in range(VIDEOS)]
    hard = {name: np.arange(FRAMES) % 2 == 0 for name in names}
    level = {name: rng.normal(1, 0.3) for name in names}
    scores = {}
    for row in ROWS:
        gain = sound * (row == "all")
        of_row = {name: level[name] + rng.normal(0, 0.05, FRAMES) for name in names}
        scores[row] = {
            name: {m: np.where(hard[name], values + (gain if m != "KL" else -gain), 9.0) for m in ("KL", "CC", "NSS")}
            for name, values in of_row.items()
        }
    chance, since = np.full(FRAMES, 0.25), np.arange(FRAMES) / 25
    found = {"all": right, "visual, faces": 0.25}
    speaker = {
        row: {name: SpeakerFrames(rng.random(FRAMES) < share, chance, since) for name in names}
        for row, share in found.items()
    }
    return SeedResult(seed, scores, hard, speaker)


def by_claim(results: list[SeedResult]) -> dict[tuple[str, str], dict]:
    return {(one["claim"], one["measure"]): one for one in claims(results)}


def test_what_is_there_is_found_on_every_seed():
    found = by_claim([drawn_result(seed, sound=0.2, right=0.9) for seed in range(3)])
    for metric, sign in (("KL", -1), ("CC", 1), ("NSS", 1)):
        one = found["sound helps, where faces are given", metric]
        assert one["difference"] == pytest.approx(sign * 0.2, abs=0.03)  # on hard frames alone: elsewhere all have 9
        assert one["p"] < 0.001
        assert max(one["p_by_seed"].values()) < 0.01
        assert one["ci95"][0] < one["difference"] < one["ci95"][1]
        assert one["ci95"][0] * one["ci95"][1] > 0
        assert one["holds"]
        assert one["videos"] == 3 * VIDEOS
    most = found["the speaker weighs most, all, against chance", "share"]
    assert most["first"] == pytest.approx(0.9, abs=0.05)
    assert most["second"] == pytest.approx(0.25)
    assert most["p"] < 0.001


def test_what_is_not_there_is_not_found():
    found = by_claim([drawn_result(seed, sound=0.0, right=0.25) for seed in range(3)])
    for name in ("sound helps, where faces are given", "another video's sound takes it away"):
        assert found[name, "CC"]["p"] > 0.01
        assert found[name, "CC"]["ci95"][0] < 0 < found[name, "CC"]["ci95"][1]
    assert found["the speaker weighs most, all, against chance", "share"]["p"] > 0.01


def test_a_claim_that_one_seed_denies_does_not_hold():
    results = [drawn_result(0, sound=0.5, right=0.9), drawn_result(1, sound=-0.1, right=0.9)]
    one = by_claim(results)["sound helps, where faces are given", "NSS"]
    assert one["difference"] > 0
    assert not one["holds"]


def test_the_interval_over_seeds_knows_how_far_seeds_lie_apart():
    rng = np.random.default_rng(0)
    alike = [rng.normal(0, 1, 30) for _ in range(3)]
    apart = [values + shift for values, shift in zip(alike, (-2, 0, 2), strict=True)]
    (low, high), (lower, higher) = interval_over_seeds(alike), interval_over_seeds(apart)
    assert higher - lower > 3 * (high - low)
    np.testing.assert_allclose(interval_over_seeds(alike[:1]), interval(alike[0]), atol=0.03)
    assert interval_over_seeds([np.array([1.0]), np.array([np.nan])]) is None
    assert interval_over_seeds([np.ones(3), np.ones(5)]) == [1.0, 1.0]


def test_the_tables_are_printed_and_written(tmp_path, capsys):
    results = [drawn_result(seed, sound=0.2, right=0.9) for seed in range(2)]
    tell(tmp_path / "proof.md", results, "Timing tells nothing.")
    text = (tmp_path / "proof.md").read_text()
    assert text in capsys.readouterr().out
    assert "| all, another video's sound |" in text
    assert "Timing tells nothing." in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables[: 2 + len(ROWS)]} == {8}
    of_speakers = 2 * (2 + len(SINCE) - 1)
    assert {line.count("|") for line in tables[2 + len(ROWS) : -of_speakers]} == {10}
    assert {line.count("|") for line in tables[-of_speakers:]} == {5}
    assert json.loads((tmp_path / "proof.json").read_text())["seeds"] == [0, 1]
