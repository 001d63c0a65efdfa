"""The layout of the challenges: it is recognised and read, and errors in it are named."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.challenge import main, read_challenge
from data.challenge_files import read_fixations
from data.datasets import open_dataset
from vasal_jax.errors import InputError
from vasal_jax.inputs.map_videos import read_maps

FIXTURE = Path(__file__).parents[1] / "fixtures" / "challenge"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "set")
    return tmp_path / "set"


def by_name(root):
    dataset, _ = read_challenge(root, progress=False)
    return {record.id: record for record in dataset.records}, dataset.problems


def test_records():
    records, problems = by_name(FIXTURE)
    assert list(records) == ["0001", "0002", "0003", "0042", "0017"]
    assert not problems
    upright = records["0017"]
    assert (upright.grid, upright.sound, upright.subset) == ((192, 108), None, "private_test")
    assert records["0003"].sound == records["0003"].video
    assert upright.n_frames == 10
    assert len(list(upright.frames())) == 10
    assert records["0042"].fps == pytest.approx(24000 / 1001, abs=0.01) or records["0003"].fps == 25


def test_fixations_are_turned_into_x_and_y():
    """The file has (row, column). Fixations lie where the ground truth is bright only in the right order."""
    for record in by_name(FIXTURE)[0].values():
        points, pairs = record.fixations(), read_fixations(record.fixation_file)
        np.testing.assert_array_equal(points[0, : len(pairs[0])], pairs[0][:, ::-1])
        truth = next(read_maps(record.maps))
        x, y = points[0][np.isfinite(points[0, :, 0])].astype(int).T
        assert truth[y, x].mean() > 1.5 * truth.mean()


def test_maps_keep_their_depth_and_survive_pickling():
    record = by_name(FIXTURE)[0]["0003"]
    first = record.density_picture(0)
    assert first.max() > 255
    again = pickle.loads(pickle.dumps(record))  # noqa: S301 our own
    np.testing.assert_array_equal(again.density_picture(3), record.density_picture(3))
    np.testing.assert_array_equal(record.density_picture(0), first)


def test_splits():
    dataset, splits = open_dataset(FIXTURE, progress=False)
    assert dataset.name == "challenge"
    assert [record.id for record in splits.select(dataset.records, "test")] == ["0003", "0042", "0017"]
    assert [record.id for record in splits.select(dataset.records, "training")] == ["0001", "0002"]
    assert "TrainTestSplit.json" in splits.description


def test_every_tenth_training_video_validates(folder):
    names = [f"{number:04d}" for number in range(100, 130)]
    for name in names:
        shutil.copy(folder / "Videos/0001.mp4", folder / f"Videos/{name}.mp4")
        shutil.copy(folder / "SaliencyTrain/Train/0001.mp4", folder / f"SaliencyTrain/Train/{name}.mp4")
        shutil.copytree(folder / "FixationsTrain/Train/0001", folder / f"FixationsTrain/Train/{name}")
    (folder / "TrainTestSplit.json").write_text(json.dumps({"training_set": names}))
    dataset, splits = read_challenge(folder, progress=False)
    assert [record.id for record in splits.select(dataset.records, "validation")] == ["0109", "0119", "0129"]
    assert len(splits.select(dataset.records, "training")) == 27


@pytest.mark.parametrize("move", ["inner level gone", "folder in a folder"])
def test_other_places_of_the_same_files(folder, move):
    if move == "inner level gone":
        for part in ("SaliencyTest/Test", "FixationsTest/Test"):
            for entry in (folder / part).iterdir():
                entry.rename(entry.parent.parent / entry.name)
    else:
        (folder / "aside").mkdir()
        (folder / "SaliencyTest").rename(folder / "aside" / "SaliencyTest")
        (folder / "aside").rename(folder / "SaliencyTest")
    assert len(by_name(folder)[0]) == 5


def test_what_is_missing_is_named(folder):
    (folder / "Videos/0003.mp4").unlink()
    (folder / "SaliencyTest/Test/0017.mp4").unlink()
    (folder / "SaliencyTest.zip").write_bytes(b"")
    shutil.rmtree(folder / "FixationsTrain/Train/0002")
    records, problems = by_name(folder)
    assert list(records) == ["0001", "0042"]
    messages = {problem.video: problem.message for problem in problems}
    assert "no such file" in messages["0003"]
    assert "unpack SaliencyTest.zip first" in messages["0017"]
    assert "has no 0002/fixations.json" in messages["0002"]
    assert all(problem.left_out for problem in problems)


def test_other_lengths_and_points(folder):
    path = folder / "FixationsTest/Test/0003/fixations.json"
    frames = json.loads(path.read_text())
    frames[2] = []
    frames[3] = [[-1, 5], [108, 0], [107, 191], [7.0, 8.0]]
    path.write_text(json.dumps(frames[:9]))
    records, problems = by_name(folder)
    record = records["0003"]
    assert record.n_frames == 9
    points = record.fixations()
    assert np.isnan(points[2]).all()
    np.testing.assert_array_equal(points[3, :2], [[191, 107], [8, 7]])
    assert np.isnan(points[3, 2:]).all()
    assert {problem.kind: problem.left_out for problem in problems} == {
        "lengths differ": False, "invalid fixations": False, "frames without fixations": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "{}", "[[1, 2]]", '[[["a", 2]]]', "[[[1]]]", "[[[1, 2, 3]]]", "[[[1e400, 2]]]", "[[[0.5, 2]]]", "[[[NaN, 1]]]",
        "[" * 100_000, "", "nope", "[[[true, 1]]]", f"[[[{10**400}, 1]]]", "\xff",
    ],
)  # fmt: skip
def test_fixations_that_are_none(tmp_path, content):
    (tmp_path / "f.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"f\.json: expected a list a frame of \[row, column\] pairs"):
        read_fixations(tmp_path / "f.json")


@pytest.mark.parametrize(
    "content",
    [
        "[]", "{}", '{"test": ["1"]}', '{"train": "0001"}', '{"train": [1]}', '{"train": ["../0001"]}',
        '{"train": ["a/b"]}', '{"train": ["1"], "public_test": ["1"]}', "{", '{"train": [""]}',
    ],
)  # fmt: skip
def test_split_files_that_are_none(folder, content):
    (folder / "TrainTestSplit.json").write_text(content)
    with pytest.raises(InputError, match=r"TrainTestSplit\.json: expected lists of names"):
        read_challenge(folder, progress=False)


def test_the_command(folder, capfd):
    assert main(["check", str(folder)]) == 0
    assert "private_test" in capfd.readouterr().out
    shutil.rmtree(folder / "Videos")
    assert main(["check", str(folder)]) == 2
    error = capfd.readouterr().err
    assert "expected usable videos, found none among 5" in error
    assert "Traceback" not in error
