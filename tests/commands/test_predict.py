"""`predict.py` as a person uses it: every kind of video that can be predicted on, and what it leaves behind."""

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

import vasal_jax
from tests.helpers.media import picture, write_video, write_wav
from tests.helpers.models import narrow_model
from vasal_jax.commands.predict import predict
from vasal_jax.commands.predict_args import PACKAGED_WEIGHTS, PredictArgs
from vasal_jax.inputs.video import probe, read_frames
from vasal_jax.system.terminal import run

TONE = 0.3 * np.sin(np.arange(22050) * 2 * np.pi * 440 / 22050)


def command(video: Path, **options) -> int:
    return run(lambda: predict(PredictArgs(video, **options)))


def read_maps(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def partial_names(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".partial-" in path.name]


def _sized(
    height: int, width: int, n: int = 2, name: str = "v.mkv", codec: str = "ffv1", pix_fmt: str = "bgr0", **more
):
    def make(folder: Path) -> Path:
        return write_video(folder / name, [picture(height, width)] * n, codec=codec, pix_fmt=pix_fmt, **more)

    return make


def _with_cover(folder: Path) -> Path:
    path = folder / "v.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=25) for codec in ("mjpeg", "mpeg4")]
        for stream, (height, width) in zip(streams, ((32, 32), (48, 64)), strict=True):
            stream.height, stream.width = height, width
            stream.pix_fmt = "yuvj420p" if height == 32 else "yuv420p"
        streams[0].disposition = Disposition.attached_pic
        for stream, n in zip(streams, (1, 2), strict=True):
            for _ in range(n):
                frame = av.VideoFrame.from_ndarray(picture(stream.height, stream.width), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


VIDEOS = {
    "no-sound": (_sized(48, 64), (48, 64), 2, "no sound"),
    "silent-sound": (_sized(48, 64, sound=np.zeros(1764)), (48, 64), 2, ""),
    "short-sound": (_sized(48, 64, 50, sound=TONE[:4410]), (48, 64), 50, "the sound ends at 0.4 s of 2.0 s"),
    "one-sample": (_sized(48, 64, sound=TONE[:1]), (48, 64), 2, ""),
    "variable-rate": (
        _sized(48, 64, 4, "v.mp4", "mpeg4", "yuv420p", rate=30, stamps_ms=[0, 33, 200, 1000]),
        (48, 64),
        4,
        "frame rate varies",
    ),
    "rotated": (_sized(48, 64, 2, "v.mp4", "mpeg4", "yuv420p", rotation=90), (64, 48), 2, ""),
    "odd": (_sized(47, 63), (47, 63), 2, ""),
    "one-pixel": (_sized(1, 1), (1, 1), 2, ""),
    "one-column": (_sized(64, 1, 2, "v.avi", "png", "rgb24"), (64, 1), 2, ""),
    "portrait": (_sized(128, 72), (128, 72), 2, ""),
    "10-bit": (_sized(48, 64, pix_fmt="yuv420p10le"), (48, 64), 2, ""),
    "grey": (_sized(48, 64, pix_fmt="gray"), (48, 64), 2, ""),
    "grey-10-bit": (_sized(48, 64, pix_fmt="gray10le"), (48, 64), 2, ""),
    "cover": (_with_cover, (48, 64), 2, ""),
    "1-frame": (_sized(48, 64, 1), (48, 64), 1, ""),
    "12-frames": (_sized(48, 64, 12), (48, 64), 12, ""),
    "13-frames": (_sized(48, 64, 13), (48, 64), 13, ""),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_every_kind_of_video_gives_every_output(name, tmp_path, capfd):
    make, (height, width), n, note = VIDEOS[name]
    video, out = make(tmp_path), tmp_path / "out"
    out.mkdir()
    outputs = {
        "overlay": out / "o.mp4",
        "saliency": out / "s.mp4",
        "frames": out / "frames",
        "maps": out / "m.npz",
    }
    assert command(video, **outputs) == 0

    found = read_maps(outputs["maps"])
    times = [frame.time for frame in read_frames(video)]
    assert found["maps"].shape == (n, 32, 32)
    np.testing.assert_allclose(found["maps"].sum((1, 2)), 1, atol=1e-5)
    np.testing.assert_array_equal(found["time"], times)
    for key in ("overlay", "saliency"):
        frames = list(read_frames(outputs[key]))
        assert [frame.image.shape for frame in frames] == [(height + height % 2, width + width % 2, 3)] * n
        np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-4)
    pictures = sorted(outputs["frames"].glob("*.png"))
    assert [file.name for file in pictures] == [f"{i:05d}.png" for i in range(n)]
    assert cv2.imread(str(pictures[-1]), cv2.IMREAD_UNCHANGED).shape == (height, width)
    assert sorted(path.name for path in out.iterdir()) == ["frames", "m.npz", "o.mp4", "s.mp4"]

    printed = capfd.readouterr()
    assert printed.out.splitlines() == [f"wrote {path}" for path in outputs.values()]
    # Of the bar, one line is left where there is no terminal.
    lines = [line for line in printed.err.splitlines() if f"{n}/{n}" not in line]
    assert lines[0].startswith("warning: the packaged demo weights learnt from drawn faces alone")
    assert all(line.startswith("warning: ") for line in lines)
    assert any(note in line for line in lines)
    assert len(lines) <= 4


def test_maps_file_says_what_made_it(tmp_path):
    video = _sized(48, 64, 3, rate=Fraction(24000, 1001))(tmp_path)
    assert command(video, maps=tmp_path / "m.npz", memory="reset/1") == 0
    found = read_maps(tmp_path / "m.npz")
    assert {key: value.dtype.kind + str(value.dtype.itemsize) for key, value in found.items() if key != "settings"} == {
        "maps": "f4", "frame_index": "i8", "time": "f8", "fps": "f8",
    }  # fmt: skip
    assert found["frame_index"].tolist() == [0, 1, 2]
    assert found["fps"] == 24000 / 1001
    settings = json.loads(str(found["settings"]))
    assert settings["video"] == "v.mkv"
    assert settings["memory"] == "reset/1"
    assert settings["released"] is False
    assert settings["weights"] == PACKAGED_WEIGHTS.name
    assert len(settings["weights_sha256"]) == 64
    model = vasal_jax.load(PACKAGED_WEIGHTS)
    assert settings["trained_with_memory"] == str(model.memory)
    np.testing.assert_array_equal(found["maps"], vasal_jax.predict(model, video, memory="reset/1"))
    assert not np.array_equal(found["maps"], vasal_jax.predict(model, video))


def test_released_leaves_out_the_first_5_and_the_tail(tmp_path, capfd):
    video = _sized(48, 64, 30)(tmp_path)
    assert command(video, maps=tmp_path / "m.npz", overlay=tmp_path / "o.mp4", released=True) == 0
    found = read_maps(tmp_path / "m.npz")
    assert found["frame_index"].tolist() == list(range(5, 29))
    np.testing.assert_allclose(found["maps"].sum(1), 1, atol=1e-5)  # each column
    assert json.loads(str(found["settings"]))["map"] == "softmax over each column"
    assert len(list(read_frames(tmp_path / "o.mp4"))) == 24
    assert "24/24" in capfd.readouterr().err


def test_without_an_output_the_overlay_goes_beside_the_video(tmp_path):
    video = _sized(48, 64)(tmp_path)
    assert command(video) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mkv", "v_overlay.mp4"]


def test_a_second_run_replaces_the_first_and_gives_the_same(tmp_path):
    video = _sized(48, 64, 3)(tmp_path)
    outputs = {"overlay": tmp_path / "o.mp4", "frames": tmp_path / "f", "maps": tmp_path / "m.npz"}

    def written() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}

    assert command(video, **outputs) == 0
    first = written()
    assert command(_sized(48, 64, 9, "longer.mkv")(tmp_path), frames=outputs["frames"]) == 0
    (tmp_path / "longer.mkv").unlink()
    assert command(video, **outputs) == 0
    again = written()
    assert again.keys() == first.keys()
    for kind in ("*.npz", "*.png", "*.mp4"):
        for path in map(str, tmp_path.rglob(kind)):
            assert again[path] == first[path]


def test_truncated_video_gives_maps_for_what_decodes(tmp_path, capfd):
    noise = list(np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8))
    video = write_video(tmp_path / "v.mkv", noise)
    video.write_bytes(video.read_bytes()[: int(0.6 * video.stat().st_size)])
    assert command(video, maps=tmp_path / "m.npz", overlay=tmp_path / "o.mp4") == 0
    n = len(read_maps(tmp_path / "m.npz")["maps"])
    assert 15 < n < 35
    assert n == len(list(read_frames(tmp_path / "o.mp4")))
    lines = capfd.readouterr().err.splitlines()
    assert sum("damaged or cut short" in line for line in lines) == 1


