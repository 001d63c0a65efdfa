"""A small MVVA release with the faults of the real one, written in both layouts and read back."""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from data import mvva, mvva_files
from data.mvva_files import MvvaVideo, find_videos, saliency_path, saliency_picture
from tests.helpers.flashes import restamped, with_edit_list, write_flash
from tests.helpers.media import write_video, write_wav
from vasal_jax.inputs.fixations import fixation_density

FRAMES, SUBJECTS, FACES = 8, 5, 3
TONE = 0.3 * np.sin(np.arange(8000) / 5)
LAYOUTS = {
    # folders of videos, sounds, fixations, tracks, talking; how an ID is spelled
    "part 1 and part 2": (
        "mvva_database_v1/our_database_video/raw_videos",
        "mvva_database_v1/our_database_video/raw_audios",
        "mvva_database_v1/all_videos_all_frames_fixation",
        "part2/Face_Tracking",
        "part2/Face_Talking",
        "{:03d}",
    ),
    "sound beside": ("videos", "videos", "fixation", "face_track", "face_talking", "{}"),
}


class Release:
    """Writes one; every array follows from the ID, so the tests know what must come back."""

    def __init__(self, root: Path, layout: str):
        self.root = root
        *folders, self.spelling = LAYOUTS[layout]
        self.videos, self.sounds, self.fixation_folder, self.track_folder, self.talk_folder = (
            root / folder for folder in folders
        )
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)

    def name(self, number: int) -> str:
        return self.spelling.format(number)

    def arrays(self, number: int, frames: int = FRAMES):
        rng = np.random.default_rng(number)
        fixations = rng.uniform((0, 0), (1280, 720), (frames, SUBJECTS, 2)).transpose(0, 2, 1)
        corners = rng.uniform((0, 0), (1100, 600), (frames, FACES, 2))
        tracks = np.concatenate([corners, corners + rng.uniform(20, 100, corners.shape)], -1)
        return fixations, tracks, (rng.random((FACES, frames)) < 0.5).astype(float)

    def add(self, number, frames=FRAMES, suffix=".avi", wav=True, rate=25, own_sound=False, fixations=None,
            tracks=None, talking=None):  # fmt: skip
        sound = {"sound": TONE, "sound_codec": "aac"} if own_sound else {}
        write_video(self.videos / f"{self.name(number)}{suffix}", frames, rate=rate, **sound)
        if wav:
            write_wav(self.sounds / f"{self.name(number)}.wav", TONE)
        usual = self.arrays(number)
        self.save(self.fixation_folder, number, usual[0] if fixations is None else fixations)
        self.save(self.track_folder, number, usual[1] if tracks is None else tracks)
        self.save(self.talk_folder, number, usual[2] if talking is None else talking)

    def save(self, folder: Path, number: int, array) -> Path:
        # Annotations are spelled the other way round than the videos.
        path = folder / (f"{number}.npy" if self.spelling != "{}" else f"{number:03d}.npy")
        np.save(path, array, allow_pickle=True)
        return path


def objects(items) -> np.ndarray:
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def boxes_of(tracks: np.ndarray) -> np.ndarray:
    return (tracks / (1280, 720, 1280, 720)).astype(np.float32)


@pytest.fixture(params=LAYOUTS)
def release(request, tmp_path):
    return Release(tmp_path, request.param)


def kinds(dataset, video: int) -> dict[str, bool]:
    return {problem.kind: problem.left_out for problem in dataset.problems if problem.video == str(video)}


def read(release):
    return mvva.read_release(release.root, progress=False)


def test_clean_videos_come_back_as_written(release):
    release.add(77)
    release.add(5, suffix=".mp4", wav=False, own_sound=True, rate=30)
    dataset, totals = read(release)
    assert dataset.found == 2
    assert dataset.problems == ()
    assert [record.id for record in dataset.records] == ["5", "77"]
    five, seventy_seven = dataset.records
    assert five.sound == five.video
    assert five.video.suffix == ".mp4"
    assert seventy_seven.sound == release.sounds / f"{release.name(77)}.wav"
    assert (five.fps, seventy_seven.fps) == (30, 25)
    for record in dataset.records:
        fixations, tracks, talking = release.arrays(int(record.id))
        assert (record.n_frames, record.width, record.height, record.grid) == (FRAMES, 64, 48, (720, 1280))
        np.testing.assert_allclose(record.fixations(), fixations.transpose(0, 2, 1), rtol=1e-6)
        boxes, mask = record.tracks()
        np.testing.assert_allclose(boxes, boxes_of(tracks), atol=1e-6)
        assert mask.all()
        np.testing.assert_array_equal(record.talking(), talking == 1)
        frames = list(record.frames())
        assert [frame.index for frame in frames] == list(range(FRAMES))
        assert frames[0].image.shape == (48, 64, 3)
    assert totals.frames == 2 * FRAMES
    assert totals.seconds == pytest.approx(FRAMES / 30 + FRAMES / 25)
    assert (totals.fixations, totals.dropped, totals.faces) == (2 * FRAMES * SUBJECTS, 0, 2 * FRAMES * FACES)
    assert totals.talking == sum(release.arrays(number)[2].sum() for number in (5, 77))


