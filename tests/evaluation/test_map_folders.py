"""Maps of other programs: their names, their numbering, missing maps and damaged ones."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vasal_jax.errors import InputError
from vasal_jax.evaluation.map_folders import find_maps

LENGTHS = {"7": 3, "231": 2}


def grey(value: int, shape=(18, 32)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def pictures(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for value, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), grey(10 * value))


def values(maps) -> list[float]:
    read = maps.open()
    return [float(read(frame).mean()) for frame in sorted(maps.frames)]


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("7", ["00000.png", "00001.png", "00002.png"]),
        ("007", ["0.png", "1.png", "2.png"]),
        ("video_007", ["img_00000.png", "img_00001.png", "img_00002.png"]),
        ("7", ["00001.png", "00002.png", "00003.png"]),
    ],
)
def test_pictures_under_usual_names(tmp_path, caplog, folder, names):
    pictures(tmp_path / folder, names)
    (tmp_path / folder / "notes.txt").write_text("7")
    found, missing = find_maps(tmp_path, {"7": 3})
    assert missing == []
    assert values(found["7"]) == [0, 10, 20]
    assert found["7"].open()(1).dtype == np.float32
    said = [record.getMessage() for record in caplog.records]
    assert said == (
        [f"{tmp_path}: pictures of 1 videos are numbered from 1, taken so"] if names[0] == "00001.png" else []
    )


def test_jpeg_and_arrays(tmp_path):
    pictures(tmp_path / "7", ["0.jpg", "1.JPG", "2.jpeg"])
    maps = np.arange(2, dtype=np.float64)[:, None, None] * np.ones((1, 4, 5))
    np.savez_compressed(tmp_path / "231.npz", maps=maps, frame_index=np.array([1, 0]), fps=25.0)
    found, missing = find_maps(tmp_path, LENGTHS)
    assert missing == []
    assert np.abs(np.subtract(values(found["7"]), [0, 10, 20])).max() < 3
    assert values(found["231"]) == [1, 0]
    (tmp_path / "231.npz").unlink()
    (tmp_path / "231").mkdir()
    np.savez(tmp_path / "231" / "any.npz", maps=maps)
    assert values(find_maps(tmp_path, LENGTHS)[0]["231"]) == [0, 1]


def test_what_is_missing_is_listed(tmp_path):
    pictures(tmp_path / "7", ["00000.png", "00002.png"])
    found, missing = find_maps(tmp_path, LENGTHS)
    assert list(found) == ["7"]
    assert missing == ["video 7: no map of 1 of 3 frames (1)", "video 231: no maps"]
    pictures(tmp_path / "231", [])
    assert find_maps(tmp_path, LENGTHS)[1][1] == "video 231: no maps"


@pytest.mark.parametrize(
    ("first", "count", "shift"),
    [
        (5, 8, 0),  # of a video cut to 10 frames, whose first maps are missing
        (0, 11, 0),  # a map more than frames
        (1, 10, 1),
        (1, 12, 1),  # of a video cut shorter than its file
    ],
)
def test_pictures_count_from_one_only_where_there_is_a_frame_1_and_no_frame_0(tmp_path, first, count, shift):
    pictures(tmp_path / "7", [f"{first + i}.png" for i in range(count)])
    found, _ = find_maps(tmp_path, {"7": 10})
    assert sorted(found["7"].frames) == [first - shift + i for i in range(count)]


def test_the_whole_folder_decides_where_pictures_count_from(tmp_path, caplog):
    """Video 7 has a map numbered 3 for 3 frames, so the folder counts from 1, and video 8 lacks its last map.

    A map numbered 0, even of video 9, which is not evaluated, makes the folder count from 0.
    """
    pictures(tmp_path / "7", ["1.png", "2.png", "3.png"])
    pictures(tmp_path / "8", ["1.png", "2.png"])
    lengths = {"8": 3, "7": 3}
    found, missing = find_maps(tmp_path, lengths)
    assert sorted(found["8"].frames) == [0, 1]
    assert missing == ["video 8: no map of 1 of 3 frames (2)"]
    assert caplog.messages == [f"{tmp_path}: pictures of 2 videos are numbered from 1, taken so"]
    pictures(tmp_path / "9", ["0.png"])
    found, missing = find_maps(tmp_path, lengths)
    assert sorted(found["8"].frames) == [1, 2]
    assert missing == ["video 8: no map of 1 of 3 frames (0)", "video 7: no map of 1 of 3 frames (0)"]


def test_pictures_that_may_count_from_0_or_from_1_are_refused(tmp_path):
    pictures(tmp_path / "7", ["1.png", "2.png"])
    with pytest.raises(InputError, match=r"a frame 1, but no frame 0 .* may be numbered from 0 or from 1; number the"):
        find_maps(tmp_path, {"7": 3})


@pytest.mark.parametrize("index", [[5, 6, 7, 8, 9, 10], [1, 2, 3, 4, 5, 10]])
def test_a_frame_index_is_taken_at_its_word(tmp_path, index):
    np.savez(tmp_path / "7.npz", maps=np.zeros((6, 4, 5)), frame_index=np.array(index))
    assert sorted(find_maps(tmp_path, {"7": 10})[0]["7"].frames) == index


def test_beside_pictures_that_count_from_1_a_frame_index_is_taken_at_its_word(tmp_path):
    pictures(tmp_path / "7", ["1.png", "2.png", "3.png"])
    np.savez(tmp_path / "8.npz", maps=np.zeros((2, 4, 5)), frame_index=np.array([1, 2]))
    found, missing = find_maps(tmp_path, {"7": 3, "8": 3})
    assert (sorted(found["7"].frames), sorted(found["8"].frames)) == ([0, 1, 2], [1, 2])
    assert missing == ["video 8: no map of 1 of 3 frames (0)"]


def test_maps_of_one_video_in_two_places_are_refused(tmp_path):
    pictures(tmp_path / "7", ["0.png", "1.png", "2.png"])
    arrays = np.zeros((3, 4, 5))
    np.savez(tmp_path / "7.npz", maps=arrays)
    with pytest.raises(InputError, match=r"video 7 has two places, 7 and 7\.npz; remove one"):
        find_maps(tmp_path, {"7": 3})
    (tmp_path / "7.npz").rename(tmp_path / "7" / "maps.npz")
    with pytest.raises(InputError, match=r"7: expected pictures or one \.npz, found maps\.npz, 0\.png, 1\.png"):
        find_maps(tmp_path, {"7": 3})
    (tmp_path / "7" / "maps.npz").unlink()
    pictures(tmp_path / "video_007", ["0.png"])
    with pytest.raises(InputError, match="video 7 has two places, 7 and video_007; remove one"):
        find_maps(tmp_path, {"7": 3})


def test_hidden_files_are_passed_over(tmp_path):
    """macOS leaves a ._00001.png beside each 00001.png on foreign disks."""
    pictures(tmp_path / "7", ["0.png", "1.png", "2.png"])
    for name in ("7/._0.png", "7/._1.png", "7/.maps.npz", "._7.npz", ".7.npz"):
        (tmp_path / name).write_bytes(b"no picture")
    found, missing = find_maps(tmp_path, {"7": 3})
    assert missing == []
    assert values(found["7"]) == [0, 10, 20]


def test_a_folder_without_maps_says_what_is_taken(tmp_path):
    (tmp_path / "7").mkdir()
    for name in ("frame_a.png", "0.tiff"):
        (tmp_path / "7" / name).write_bytes(b"")
    expected = r"7: has no maps; expected \.png, \.jpg, \.jpeg whose names end in .* found 0\.tiff, frame_a\.png"
    with pytest.raises(InputError, match=expected):
        find_maps(tmp_path, {"7": 3})


def test_a_stamp_changes_with_the_files(tmp_path):
    pictures(tmp_path / "7", ["0.png", "1.png", "2.png"])
    stamp = find_maps(tmp_path, LENGTHS)[0]["7"].stamp()
    assert find_maps(tmp_path, LENGTHS)[0]["7"].stamp() == stamp
    cv2.imwrite(str(tmp_path / "7" / "1.png"), np.random.default_rng(0).integers(0, 255, (18, 32)))
    assert find_maps(tmp_path, LENGTHS)[0]["7"].stamp() != stamp


def _array(name: str = "maps", array=None, **more):
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.zeros((3, 4, 5)) if array is None else array}, **more)
    return buffer.getvalue()


def _huge() -> bytes:
    """A few bytes that say they are 10 GB of maps."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("maps.npy", "w") as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2500, 1000, 1000)}
        np.lib.format.write_array_header_1_0(member, header)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "damaged or not an .npz"),
        (_array()[:120], "damaged or not an .npz"),
        (_array("map"), "expected maps .* found map"),
        (_array(array=np.zeros((4, 5))), r"found float64 of shape \(4, 5\)"),
        (_array(array=np.zeros((3, 0, 5))), r"found float64 of shape \(3, 0, 5\)"),
        (_array(array=np.zeros((3, 4, 5), complex)), "found complex128"),
        (_array(array=np.array([[[{}]]], object)), "no array of numbers"),
        (_array(frame_index=np.arange(2)), "frame_index to name the frame of each of the 3 maps"),
        (_array(frame_index=np.zeros(3, int)), "frame_index to name the frame of each of the 3 maps"),
        (_array(frame_index=np.zeros(3)), "frame_index to name the frame of each of the 3 maps"),
        (_huge(), "shorter than its shape"),
    ],
    ids=[
        "text",
        "cut",
        "name",
        "2d",
        "empty",
        "complex",
        "object",
        "index-short",
        "index-twice",
        "index-float",
        "huge",
    ],
)
def test_arrays_that_are_none(tmp_path, content, message):
    (tmp_path / "7.npz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        find_maps(tmp_path, {"7": 3})[0]["7"].open()


def test_folders_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match="none: expected a folder of maps"):
        find_maps(tmp_path / "none", LENGTHS)
    pictures(tmp_path / "8", ["0.png"])
    with pytest.raises(InputError, match="no maps of any of the 2 videos; expected 7, 231, found 8"):
        find_maps(tmp_path, LENGTHS)
    pictures(tmp_path / "7", ["0.png", "00.png"])
    with pytest.raises(InputError, match=r"frame 0 has two maps, 0\.png and 00\.png"):
        find_maps(tmp_path, LENGTHS)


def test_a_damaged_picture(tmp_path):
    pictures(tmp_path / "7", ["0.png", "1.png", "2.png"])
    (tmp_path / "7" / "1.png").write_bytes(b"nothing")
    read = find_maps(tmp_path, {"7": 3})[0]["7"].open()
    with pytest.raises(InputError, match=r"1\.png: expected a PNG or JPEG picture"):
        read(1)