def test_claimed_length_is_not_believed(tmp_path, capfd):
    """A header that promises three years of video costs nothing; the file is whole, so it is not called damaged."""
    video = write_video(tmp_path / "v.avi", 3)
    data = bytearray(video.read_bytes())
    for key, offset in ((b"avih", 24), (b"strh", 40)):  # total frames; length of the stream
        at = data.index(key) + offset
        data[at : at + 4] = (2**31 - 2).to_bytes(4, "little")
    video.write_bytes(data)
    assert probe(video).frames > 1e9
    assert command(video, maps=tmp_path / "m.npz") == 0
    assert len(read_maps(tmp_path / "m.npz")["maps"]) == 3
    assert "damaged" not in capfd.readouterr().err


def test_fewer_face_maps_than_frames(tmp_path, capfd):
    video = _sized(48, 64, 4)(tmp_path)
    np.save(tmp_path / "tracks.npy", np.array([[[8.0, 8, 24, 30]]] * 2))
    weights = tmp_path / "narrow.safetensors"
    vasal_jax.save(narrow_model(), weights)
    assert command(video, maps=tmp_path / "m.npz", faces=str(tmp_path / "tracks.npy"), weights=weights) == 0
    assert "face maps for 2 of 4 frames" in capfd.readouterr().err
    with_faces = read_maps(tmp_path / "m.npz")["maps"]
    assert command(video, maps=tmp_path / "m.npz", weights=weights) == 0
    differs = np.abs(read_maps(tmp_path / "m.npz")["maps"] - with_faces).max((1, 2)) > 1e-7
    assert differs.tolist() == [True, True, False, False]