def test_records_travel_to_other_processes(release):
    release.add(3)
    (record,) = read(release)[0].records
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301


def test_ragged_and_object_arrays(release):
    fixations, tracks, talking = release.arrays(1)
    fewer = tracks[0, :1].tolist()
    release.add(
        1,
        fixations=fixations.astype(object),
        tracks=objects([fewer, np.empty((0, 4)), None, *tracks[3:]]),
        talking=objects([talking[0], talking[1].tolist(), talking[2][:-2]]),
    )
    release.add(2, fixations=objects([fixations[0][:, :2], [[], []], None, *fixations[3:]]))
    dataset, totals = read(release)
    one, two = dataset.records
    np.testing.assert_allclose(one.fixations(), fixations.transpose(0, 2, 1)[:6], rtol=1e-6)
    boxes, mask = one.tracks()
    assert mask.tolist() == [[True, False, False], [False] * 3, [False] * 3] + [[True] * 3] * 3
    np.testing.assert_allclose(boxes[0, 0], boxes_of(tracks)[0, 0], atol=1e-6)
    assert one.n_frames == 6  # one row of flags is two frames shorter
    np.testing.assert_array_equal(one.talking(), talking[:, :6] == 1)
    points = two.fixations()
    np.testing.assert_allclose(points[0, :2], fixations[0][:, :2].T, rtol=1e-6)
    assert np.isnan(points[0, 2:]).all()
    assert np.isnan(points[1:3]).all()
    assert totals.dropped == 0
    assert kinds(dataset, 1) == {"lengths differ": False}
    assert kinds(dataset, 2) == {}


def test_lengths_are_cut_to_the_shortest_and_said(release, caplog):
    release.add(1, frames=6)
    release.add(2, frames=12)
    dataset, _ = read(release)
    assert [record.n_frames for record in dataset.records] == [6, FRAMES]
    one, two = dataset.records
    assert one.fixations().shape[0] == one.tracks()[1].shape[0] == one.talking().shape[1] == 6
    assert len(list(two.frames())) == FRAMES
    lines = [record.getMessage() for record in caplog.records]
    assert any(f"{one.video}: cut to 6 frames" in line and "fixations 8" in line for line in lines)


def test_invalid_fixations_are_dropped_and_counted(release):
    fixations, _, _ = release.arrays(1)
    fixations[0, 0, 0] = np.nan
    fixations[1, 1, 2] = -3
    fixations[2, 0, 1] = 1280
    fixations[3, 1, 1] = 5000
    fixations[4, :, 4] = np.inf
    release.add(1, fixations=fixations)
    dataset, totals = read(release)
    points = dataset.records[0].fixations()
    lost = np.argwhere(np.isnan(points[..., 0])).tolist()
    assert lost == [[0, 0], [1, 2], [2, 1], [3, 1], [4, 4]]
    assert np.isnan(points[..., 1]).sum() == 5
    assert (totals.fixations, totals.dropped) == (FRAMES * SUBJECTS - 5, 5)
    assert kinds(dataset, 1) == {"invalid fixations": False}


def test_nan_boxes_and_boxes_outside_the_frame(release, caplog):
    _, tracks, _ = release.arrays(1)
    tracks[0, 0] = np.nan  # nobody there
    tracks[1, 1, 2] = np.nan  # a damaged box
    tracks[2, 2] = (1300, 10, 1400, 90)  # outside
    tracks[3, 0] = (-50, -20, 100, 100)  # partly outside: clipped
    release.add(1, tracks=tracks)
    dataset, totals = read(release)
    boxes, mask = dataset.records[0].tracks()
    assert np.argwhere(~mask).tolist() == [[0, 0], [1, 1], [2, 2]]
    np.testing.assert_allclose(boxes[3, 0], (0, 0, 100 / 1280, 100 / 720), atol=1e-6)
    assert np.isfinite(boxes).all()
    assert totals.faces == FRAMES * FACES - 3
    assert kinds(dataset, 1) == {"invalid face boxes": False}
    assert any("1.npy: 2 of" in record.getMessage() for record in caplog.records)


