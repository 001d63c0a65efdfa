"""`predict.py --faces ... --explain ...` as a person uses it, with both kinds of weights."""

import csv
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import vasal_jax
from tests.commands.test_predict_bad_input import refusal
from tests.helpers import face_videos
from tests.helpers.media import write_wav
from tests.helpers.models import narrow_model, weighing_model
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.config import MVVA_GRID
from vasal_jax.inputs.faces import detection
from vasal_jax.inputs.faces.tracks import load_tracks
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.outputs.explanation import CHART_HEIGHT, CSV_HEADER, colour_of
from vasal_jax.size import Size
from vasal_jax.system.terminal import run

N = 14  # frames: two clips
SIZE = face_videos.SIZE


@pytest.fixture(scope="module")
def weighing(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    vasal_jax.save(weighing_model(), path)
    return path


@pytest.fixture
def video(tmp_path) -> Path:
    return face_videos.write_talkers(tmp_path / "v.mkv", N)


@pytest.fixture
def told(monkeypatch) -> None:
    """In place of YuNet: finds the bright squares."""

    def detect(image):
        marks = (image.min(-1) > 150).astype(np.uint8)
        contours, _ = cv2.findContours(marks, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rectangles = np.reshape([cv2.boundingRect(contour) for contour in contours], (-1, 4))
        height, width = image.shape[:2]
        corners = np.concatenate([rectangles[:, :2], rectangles[:, :2] + rectangles[:, 2:]], axis=1)
        return corners / (width, height, width, height), np.full(len(corners), 0.99)

    monkeypatch.setitem(detection.DETECTORS, "yunet", lambda: detect)


def command(video: Path, **options) -> int:
    return run(lambda: predict(PredictArgs(video, **options)))


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_maps(path: Path) -> np.ndarray:
    with np.load(path) as file:
        return file["maps"]


def test_faces_found_weighed_and_explained(video, tmp_path, capfd, weighing, told):
    out = tmp_path / "out"
    out.mkdir()
    explain, tracks = out / "e.mp4", out / "t.npy"
    assert command(video, weights=weighing, explain=explain, save_tracks=tracks, maps=out / "m.npz") == 0
    assert sorted(path.name for path in out.iterdir()) == ["e.csv", "e.mp4", "m.npz", "t.npy"]
    printed = capfd.readouterr()
    assert printed.out.splitlines() == [f"wrote {path}" for path in (tracks, out / "m.npz", explain, out / "e.csv")]
    (line,) = printed.err.splitlines()  # one pass, one bar
    assert f"{N}/{N}" in line

    boxes, mask = load_tracks(tracks, SIZE)
    truth = face_videos.boxes_of(face_videos.paths(N))
    order = boxes[0, :, 0].argsort()
    assert mask.all()
    np.testing.assert_allclose(boxes[:, order], truth, atol=0.02)

    table = read_table(out / "e.csv")
    assert tuple(table[0]) == CSV_HEADER
    assert len(table) == N * 3
    stream = vasal_jax.stream(vasal_jax.load(weighing), video, faces=(boxes, mask))
    for frame in stream:
        rows = table[3 * frame.index : 3 * frame.index + 3]
        assert [row["frame"] for row in rows] == [str(frame.index)] * 3
        assert [row["track"] for row in rows] == ["0", "1", "none"]
        assert abs(sum(float(row["weight"]) for row in rows) - 1) < 1e-5
        faces = frame.faces
        for row, weight, talking, box in zip(rows[:2], faces.weights, faces.talking, faces.boxes, strict=True):
            assert abs(float(row["weight"]) - weight) < 1e-3
            assert abs(float(row["talking_probability"]) - talking) < 1e-3
            sides = [float(row[name]) for name in ("x1", "y1", "x2", "y2")]
            np.testing.assert_allclose(sides, box * ((SIZE.width, SIZE.height) * 2), atol=0.06)

    shown = list(read_frames(explain))
    assert [frame.time for frame in shown] == [frame.time for frame in read_frames(video)]
    assert shown[0].image.shape == (4 * face_videos.HEIGHT + CHART_HEIGHT, 640, 3)
    assert probe(explain).has_sound
    last = shown[-1].image.astype(int)
    inks = [np.abs(last - colour_of(track)).max(-1) < 45 for track in (0, 1)]  # through the encoder
    for ink, box in zip(inks, boxes[-1], strict=True):
        x1, y1, x2, _ = box * (639, 383, 639, 383)
        assert ink[round(y1) - 1 : round(y1) + 2, round(x1) : round(x2)].mean() > 0.3
    assert sum(ink[4 * face_videos.HEIGHT :].sum() for ink in inks) > 10  # one line may hide the other


def test_auto_for_weights_without_a_face_branch(tmp_path, told):
    """As the tracks it finds, drawn with equal weights."""
    video = face_videos.write_talkers(tmp_path / "v.mkv", 6)
    assert command(video, maps=tmp_path / "a.npz", save_tracks=tmp_path / "t.npy") == 0
    assert command(video, faces=str(tmp_path / "t.npy"), maps=tmp_path / "b.npz") == 0
    np.testing.assert_allclose(read_maps(tmp_path / "a.npz"), read_maps(tmp_path / "b.npz"), rtol=1e-4)
    assert command(video, faces="none", maps=tmp_path / "c.npz") == 0
    assert np.abs(read_maps(tmp_path / "a.npz") - read_maps(tmp_path / "c.npz")).max() > 1e-6


def test_tracks_alone_need_no_prediction(video, tmp_path, capfd, told):
    assert command(video, save_tracks=tmp_path / "t.npy", tracks_size=Size(720, 1280)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.npy", "v.mkv"]
    printed = capfd.readouterr()
    assert printed.out == f"wrote {tmp_path / 't.npy'}\n"
    assert "finding faces" in printed.err
    boxes, _ = load_tracks(tmp_path / "t.npy", MVVA_GRID)
    order = boxes[0, :, 0].argsort()
    np.testing.assert_allclose(boxes[:, order], face_videos.boxes_of(face_videos.paths(N)), atol=0.02)
    assert np.load(tmp_path / "t.npy").max() > face_videos.WIDTH


def test_tracks_on_mvva_s_grid(tmp_path, capfd, weighing):
    video = face_videos.write_talkers(tmp_path / "v.mkv", 6)
    tracks, grid = (
        face_videos.write_tracks(tmp_path / "t.npy", 6),
        face_videos.write_tracks(tmp_path / "g.npy", 6, SIZE),
    )
    options = {"weights": weighing, "memory": "reset/12"}
    assert command(video, faces=str(tracks), tracks_size=Size(720, 1280), maps=tmp_path / "a.npz", **options) == 0
    assert "outside" not in capfd.readouterr().err
    assert command(video, faces=str(grid), maps=tmp_path / "b.npz", **options) == 0
    np.testing.assert_allclose(read_maps(tmp_path / "a.npz"), read_maps(tmp_path / "b.npz"), atol=1e-3)
    assert command(video, faces=str(tracks), maps=tmp_path / "c.npz", **options) == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if "outside 160x96" in line]
    assert len(lines) == 1
    assert "--tracks-size 1280x720" in lines[0]


def test_tracks_that_end_early_and_a_crowd(video, tmp_path, capfd, weighing):
    crowd = np.tile(np.linspace(0, 60, 20)[:, None], (10, 1, 4))
    crowd[..., 2:] += 20 + np.arange(20)[:, None]  # from small to large
    np.save(tmp_path / "t.npy", crowd)
    assert command(video, weights=weighing, faces=str(tmp_path / "t.npy"), explain=tmp_path / "e.mp4") == 0
    lines = capfd.readouterr().err.splitlines()
    assert sum(f"face tracks for 10 of {N} frames" in line for line in lines) == 1
    assert sum("10 of 10 frames have more than 16 faces; the largest are kept" in line for line in lines) == 1
    table = read_table(tmp_path / "e.csv")
    counts = np.bincount([int(row["frame"]) for row in table])
    assert counts.tolist() == [17] * 10 + [1] * (N - 10)
    assert {row["column"] for row in table} - {""} == {str(column) for column in range(4, 20)}
    assert [row["weight"] for row in table[-4:]] == ["1.000000"] * 4


def test_no_faces_for_a_face_branch_are_remarked_on(video, tmp_path, capfd, weighing):
    assert command(video, weights=weighing, faces="none", maps=tmp_path / "m.npz") == 0
    assert "these weights weigh faces and are given none" in capfd.readouterr().err


def _maps_folder(folder: Path) -> str:
    (folder / "maps").mkdir()
    cv2.imwrite(str(folder / "maps" / "0.png"), np.eye(32, dtype=np.uint8))
    return str(folder / "maps")


def test_refused(video, tmp_path, capfd, weighing, monkeypatch):
    maps, tracks = _maps_folder(tmp_path), str(face_videos.write_tracks(tmp_path / "t.npy", N, SIZE))
    (tmp_path / "e.csv").mkdir()
    narrow, out = tmp_path / "narrow.safetensors", {"explain": tmp_path / "x.mp4"}
    vasal_jax.save(narrow_model(), narrow)
    for message, options in (
        ("makes its own and needs the boxes", {"weights": weighing, "faces": maps}),
        ("needs face tracks, found the folder", {"weights": weighing, "faces": maps, **out}),
        ("needs face tracks, found the folder", {"faces": maps, "save_tracks": tmp_path / "o.npy"}),
        ("which these weights lack", {"weights": narrow, "faces": tracks, **out}),
        ("--explain needs faces", {"weights": weighing, "faces": "none", **out}),
        ("--save-tracks needs faces", {"faces": "none", "save_tracks": tmp_path / "o.npy"}),
        ("ends in .npy", {"faces": tracks, "save_tracks": tmp_path / "o.txt"}),
        ("is an input or another output", {"faces": tracks, "save_tracks": tmp_path / "t.npy"}),
        ("is a folder", {"weights": weighing, "faces": tracks, "explain": tmp_path / "e.mp4"}),
        ("expected a name in .mp4", {"weights": weighing, "faces": tracks, "explain": tmp_path / "e.avi"}),
        ("as in 1280x720, found 0x5", {"faces": tracks, "tracks_size": Size(5, 0)}),
        ("--tracks-size is about", {"tracks_size": Size(720, 1280)}),
        ("no such file", {"weights": weighing, "faces": str(tmp_path / "none.npy")}),
    ):
        assert message in refusal(capfd, video, **options), options
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    assert 'pip install "vasal-jax[faces]"' in refusal(capfd, video, detector="mtcnn")


def test_a_failure_leaves_neither_video_nor_table(video, tmp_path, capfd, weighing):
    tracks = str(face_videos.write_tracks(tmp_path / "t.npy", N, SIZE))
    write_wav(tmp_path / "s.wav", np.zeros(100))
    (tmp_path / "s.wav").write_bytes(b"RIFF")
    options = {"weights": weighing, "faces": tracks, "explain": tmp_path / "e.mp4", "sound": tmp_path / "s.wav"}
    assert "not a video or sound file" in refusal(capfd, video, **options)