def test_sound_of_another_file(tmp_path):
    video = _sized(48, 64, 20)(tmp_path)
    assert command(video, overlay=tmp_path / "o.mp4", maps=tmp_path / "m.npz") == 0
    assert not probe(tmp_path / "o.mp4").has_sound
    silent = read_maps(tmp_path / "m.npz")["maps"]
    sound = write_wav(tmp_path / "s.wav", TONE)
    assert command(video, overlay=tmp_path / "o.mp4", maps=tmp_path / "m.npz", sound=sound) == 0
    assert probe(tmp_path / "o.mp4").has_sound
    assert np.abs(read_maps(tmp_path / "m.npz")["maps"] - silent).max() > 1e-6


@pytest.mark.parametrize(
    "name",
    [
        "with space.mkv",
        "gesicht-äß-顔.mkv",
        "-x.mkv",
        "12:30.mkv",
        "[red]a[|b].mkv",
        "[bold]a.mkv",
        "%03d.mkv",
        "it's $(x).mkv",
    ],
)
def test_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    video = Path(name)
    _sized(48, 64, name="v.mkv")(tmp_path).rename(name)
    assert command(video, maps=Path(f"{video.stem}.npz"), overlay=Path(f"{video.stem}.mp4")) == 0
    assert sorted(os.listdir()) == sorted([name, f"{video.stem}.npz", f"{video.stem}.mp4"])
    assert len(read_maps(tmp_path / f"{video.stem}.npz")["maps"]) == 2


def test_links_to_inputs_and_folders_above_are_followed_and_links_at_outputs_replaced(tmp_path, capfd):
    video = _sized(48, 64)(tmp_path)
    disk = tmp_path / "disk"
    (disk / "frames").mkdir(parents=True)
    (disk / "m.npz").write_bytes(b"another's")
    (tmp_path / "results").symlink_to(disk)
    (tmp_path / "linked.mkv").symlink_to(video)
    for name in ("m.npz", "frames", "new.mp4"):
        (tmp_path / name).symlink_to(disk / name)
    outputs = {"maps": tmp_path / "m.npz", "overlay": tmp_path / "new.mp4", "saliency": tmp_path / "results" / "s.mp4"}
    assert command(tmp_path / "linked.mkv", **outputs) == 0
    assert not any(path.is_symlink() for path in outputs.values())
    assert sorted(path.name for path in disk.iterdir()) == ["frames", "m.npz", "s.mp4"]
    assert (disk / "m.npz").read_bytes() == b"another's"
    assert len(read_maps(tmp_path / "m.npz")["maps"]) == 2
    assert partial_names(tmp_path) == []
    assert command(video, frames=tmp_path / "frames") == 2
    assert "is a link to the folder" in capfd.readouterr().err
    assert list((disk / "frames").iterdir()) == []