def test_more_and_fewer_rows_of_flags_than_faces(release):
    _, tracks, talking = release.arrays(1)
    release.add(1, talking=talking[:2])
    release.add(2, tracks=tracks[:, :1], talking=talking)
    dataset, _ = read(release)
    one, two = dataset.records
    np.testing.assert_array_equal(one.talking(), np.concatenate([talking[:2], 0 * talking[:1]]) == 1)
    np.testing.assert_array_equal(two.talking(), talking[:1] == 1)
    assert one.talking_known().tolist() == [[True] * FRAMES, [True] * FRAMES, [False] * FRAMES]
    assert two.talking_known().all()
    assert kinds(dataset, 1) == kinds(dataset, 2) == {"face counts differ": False}


def test_boxes_are_judged_where_their_flags_are_known(release):
    talking = release.arrays(1)[2]
    release.add(1, talking=talking[:2])
    _, totals = read(release)
    assert totals.faces == FRAMES * FACES
    assert totals.judged == FRAMES * 2
    assert totals.talking == talking[:2].sum()


@pytest.mark.parametrize("last", [2, 0.5, -1, np.nan])
def test_flags_that_are_neither_0_nor_1_are_unknown(release, last):
    _, _, talking = release.arrays(1)
    talking[1, 3:5] = last
    release.add(1, talking=talking)
    dataset, _ = read(release)
    (record,) = dataset.records
    assert np.argwhere(~record.talking_known()).tolist() == [[1, 3], [1, 4]]
    assert not record.talking()[1, 3:5].any()
    assert kinds(dataset, 1) == {"flags unknown": False}
    assert dataset.problems[0].message.endswith("2 of 24 flags are neither 0 nor 1, and unknown")


def test_flags_of_255_are_talking_and_that_is_said(release):
    _, _, talking = release.arrays(1)
    release.add(1, talking=(255 * talking).astype(np.uint8))
    dataset, _ = read(release)
    np.testing.assert_array_equal(dataset.records[0].talking(), talking == 1)
    assert dataset.records[0].talking_known().all()
    assert kinds(dataset, 1) == {"flags of 255": False}


def test_gaze_at_the_origin_is_no_gaze(release):
    fixations, _, _ = release.arrays(1)
    fixations[2:7, :, 1] = 0
    release.add(1, fixations=fixations)
    dataset, totals = read(release)
    assert np.argwhere(np.isnan(dataset.records[0].fixations()[..., 0])).tolist() == [[f, 1] for f in range(2, 7)]
    assert (totals.fixations, totals.dropped) == (FRAMES * SUBJECTS - 5, 5)
    assert kinds(dataset, 1) == {"gaze at (0, 0)": False}


def test_arrays_that_mean_something_else_are_named_and_left_out(release):
    """None of them has a shape or values that no array of MVVA could have."""
    fixations, tracks, talking = release.arrays(0, 30)
    shares = fixations / np.array([1280, 720])[:, None]
    wrong = {
        2: ("unreadable fixations", {"fixations": shares}, "within 0..1; multiply x by 1280 and y by 720"),
        3: ("unreadable fixations", {"fixations": fixations[:, ::-1]}, "swap them"),
        4: ("fixations transposed", {"fixations": fixations.transpose(2, 1, 0)}, "found 5 frames of 30"),
        5: ("tracks transposed", {"tracks": tracks.transpose(1, 0, 2)}, "found 3 frames of 30"),
        6: ("talking transposed", {"talking": talking.T}, "found 3 frames of 30"),
        7: ("boxes not in pixels", {"tracks": tracks / (1280, 720, 1280, 720)}, "within 0..1"),
        8: ("unreadable fixations", {"fixations": fixations.transpose(0, 2, 1)}, "expected fixations of shape"),
    }
    good = dict(zip(("fixations", "tracks", "talking"), (fixations, tracks, talking), strict=True))
    release.add(1, frames=30, **good)
    for number, (_, arrays, _) in wrong.items():
        release.add(number, frames=30, **good | arrays)
    dataset, _ = read(release)
    assert [record.id for record in dataset.records] == ["1"]
    for number, (kind, _, words) in wrong.items():
        (problem,) = (problem for problem in dataset.problems if problem.video == str(number))
        assert (problem.kind, problem.left_out) == (kind, True), number
        assert words in problem.message


