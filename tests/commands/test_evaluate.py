"""`evaluate.py` on a small synthetic dataset: the table, the files, and what it says to mistakes."""

import csv
import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.synthetic import SyntheticArgs, generate
from evaluate import main
from tests.helpers.models import narrow_model
from vasal_jax import weights
from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS
from vasal_jax.config import Memory
from vasal_jax.evaluation.scores import versions
from vasal_jax.inputs.fixations import SIGMA, fixation_density
from vasal_jax.metrics.saliency import METRICS
from vasal_jax.size import Size

SMALL = ["--resolution", "64x36", "--negatives", "300"]
SPLIT = ["--split-rule", "test=100,312 training=231"]  # the synthetic dataset's first three videos


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    arguments = {"videos": 3, "seconds": 1.0, "seed": 4, "size": Size(72, 128), "workers": 1, "fps": (24.0,)}
    assert generate(SyntheticArgs(folder, **arguments)) == 0
    return folder


@pytest.fixture(scope="module")
def narrow_weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    weights.save(narrow_model(), path)
    return path


def truth_maps(faces: Path, folder: Path, size=(36, 64), videos=("100", "312")) -> Path:
    folder.mkdir()
    for video in videos:
        points = np.load(next(faces.rglob(f"all_videos_all_frames_fixation/{video}.npy"))).transpose(0, 2, 1)
        np.savez(folder / f"{video}.npz", maps=fixation_density(points, size, sigma=SIGMA))
    return folder


def lines(capfd) -> tuple[str, list[str]]:
    """Standard output, and what was said without what a progress bar leaves."""
    printed = capfd.readouterr()
    return printed.out, [line for line in printed.err.splitlines() if line and "scoring frames" not in line]


def test_a_model_with_all_its_rows(faces, narrow_weights, tmp_path, capfd):
    out = tmp_path / "R.json"
    switches = ["--mute", "--shuffle-sound", "--drop-faces", "--freeze-motion"]
    command = [str(faces), "--weights", str(narrow_weights), "--out", str(out), *SMALL, *SPLIT, *switches]
    assert main(command) == 0
    table, said = lines(capfd)
    assert said == []
    content = json.loads(out.read_text())
    names = [row["name"] for row in content["rows"]]
    own = "narrow"
    assert names == [
        *(judged := [
            own, f"{own}, muted", f"{own}, another video's sound", f"{own}, no faces", f"{own}, no motion",
            "centre prior", "density of the gaze itself",
        ]),
        "uniform map", *(f"{name}, against half" for name in judged), "half against half", "people, extrapolated",
    ]  # fmt: skip
    truths = [row["truth"] for row in content["rows"]]
    assert truths == ["all subjects"] * 8 + ["half of the subjects"] * 9
    for row in content["rows"]:
        assert list(row["videos"]) == ["100", "312"]
        for numbers in (row["mean_over_videos"], row["mean_over_frames"], *row["videos"].values()):
            assert set(numbers) == set(METRICS)
        assert re.search(rf"\| {re.escape(row['name'])}\*? +\| {row['truth']} ", table)
        for metric, interval in row["ci95"].items():
            assert interval is None or interval[0] <= row["mean_over_videos"][metric] <= interval[1]
    settings = content["settings"]
    assert settings["split_rule"] == "test=100,312; training=231"
    assert settings["weights_sha256"] == hashlib.sha256(narrow_weights.read_bytes()).hexdigest()
    assert settings["config"]["fusion"] == 4
    assert settings["centre_prior"] == "mean density of 1 training videos"
    assert (settings["sigma"], settings["truth_resolution"], settings["seed"]) == (28.0, "64x36", 0)
    assert (settings["videos"], settings["frames"], settings["negatives_per_video"]) == (2, 48, 300)
    assert settings["dataset"] == "synthetic (seed 4, 1 s, 128x72, version 2)"
    points = [np.load(path) for path in faces.rglob("all_videos_all_frames_fixation/*.npy") if path.stem != "231"]
    assert settings["fixations"] == sum(int(np.isfinite(xy[:, 0]).sum()) for xy in points)
    for text in (table, (tmp_path / "R.tex").read_text()):  # the pool of the negatives stands beside the numbers
        assert f"{settings['fixations']} fixations" in text
        assert "synthetic (seed 4" in text
        assert "mvva" not in text
    assert settings["versions"] == versions()
    with (tmp_path / "R_frames.csv").open() as file:
        frames = list(csv.DictReader(file))
    assert len(frames) == 16 * 48  # of the extrapolated row there are none
    assert {"seconds", "faces", "speaking"} <= set(frames[0])
    first = out.read_bytes()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "R_work").iterdir()}
    assert len(kept) == (9 + 4) * 2  # four numbers of people are extrapolated from

    assert main(command) == 0  # again: nothing is computed, and the same comes out
    assert out.read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "R_work").iterdir()} == kept

    capfd.readouterr()
    assert main(["compare", str(out), str(out), "--second-row", "uniform map"]) == 0
    compared = capfd.readouterr().out.splitlines()
    assert compared[0].split("|")[2:4] == [f"  {own} ", " uniform map "]
    assert len(compared) == 2 + len(METRICS)


