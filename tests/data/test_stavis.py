"""A small dataset in the STAViS layout, written and read back."""

import io
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from data.stavis import fold_lists, read_fixation_map, read_fold
from tests.helpers.media import write_wav
from vasal_jax.errors import InputError

FRAMES, FRAME_SHAPE, GRID = 4, (36, 64), (72, 128)


def truth(video: str):
    """Fixated cells (F, 3, 2) as x, y; a grey level for each frame's picture and map."""
    rng = np.random.default_rng(zlib.crc32(video.encode()))
    points = np.stack([rng.permutation(128)[:12].reshape(4, 3), rng.permutation(72)[:12].reshape(4, 3)], -1)
    return points, rng.integers(40, 200, FRAMES), rng.integers(40, 200, FRAMES)


def write_dataset(root, dataset, videos):
    for video in videos:
        points, shades, densities = truth(video)
        frames, annotations = root / "video_frames" / dataset / video, root / "annotations" / dataset / video
        sound = root / "video_audio" / dataset / video
        for folder in (frames, annotations / "maps", sound, root / "fold_lists"):
            folder.mkdir(parents=True, exist_ok=True)
        for index in range(FRAMES):
            picture = np.zeros((*FRAME_SHAPE, 3), np.uint8)
            picture[..., 2] = shades[index]  # BGR: red
            cv2.imwrite(str(frames / f"img_{index + 1:05d}.jpg"), picture)
            density = np.full(GRID, densities[index], np.uint8)
            cv2.imwrite(str(annotations / "maps" / f"eyeMap_{index + 1:05d}.jpg"), density)
            fixations = np.zeros(GRID, np.uint8)
            fixations[points[index, :, 1], points[index, :, 0]] = 1
            savemat(annotations / f"fixMap_{index + 1:05d}.mat", {"eyeMap": fixations}, do_compression=True)
        write_wav(sound / f"{video}.wav", 0.3 * np.sin(np.arange(4000) / 5))


def write_list(root, name, *lines):
    path = root / "fold_lists" / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("dataset", ["AVAD", "Coutrot_db1", "Coutrot_db2", "DIEM", "ETMD_av", "SumMe", "mvva"])
def test_every_dataset_comes_back_as_written(tmp_path, dataset):
    write_dataset(tmp_path, dataset, ["clip_1", "other clip"])
    write_list(tmp_path, f"{dataset}_list_train_1_fps.txt", f"clip_1 {FRAMES} 25")
    write_list(tmp_path, f"{dataset}_list_test_1_fps.txt", f"other clip {FRAMES} 29.97")
    lists = fold_lists(tmp_path, dataset)
    assert set(lists) == {"train_1", "test_1"}
    for name, video, fps in (("train_1", "clip_1", 25), ("test_1", "other clip", 29.97)):
        fold = read_fold(tmp_path, dataset, lists[name], progress=False)
        assert fold.problems == ()
        (record,) = fold.records
        assert (record.dataset, record.id, record.fps) == (dataset, video, fps)
        assert (record.n_frames, record.width, record.height, record.grid) == (FRAMES, 64, 36, GRID)
        assert record.sound.name == f"{video}.wav"
        assert not record.knows_subjects
        points, shades, densities = truth(video)
        read = record.fixations()
        assert read.shape == (FRAMES, 3, 2)
        for index, frame in enumerate(record.frames()):
            assert {tuple(xy) for xy in read[index]} == {tuple(xy) for xy in points[index]}
            assert frame.time == pytest.approx(index / fps)
            assert frame.image.shape == (*FRAME_SHAPE, 3)
            assert np.abs(frame.image.astype(int) - (int(shades[index]), 0, 0)).max() <= 3
            assert np.abs(record.density_picture(index).astype(int) - densities[index]).max() <= 1
        assert index == FRAMES - 1
        assert record.tracks() is None


def test_frames_with_fewer_fixations_are_padded(tmp_path):
    write_dataset(tmp_path, "DIEM", ["a"])
    savemat(tmp_path / "annotations/DIEM/a/fixMap_00002.mat", {"eyeMap": np.zeros(GRID)})
    (record,) = read_fold(tmp_path, "DIEM", write_list(tmp_path, "l.txt", "a"), progress=False).records
    assert np.isnan(record.fixations()).all((1, 2)).tolist() == [False, True, False, False]


def test_lengths_and_frame_rate_are_mended_and_said(tmp_path, caplog):
    write_dataset(tmp_path, "SumMe", ["long", "gap", "bare"])
    (tmp_path / "video_frames/SumMe/gap/img_00003.jpg").unlink()
    fold = write_list(tmp_path, "l.txt", "long 3 25", "gap 4 25", "bare")
    dataset = read_fold(tmp_path, "SumMe", fold, progress=False)
    assert [record.n_frames for record in dataset.records] == [3, 2, 4]
    assert dataset.records[2].fps == 25
    assert [(p.video, p.kind) for p in dataset.problems] == [
        ("long", "lengths differ"), ("gap", "lengths differ"), ("bare", "no frame rate"),
    ]  # fmt: skip
    assert "cut to 2 frames, found frames 2, maps 4, fixMaps 4, list 4" in caplog.text