@pytest.mark.parametrize(
    "tracks",
    [np.full((FRAMES, FACES, 4), np.nan), np.zeros((FRAMES, FACES, 4)), np.zeros((FRAMES, 0, 4)),
     objects([[]] * FRAMES), np.zeros((0, 3, 4)), objects([])],
    ids=["NaN", "zeros", "no column", "empty lists", "no frame", "nothing"],
)  # fmt: skip
def test_a_video_without_faces_stays_in(release, tracks):
    release.add(1, tracks=tracks)
    dataset, totals = read(release)
    (record,) = dataset.records
    assert record.n_frames == FRAMES
    assert record.tracks() is None or not record.tracks()[1].any()
    assert kinds(dataset, 1)["no faces"] is False
    assert (totals.frames, totals.faces) == (FRAMES, 0)


def make_dirty(release: Release, marker: Path) -> dict[int, str]:
    """A good video 1 and one video for each thing that makes a video unusable."""

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    fixations, tracks, _ = release.arrays(0)
    for number in (1, 2, 3, 5, 6, 12):
        release.add(number)
    release.save(release.fixation_folder, 2, fixations).unlink()
    (release.videos / f"{release.name(3)}.avi").write_bytes(b"RIFF not a video")
    release.add(4, wav=False)
    release.save(release.fixation_folder, 5, objects([Evil()]))
    path = release.save(release.track_folder, 6, tracks)
    path.write_bytes(path.read_bytes()[:-100])
    release.add(7, fixations=np.full_like(fixations, np.nan))
    release.add(8, tracks=tracks / 1280)
    release.add(9, fixations=fixations[:0])
    release.add(10, fixations=fixations[:, :1])
    release.add(11, talking=np.zeros(4))
    (release.sounds / f"{release.name(12)}.wav").write_bytes(b"no sound")
    release.save(release.fixation_folder, 13, fixations)
    return {
        2: "no fixations",
        3: "corrupt video",
        4: "no sound",
        5: "unreadable fixations",
        6: "unreadable tracks",
        7: "no valid fixation",
        8: "boxes not in pixels",
        9: "no frames",
        10: "unreadable fixations",
        11: "unreadable talking",
        12: "unreadable sound",
        13: "no video",
    }


def test_bad_videos_are_left_out_with_a_line_each(release, tmp_path, caplog):
    expected = make_dirty(release, tmp_path / "ran")
    dataset, totals = read(release)
    assert [record.id for record in dataset.records] == ["1"]
    assert dataset.found == 12
    assert totals.frames == FRAMES
    lines = [record.getMessage() for record in caplog.records]
    assert not any("\n" in line for line in lines)
    for number, kind in expected.items():
        assert kinds(dataset, number).get(kind) is True, number
        (message,) = (p.message for p in dataset.problems if p.video == str(number) and p.kind == kind)
        assert sum(message in line for line in lines) == 1
        assert str(release.root) in message
    assert lines[-1] == f"{release.root}: 12 of 13 videos left out"
    assert not (tmp_path / "ran").exists()


def test_check_prints_one_table(release, tmp_path, capsys):
    expected = make_dirty(release, tmp_path / "ran")
    assert mvva.main(["check", str(release.root)]) == 0
    rows = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert "found 12" in rows
    assert "usable 1" in rows
    for number, kind in expected.items():
        same = [str(other) for other in expected if expected[other] == kind]
        assert f"{kind} (left out) {len(same)} {', '.join(same)}" in rows, number
    talking = int(release.arrays(1)[2].sum())
    assert f"frames {FRAMES}" in rows
    assert "seconds 0.3" in rows
    assert f"fixations {FRAMES * SUBJECTS} (0 invalid ones dropped)" in rows
    assert f"face boxes {FRAMES * FACES}" in rows
    assert f"talking {talking / (FRAMES * FACES):.1%} of {FRAMES * FACES} boxes" in rows