def test_a_model_remembers_what_its_weights_say_unless_told(faces, tmp_path):
    model = narrow_model()
    model.memory = Memory("reset", 4)
    weights.save(model, tmp_path / "m.safetensors")

    def results(name: str, *flags: str) -> tuple[dict, dict]:
        out = tmp_path / f"{name}.json"
        command = [str(faces), "--weights", str(tmp_path / "m.safetensors"), "--out", str(out), *SMALL, *SPLIT, *flags]
        assert main(command) == 0
        content = json.loads(out.read_text())
        return content["settings"], content["rows"][0]["videos"]

    settings, by_default = results("default")
    assert (settings["memory"], settings["trained_with_memory"]) == ("overlap/4", "reset/4")
    assert results("overlap", "--memory", "overlap/4")[1] == by_default
    settings, continuous = results("continuous", "--memory", "continuous")
    assert (settings["memory"], settings["trained_with_memory"]) == ("continuous", "reset/4")
    assert continuous != by_default


def test_maps_made_elsewhere_stand_beside_the_baselines(faces, tmp_path, capfd):
    truth, large = truth_maps(faces, tmp_path / "truth"), truth_maps(faces, tmp_path / "large", (72, 128))
    out = tmp_path / "R.json"
    assert main([str(faces), "--maps", str(truth), str(large), "--out", str(out), *SMALL, *SPLIT]) == 0
    table, said = lines(capfd)
    assert said == [f"warning: {large}: maps of 128x72 are resized to the truth's 64x36"]
    rows = {row["name"]: row["mean_over_videos"] for row in json.loads(out.read_text())["rows"]}
    judged = ["truth", "large", "centre prior", "density of the gaze itself"]
    halves = [*(f"{name}, against half" for name in judged), "half against half", "people, extrapolated"]
    assert list(rows) == [*judged, "uniform map", *halves]
    for metric, perfect in {"CC": 1, "SIM": 1, "KL": 0}.items():
        assert rows["truth"][metric] == pytest.approx(perfect, abs=1e-5)
    assert rows["large"]["CC"] > 0.999
    assert rows["truth"]["sAUC"] > rows["half against half"]["sAUC"] > rows["centre prior"]["sAUC"] - 0.05
    for metric in ("CC", "SIM", "NSS", "sAUC"):
        people = [rows[name][metric] for name in ("half against half", "people, extrapolated")]
        assert rows["density of the gaze itself, against half"][metric] > people[0]
        assert people[1] > people[0]
    assert "| truth " in table


