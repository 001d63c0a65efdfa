"""DHF1K, Hollywood-2 and UCF-Sports on disk."""

import cv2
import numpy as np
import pytest

from data.datasets import open_dataset
from tests.helpers.media import write_video
from vasal_jax.errors import InputError

GRID = (24, 32)
POINTS = {0: [(3, 4)], 1: [(31, 0), (5, 23)], 2: []}  # x, y by frame


def annotate(folder, frames, name="{:04d}.png"):
    for part in ("maps", "fixation"):
        (folder / part).mkdir(parents=True)
    for index in range(frames):
        binary = np.zeros(GRID, np.uint8)
        for x, y in POINTS[index % 3]:
            binary[y, x] = 255
        cv2.imwrite(str(folder / "fixation" / name.format(index + 1)), binary)
        cv2.imwrite(str(folder / "maps" / name.format(index + 1)), np.full(GRID, 10 * index, np.uint8))


@pytest.fixture
def dhf1k(tmp_path):
    (tmp_path / "video").mkdir()
    for number in (1, 2, 601, 701):
        write_video(tmp_path / "video" / f"{number:03d}.AVI", [np.zeros((*GRID, 3), np.uint8)] * 4, 30)
        if number < 701:
            annotate(tmp_path / "annotation" / f"{number:04d}", 3 if number == 2 else 4)
    return tmp_path


def check_annotations(record):
    points = record.fixations()
    np.testing.assert_array_equal(points[0, 0], [3, 4])
    assert sorted(map(tuple, points[1])) == [(5, 23), (31, 0)]
    assert np.isnan(points[2]).all()
    assert (record.density_picture(2) == 20).all()
    assert record.grid == GRID


def test_dhf1k(dhf1k):
    dataset, splits = open_dataset(dhf1k, progress=False)
    assert dataset.name == "dhf1k"
    assert [record.id for record in splits.select(dataset.records, "training")] == ["1", "2"]
    assert [record.id for record in splits.select(dataset.records, "validation")] == ["601"]
    first, second, _ = dataset.records
    assert (first.n_frames, second.n_frames) == (4, 3)
    assert [problem.kind for problem in dataset.problems] == ["lengths differ"]
    assert len(list(second.frames())) == 3
    check_annotations(first)


def test_folders_of_clips(tmp_path):
    for split, clips in {"training": [f"a{n:02d}" for n in range(11)], "testing": ["b"]}.items():
        for clip in clips:
            folder = tmp_path / "ucf" / split / clip
            annotate(folder, 3, "frame{:02d}.png")
            (folder / "images").mkdir()
            for index in (10, 9, 8):  # ordered by number, not by letter
                cv2.imwrite(str(folder / "images" / f"x{index}.png"), np.full((48, 64, 3), index, np.uint8))
            (folder / "images" / "._x8.png").write_bytes(b"junk")
    dataset, splits = open_dataset(tmp_path / "ucf", progress=False)
    assert dataset.name == "ucf"
    assert [record.id for record in splits.select(dataset.records, "test")] == ["b"]
    assert [record.id for record in splits.select(dataset.records, "validation")] == ["a09"]
    record = dataset.records[-1]
    assert [int(frame.image[0, 0, 0]) for frame in record.frames()] == [8, 9, 10]
    assert (record.width, record.height, record.sound) == (64, 48, None)
    check_annotations(record)


def test_nothing_usable(dhf1k):
    for number in ("0001", "0002", "0601"):
        (dhf1k / "annotation" / number / "maps" / "0001.png").rename(dhf1k / f"{number}.png")
        for path in (dhf1k / "annotation" / number / "maps").iterdir():
            path.unlink()
    with pytest.raises(InputError, match="expected usable videos, found none among 3"):
        open_dataset(dhf1k, progress=False)