def test_nothing_usable_is_exit_code_2_and_one_line(release, capsys):
    assert mvva.main(["check", str(release.root / "nowhere")]) == 2
    assert mvva.main(["check", str(release.root)]) == 2
    release.add(4, wav=False)
    assert mvva.main(["check", str(release.root)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    for expected in ("no such folder", "found none\n", "found none among 1 (no sound 1)\n"):
        assert expected in output.err


def test_authors_maps_are_compared(release, capsys):
    for number in (1, 2, 3):
        release.add(number)
        points = release.arrays(number)[0][FRAMES // 2].T
        path = saliency_path(release.root / "maps", number, FRAMES // 2)
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), saliency_picture(fixation_density(points, (720, 1280))))
    path.write_bytes(b"no picture")
    dataset, totals = read(release)
    assert totals.maps == 2
    assert totals.map_difference / 2 < 0.5
    assert kinds(dataset, 3) == {"unreadable map": False}
    assert mvva.main(["check", str(release.root)]) == 0
    assert f"{totals.map_difference / 2:.2f} of 255 from ours at sigma 28" in capsys.readouterr().out


def test_part_1_alone_is_usable_without_faces(release):
    release.add(1)
    for folder in (release.track_folder, release.talk_folder):
        for path in folder.iterdir():
            path.unlink()
    dataset, totals = read(release)
    (record,) = dataset.records
    assert record.tracks() is None
    assert record.talking() is None
    assert kinds(dataset, 1) == {"no tracks": False}
    assert totals.faces == totals.judged == 0


def test_damage_inside_a_video_is_found_by_decoding(release):
    release.add(1)
    release.add(2)
    video = release.videos / f"{release.name(2)}.avi"
    content = bytearray(video.read_bytes())
    start = content.index(b"movi") + 4
    second = content.index(b"00dc", content.index(b"00dc", start) + 4)
    content[second + 8 : second + 60] = bytes(52)
    video.write_bytes(content)
    dataset, _ = mvva.read_release(release.root, deep=True, progress=False)
    assert [record.id for record in dataset.records] == ["1"]
    assert any(kinds(dataset, 2).values())


def _odd_but_healthy(folder: Path) -> dict[int, int]:
    """Videos that are trimmed by an edit list, of varying rate, with longer sound, with a late first picture; frames of
    each."""
    source = write_flash(folder / "source.mp4", n=30, flash=20, b_frames=0, gop=250)
    with_edit_list(source, folder / "1.mp4", 0.4)
    write_video(folder / "2.mp4", 10, rate=30, stamps_ms=[0, 33, 71, 90, 150, 275, 301, 366, 1366, 1400])
    write_flash(folder / "3.mkv", n=20, sound_seconds=3)
    restamped(source, folder / "4.mkv", lambda kind, time: time + 2 * (kind == "video"))
    write_flash(folder / "5.mpg", "mpeg2video", "mp2", n=20)
    source.unlink()
    return {1: 20, 2: 10, 3: 20, 4: 30, 5: 20}


@pytest.mark.parametrize("deep", [False, True])
def test_videos_that_are_odd_but_healthy_stay_in_with_all_their_frames(tmp_path, deep):
    release = Release(tmp_path, "sound beside")
    frames = _odd_but_healthy(release.videos)
    for number, count in frames.items():
        fixations, *_ = release.arrays(number, count)
        release.save(release.fixation_folder, number, fixations)
        write_wav(release.sounds / f"{number}.wav", TONE)
    dataset, _ = mvva.read_release(tmp_path, deep, progress=False)
    assert {int(record.id): record.n_frames for record in dataset.records} == frames
    assert {problem.kind for problem in dataset.problems} == {"no tracks"}


def test_one_id_spelled_twice_is_one_video(tmp_path, caplog):
    release = Release(tmp_path, "sound beside")
    release.add(7)
    write_video(release.videos / "007.mp4", 3)
    (files,) = find_videos(tmp_path)
    assert files.video == release.videos / "7.avi"
    assert "007.mp4: a second file for video of video 7" in caplog.text


def test_foreign_files_are_not_taken_for_mvva(tmp_path, caplog):
    release = Release(tmp_path, "sound beside")
    release.add(7)
    for name in (
        "video_001/000.jpg",
        "resized_gmm/7/0.jpg",
        "video_008/8.avi",
        ".hidden/8.avi",
        "videos/._7.avi",
        "a/6.npy",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [files.id for files in find_videos(tmp_path)] == ["7"]
    assert "1 arrays left out" in caplog.text
    assert "6.npy" in caplog.text


def test_tracks_are_parsed_once_and_not_pickled(release, monkeypatch):
    release.add(1)
    (record,) = read(release)[0].records
    unused, parsed = pickle.dumps(record), []
    load = mvva_files.load_tracks
    monkeypatch.setattr(mvva_files, "load_tracks", lambda *args: parsed.append(args) or load(*args))
    record.talking()
    boxes, mask = record.tracks()
    assert record.tracks()[0] is boxes
    assert len(parsed) == 1
    assert not boxes.flags.writeable
    assert not mask.flags.writeable
    assert pickle.dumps(record) == unused
    sent = pickle.loads(pickle.dumps(record))  # noqa: S301
    np.testing.assert_array_equal(sent.tracks()[0], boxes)


def test_record_is_an_mvva_video(release):
    release.add(1)
    (record,) = read(release)[0].records
    assert isinstance(record, MvvaVideo)
    assert record.dataset == "mvva"
    assert record.knows_subjects
    assert record.density_picture(0) is None
    assert record.seconds == pytest.approx(FRAMES / 25)