def test_missing_maps_are_listed_and_left_out_only_if_that_is_asked_for(faces, tmp_path, capfd):
    maps = truth_maps(faces, tmp_path / "some", videos=["100"])
    command = [str(faces), "--maps", str(maps), *SMALL, *SPLIT]
    assert main(command) == 2
    table, said = lines(capfd)
    assert table == ""
    assert said[0] == f"warning: {maps}: video 312: no maps"
    assert said[1].startswith(f"error: {maps}: maps of 1 videos are missing or incomplete")
    assert main([*command, "--allow-missing"]) == 0
    assert "frames skipped: some 24" in lines(capfd)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --weights of a model or --maps to score"),
        (["--weights", "none.safetensors"], "none.safetensors: no such weights"),
        (["--maps", "none"], "none: expected a folder of maps"),
        (["--maps", "."], "has no maps of any of the 2 videos; expected 100, 312"),
        (["--maps", ".", "--mute"], "change a model's inputs"),
        (["--weights", "W", "--allow-missing"], "--allow-missing is about --maps"),
        (["--weights", "W", "--resolution", "8x8"], "--resolution: expected 32 to 4096 a side"),
        (["--weights", "W", "--sigma", "0"], "--sigma: expected"),
        (["--weights", "W", "--sigma", "nan"], "--sigma: expected"),
        (["--weights", "W", "--negatives", "0"], "--negatives: expected"),
        (["--weights", "W", "--batch", "0"], "--batch: expected"),
        (["--weights", "W", "--seed", "-1"], "--seed: expected"),
        (["--weights", "W", "--out", "R.txt"], "R.txt: expected a name ending in .json"),
        (["--weights", "W", "--out", "none/R.json"], "does not exist"),
        (["--weights", "W", "--split", "validation"], "no usable video"),
        (["--weights", "W", "--split-rule", "test=x,y"], "x,y: no such file"),
        (["--weights", "W", "--split-rule", "test=100", "--shuffle-sound"], "--shuffle-sound: expected two videos"),
        (["--weights", "W", "--dataset", "DIEM"], "no STAViS layout"),
    ],
)
def test_mistakes_cost_a_line_and_exit_code_2(faces, tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = [str(PACKAGED_WEIGHTS) if word == "W" else word for word in arguments]
    rule = [] if "--split-rule" in arguments else SPLIT
    assert main([str(faces), *arguments, *rule]) == 2
    table, said = lines(capfd)
    assert table == ""
    assert message in said[-1]
    assert said[-1].startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_dataset(tmp_path, capfd):
    assert main([str(tmp_path / "none"), "--weights", str(PACKAGED_WEIGHTS)]) == 2
    assert "no such folder" in lines(capfd)[1][-1]


def test_two_rows_of_one_name(faces, tmp_path, capfd):
    first = truth_maps(faces, tmp_path / "maps")
    (tmp_path / "other").mkdir()
    second = truth_maps(faces, tmp_path / "other" / "maps")
    assert main([str(faces), "--maps", str(first), str(second), *SMALL, *SPLIT]) == 2
    assert "found maps twice" in lines(capfd)[1][-1]


def test_comparing_what_is_no_result(tmp_path, capfd):
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
    assert capfd.readouterr().err.startswith("error: ")


def test_dark_maps_of_16_bits_score_as_their_values_do(faces, tmp_path, capfd):
    """They lost their low byte, and with it nearly all that they say."""
    rng = np.random.default_rng(0)
    for bits in (8, 16):
        for video in ("100", "312"):
            (tmp_path / f"maps{bits}" / video).mkdir(parents=True)
    for video in ("100", "312"):
        for frame in range(24):
            values = rng.integers(0, 250, (36, 64))
            for bits in (8, 16):
                path = tmp_path / f"maps{bits}" / video / f"{frame}.png"
                cv2.imwrite(str(path), values.astype(f"uint{bits}"))
    maps = [str(tmp_path / f"maps{bits}") for bits in (8, 16)]
    assert main([str(faces), "--maps", *maps, "--out", str(tmp_path / "R.json"), *SMALL, *SPLIT]) == 0
    assert not lines(capfd)[1]
    rows = {row["name"]: row["mean_over_videos"] for row in json.loads((tmp_path / "R.json").read_text())["rows"]}
    for metric in METRICS:
        assert rows["maps16"][metric] == pytest.approx(rows["maps8"][metric], abs=1e-3), metric


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"]])
def test_help(arguments, capfd):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "A.json" in capfd.readouterr().out