def test_bad_videos_are_left_out_with_a_line_each(tmp_path, caplog):
    write_dataset(tmp_path, "AVAD", ["good", "mute", "broken", "nomat", "picture"])
    (tmp_path / "video_audio/AVAD/mute/mute.wav").unlink()
    (tmp_path / "annotations/AVAD/broken/fixMap_00001.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    for path in (tmp_path / "annotations/AVAD/nomat").glob("*.mat"):
        path.unlink()
    (tmp_path / "video_frames/AVAD/picture/img_00001.jpg").write_bytes(b"no picture")
    bad = {
        "mute": "mute.wav", "broken": "fixMap_00001.mat", "nomat": "fixMaps 0", "picture": "img_00001.jpg",
        "absent": "frames 0", "../AVAD/good": "expected the name of a video",
    }  # fmt: skip
    fold = write_list(tmp_path, "l.txt", *[f"{video} 4 25" for video in ["good", *bad]])
    dataset = read_fold(tmp_path, "AVAD", fold, progress=False)
    assert [record.id for record in dataset.records] == ["good"]
    lines = [record.getMessage() for record in caplog.records]
    for video, field in bad.items():
        (line,) = (line for line in lines if line.startswith(f"video {video} left out: "))
        assert field in line
        assert "\n" not in line
    assert lines[-1] == f"{fold}: 6 of 7 videos left out"
    with pytest.raises(InputError, match="expected usable videos of AVAD, found none"):
        read_fold(tmp_path, "AVAD", write_list(tmp_path, "m.txt", "mute 4 25"), progress=False)


@pytest.mark.parametrize(
    "variables",
    [{"other": np.zeros((4, 4))}, {"eyeMap": np.zeros((2, 2, 2))}, {"eyeMap": "text"},
     {"eyeMap": np.array([[1, "a"]], object)}, {"eyeMap": {"field": 1}}],
)  # fmt: skip
def test_other_matlab_files_are_refused(tmp_path, variables):
    savemat(tmp_path / "fixMap.mat", variables)
    with pytest.raises(InputError, match=r"fixMap\.mat: expected a fixation map \(variable eyeMap"):
        read_fixation_map(tmp_path / "fixMap.mat")


def test_compressed_promise_of_a_huge_map_is_refused(tmp_path):
    buffer = io.BytesIO()
    savemat(buffer, {"eyeMap": np.zeros((8192, 8192), np.uint8)}, do_compression=True)
    (tmp_path / "a.mat").write_bytes(buffer.getvalue())
    assert (tmp_path / "a.mat").stat().st_size < 100_000
    with pytest.raises(InputError, match="found uint8 8192x8192"):
        read_fixation_map(tmp_path / "a.mat")


def test_missing_things(tmp_path):
    with pytest.raises(InputError, match=r"none\.mat"):
        read_fixation_map(tmp_path / "none.mat")
    with pytest.raises(InputError, match="expected fold lists such as DIEM_list_train_1_fps"):
        fold_lists(tmp_path, "DIEM")
    with pytest.raises(InputError, match=r"none\.txt"):
        read_fold(tmp_path, "DIEM", tmp_path / "none.txt", progress=False)


def write_v73(path: Path, write: Callable[[h5py.File], object]) -> Path:
    """A file as MATLAB saves it with -v7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        write(file)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")
    return path


def test_maps_that_matlab_saved_with_v73(tmp_path):
    fixations = np.zeros(GRID, np.uint8)
    fixations[3, 7] = fixations[71, 127] = 1
    path = write_v73(tmp_path / "a.mat", lambda file: file.create_dataset("eyeMap", data=fixations.T))
    np.testing.assert_array_equal(read_fixation_map(path), fixations == 1)
    path = write_v73(
        tmp_path / "b.mat", lambda file: file.create_dataset("eyeMap", data=fixations.T.astype(float), compression=4)
    )
    np.testing.assert_array_equal(read_fixation_map(path), fixations == 1)


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda file: file.create_dataset("map", data=np.zeros((4, 4))), "found no eyeMap"),
        (lambda file: file.create_group("eyeMap"), "found no eyeMap"),
        (lambda file: file.create_dataset("eyeMap", data=np.zeros(4)), "found float64 4"),
        (lambda file: file.create_dataset("eyeMap", (10**6, 10**6), np.uint8), "found uint8 1000000x1000000"),
        (lambda file: file.create_dataset("eyeMap", (8, 8), np.uint8, chunks=(8000, 8000), maxshape=(None, None)),
         "found uint8 8x8"),
        (lambda file: file.create_dataset("eyeMap", (8, 8), np.uint8, external=[("/etc/passwd", 0, 64)]),
         "values are in another file"),
        (lambda file: file.__setitem__("eyeMap", h5py.ExternalLink("other.h5", "eyeMap")), "found no eyeMap"),
        (lambda file: file.__setitem__("eyeMap", h5py.SoftLink("/eyeMap")), "found no eyeMap"),
    ],
)  # fmt: skip
def test_v73_files_with_something_else_are_refused(tmp_path, write, found):
    path = write_v73(tmp_path / "a.mat", write)
    with pytest.raises(InputError, match=rf"a\.mat: expected a fixation map .*{found}"):
        read_fixation_map(path)


def test_v73_files_that_are_cut_short_or_cannot_be_read(tmp_path, monkeypatch):
    path = write_v73(tmp_path / "a.mat", lambda file: file.create_dataset("eyeMap", data=np.ones((90, 60))))
    whole = path.read_bytes()
    for length in (600, 1500, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.mat: expected a fixation map"):
            read_fixation_map(path)
    path.write_bytes(whole)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"a\.mat: was saved by MATLAB with -v7\.3, .*or save it with save"):
        read_fixation_map(path)
