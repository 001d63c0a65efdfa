"""`evaluate.py --protocol challenge`: its scores, its files, and submissions that are refused."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.synthetic import SyntheticArgs, generate
from evaluate import main
from tests.inputs.test_map_videos import write_maps
from vasal_jax.inputs.map_videos import read_maps
from vasal_jax.size import Size

FIXTURE = Path(__file__).parents[1] / "fixtures" / "challenge"
EXPECTED = json.loads((FIXTURE / "expected_scores.json").read_text())
KEYS = {"AUC-J": "auc_judd", "CC": "cc", "SIM": "sim", "NSS": "nss"}


def command(maps, *options):
    return main(
        [str(FIXTURE), "--protocol", "challenge", "--maps", str(maps), "--resolution", "64x36", *map(str, options)]
    )


def test_the_leaderboard_s_numbers(tmp_path, capfd):
    assert command(FIXTURE / "Submission", "--out", tmp_path / "r.json", "--report", tmp_path / "page") == 0
    with (tmp_path / "r_challenge_frames.csv").open() as file:
        frames = [line for line in csv.DictReader(file) if line["row"] == "Submission"]
    for video, scores in EXPECTED.items():
        lines = [line for line in frames if line["video"] == video]
        for name, key in KEYS.items():
            np.testing.assert_allclose([float(line[name]) for line in lines], scores[key], rtol=0, atol=1e-4)
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["challenge"]["subsets"] == {"public_test": 2, "private_test": 1}
    row, prior = results["challenge"]["rows"]
    assert (row["name"], prior["name"]) == ("Submission", "centre prior")
    for subset, videos in {"public_test": ["0003", "0042"], "private_test": ["0017"]}.items():
        for name, key in KEYS.items():
            mean = np.mean([np.mean(EXPECTED[video][key]) for video in videos])
            assert row["subsets"][subset][name] == pytest.approx(mean, abs=1e-6)
            assert row["subsets"][subset][name] > prior["subsets"][subset][name]
    assert {"CC", "KL"} <= set(results["rows"][0]["mean_over_videos"])  # the project's own stand beside
    page, printed = (tmp_path / "page/index.html").read_text(), capfd.readouterr().out
    assert "As the challenge scores" in page
    for text in (page, printed, (tmp_path / "r.md").read_text()):
        assert "AIM 2024 / NTIRE 2026" in text
        assert f"{row['subsets']['private_test']['NSS']:.3f}" in text


def test_without_the_protocol_no_challenge_table_is_written(tmp_path):
    words = [str(FIXTURE), "--maps", str(FIXTURE / "Submission"), "--resolution", "64x36", "--out", tmp_path / "r.json"]
    assert main([*map(str, words), "--report", str(tmp_path / "page")]) == 0
    assert "challenge" not in json.loads((tmp_path / "r.json").read_text())
    assert not (tmp_path / "r_challenge_frames.csv").exists()
    assert "As the challenge scores" not in (tmp_path / "page/index.html").read_text()


@pytest.mark.parametrize("change", ["missing frames", "surplus frames", "missing video", "damaged"])
def test_submissions_with_wrong_or_damaged_videos_are_refused(tmp_path, capfd, change):
    shutil.copytree(FIXTURE / "Submission", tmp_path / "maps")
    path = tmp_path / "maps/0017.mp4"
    grey = [maps.astype(np.uint8) for maps in read_maps(path)]
    if change == "missing frames":
        write_maps(path, grey[:-1], "yuv420p")
    elif change == "surplus frames":
        write_maps(path, [*grey, grey[-1]], "yuv420p")
    elif change == "missing video":
        path.unlink()
    else:
        path.write_bytes(b"no video")
    assert command(tmp_path / "maps") == 2
    error = capfd.readouterr().err
    assert "0017" in error
    assert "Traceback" not in error


def test_datasets_without_maps_are_refused(tmp_path, capfd):
    generate(SyntheticArgs(tmp_path / "set", videos=3, seconds=1, size=Size(64, 64)))
    words = [tmp_path / "set", "--protocol", "challenge", "--maps", FIXTURE, "--split-rule", "test=1-999"]
    assert main([str(word) for word in words]) == 2
    assert "expected a dataset with ground-truth maps of its own" in capfd.readouterr().err
