"""Previews of a synthetic release and of a STAViS folder: boxes, dots and heat are drawn in their places."""

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from data import mvva
from data.mvva_files import find_videos
from data.preview import SILENT, SPEAKING, PreviewArgs, draw_preview, find_record, main
from data.synthetic import SyntheticArgs, generate
from tests.helpers.media import picture, write_wav
from vasal_jax.errors import InputError
from vasal_jax.inputs.sound import read_sound
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.size import Size

VIDEO = "231"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    generate(SyntheticArgs(folder, videos=2, seconds=2.0, seed=3, size=Size(180, 320), workers=1))
    return folder


@pytest.fixture(scope="module")
def record(release):
    files = next(files for files in find_videos(release) if files.id == VIDEO)
    return mvva.read_video(files)[0]


def is_colour(pixels: np.ndarray, colour: tuple) -> np.ndarray:
    return (np.abs(pixels.astype(int) - colour) < 3).all(-1)


def test_the_preview_is_a_whole_video_with_sound(release, record, tmp_path, capsys):
    out = tmp_path / "preview.mp4"
    assert main([str(release), "--video", "0231", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    info = probe(out)
    frames = [frame.image for frame in read_frames(out)]
    assert len(frames) == record.n_frames
    assert info.has_sound
    assert info.fps == record.fps
    assert info.width == 320
    assert 180 < info.height < 200
    heard = np.concatenate(list(read_sound(out)))
    original = np.concatenate(list(read_sound(record.sound)))
    n = min(len(heard), len(original))
    assert n > 0.95 * len(original)
    assert np.corrcoef(heard[:n], original[:n])[0, 1] > 0.9
    drawn = [image for image, _ in draw_preview(record)]
    assert np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(frames, drawn, strict=True)]) < 8


def test_boxes_are_where_the_faces_are_and_the_speaker_s_is_green(record):
    boxes, talking = record.tracks()[0] * (320, 180, 320, 180), record.talking()
    spoken = 0
    for index, (image, time) in enumerate(draw_preview(record)):
        assert time == pytest.approx(index / record.fps)
        for face, box in enumerate(boxes[index]):
            x1, _, x2, y2 = np.rint(box).astype(int)
            below = image[y2, x1 + 2 : x2 - 2]  # dots and labels rarely cover the lower edge
            speaks = talking[face, index]
            spoken += speaks
            assert is_colour(below, SPEAKING if speaks else SILENT).mean() > 0.6
            assert not is_colour(below, SILENT if speaks else SPEAKING).any()
    assert spoken == talking.sum() > 0


def test_dots_and_heat_are_where_people_look(record):
    fixations = record.fixations() * (320 / 1280, 180 / 720)
    originals = [frame.image for frame in record.frames()]
    wide, narrow = (list(draw_preview(record, sigma)) for sigma in (56, 14))
    for index in (0, 20, record.n_frames - 1):
        points = fixations[index][np.isfinite(fixations[index, :, 0])].astype(int)
        image = wide[index][0]
        # A later dot or a label may cover one.
        assert np.mean([(image[y, x] == 255).all() for x, y in points]) > 0.7
        middle = np.median(points, axis=0).astype(int)
        changed = np.abs(image[:180].astype(int) - originals[index]).sum(-1) > 30
        y, x = np.mgrid[:180, :320]
        far = np.linalg.norm(points - np.stack([x, y], -1)[..., None, :], axis=-1).min(-1) > 60
        near = np.hypot(x - middle[0], y - middle[1]) < 8
        assert changed[near].mean() > 0.5
        assert changed[far].mean() < 0.25
        smaller = np.abs(narrow[index][0][:180].astype(int) - originals[index]).sum(-1) > 30
        assert smaller.sum() < changed.sum()


def test_videos_without_faces_or_flags_are_drawn_as_far_as_they_go(release, tmp_path):
    for name in ("videos/005.mp4", "videos/005.wav", "fixation/005.npy"):
        target, suffix = tmp_path / name, name[-4:]
        target.parent.mkdir(exist_ok=True)
        source = next(p for p in release.rglob(f"{VIDEO}{suffix}") if suffix != ".npy" or "fixation" in str(p))
        target.write_bytes(source.read_bytes())
    image, _ = next(draw_preview(find_record(PreviewArgs(tmp_path, tmp_path / "o.mp4", video="5"))))
    assert not is_colour(image, SPEAKING).any()


def test_the_stavis_layout_with_its_own_maps(tmp_path):
    places = {name: tmp_path / name / "DIEM" / "clip" for name in ("video_frames", "video_audio", "annotations")}
    for folder in (*places.values(), places["annotations"] / "maps", tmp_path / "fold_lists"):
        folder.mkdir(parents=True, exist_ok=True)
    heat, points = np.zeros((2, 180, 320), np.uint8)
    heat[100:140, 200:240] = 255
    points[50, 60] = 1
    for index in range(1, 6):
        frame = cv2.resize(picture(), (320, 180), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(places["video_frames"] / f"img_{index:05d}.jpg"), frame[..., ::-1])
        cv2.imwrite(str(places["annotations"] / "maps" / f"eyeMap_{index:05d}.jpg"), heat)
        savemat(places["annotations"] / f"fixMap_{index:05d}.mat", {"eyeMap": points})
    write_wav(places["video_audio"] / "clip.wav", 0.3 * np.sin(np.arange(4410) / 9))
    (tmp_path / "fold_lists" / "DIEM_list_train_fps.txt").write_text("clip 5 25\n")
    out = tmp_path / "preview.mp4"
    assert main([str(tmp_path), str(out), "--layout", "stavis", "--dataset", "DIEM", "--video", "clip"]) == 0
    assert probe(out).has_sound
    images = [frame.image.astype(int) for frame in read_frames(out)]
    assert len(images) == 5
    assert np.ptp(images[0][110:130, 210:230].reshape(-1, 3).mean(0)) > 60  # black there without the heat
    assert images[0][50, 60].min() > 180


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"video": "7"}, ("no video '7'", "100, 231")),
        ({"folder": "nowhere"}, ("nowhere: no such folder",)),
        ({"out": "preview.gif"}, ("preview.gif: expected a name in .mp4",)),
        ({"out": "missing/preview.mp4"}, ("missing does not exist",)),
        ({"sigma": "0"}, ("--sigma: expected more than 0",)),
        ({"layout": "stavis"}, ("expected fold lists",)),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(release, tmp_path, capsys, changes, words):
    usual = {"folder": str(release), "out": "preview.mp4", "video": VIDEO, "sigma": "28", "layout": "mvva"}
    given = {**usual, **changes}
    options = [word for name in ("video", "sigma", "layout") for word in (f"--{name}", given[name])]
    assert main([given["folder"], str(tmp_path / given["out"]), *options]) == 2
    errors = capsys.readouterr().err.strip()
    assert errors.startswith("error: ")
    assert "\n" not in errors
    assert all(word in errors for word in words)
    assert not list(tmp_path.iterdir())


def test_the_dataset_s_own_video_is_not_overwritten(release, record, capsys):
    before = record.video.read_bytes()
    assert main([str(release), str(record.video), "--video", VIDEO]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert record.video.read_bytes() == before


def test_an_unusable_video_says_why(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "005.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"005\.mp4: "):
        find_record(PreviewArgs(tmp_path, tmp_path / "o.mp4", video="5"))
